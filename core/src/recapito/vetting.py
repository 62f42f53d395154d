"""What is known before the wire to be more than transport, provider or profile allow."""

from collections.abc import Iterable
from email.utils import getaddresses

from recapito.catalogue import problem
from recapito.content import Content
from recapito.envelope import Envelope
from recapito.errors import InvalidMessage
from recapito.problem import Problem
from recapito.route import Route

__all__ = ["transactions", "vet"]

_MB = 1_000_000


def vet(route: Route, envelope: Envelope, content: Content) -> None:
    """Raise InvalidMessage for a message that this route surely cannot carry."""
    if found := _objection(route, envelope, content):
        raise InvalidMessage(found)


def transactions(route: Route, envelope: Envelope) -> int:
    """How many messages the server will count: one that has too many recipients goes in several transactions."""
    most = route.limits.recipients_per_message
    return -(-len(envelope.recipients) // most) if most else 1


def _objection(route: Route, envelope: Envelope, content: Content) -> Problem | None:
    able = route.info.capabilities
    provider = route.provider
    most = route.maximum_size
    if most is not None and content.size > most:
        return problem("MSG-TOO-BIG", n=f"{content.size / _MB:.1f}", max=f"{most / _MB:g}")
    if envelope.notify and not able.delivery_notices:
        return problem("DSN-NOT-OFFERED", transport=route.info.shown)
    if len(envelope.recipients) > (_most_at_once(route) or len(envelope.recipients)):
        return problem("RCPT-OVER-LIMIT", count=len(envelope.recipients), limit=_most_at_once(route))
    if not able.own_envelope and not _shown(content) <= _folded(envelope.recipients):
        return problem("ENVELOPE-DIFFERS", transport=route.info.shown)
    if provider is not None and provider.pec is not None:
        hidden = not _folded(envelope.recipients) <= _shown(content)
        return provider.pec.refusal(size=content.size, recipients=len(envelope.recipients), bcc=hidden)
    return None


def _most_at_once(route: Route) -> int | None:
    """Recipients of one ``deliver``. With an envelope of its own a transport sends several transactions."""
    able = route.info.capabilities
    return able.maximum_recipients if able.own_envelope else route.maximum_recipients


def _shown(content: Content) -> set[str]:
    """The addresses that recipients see."""
    fields = [value for name, value in content.headers if name.lower() in ("to", "cc")]
    return _folded(address for _, address in getaddresses(fields))


def _folded(addresses: Iterable[str]) -> set[str]:
    return {address.lower() for address in addresses}
