"""What a message needs of a server, compared with what it offers, before anything of it is said."""

import re
from typing import TYPE_CHECKING

from recapito.errors import InvalidMessage, Refused
from recapito.invalid import shown
from recapito.outcome import Outcome
from recapito.problem import Problem
from recapito.smtp.unfit import unfit

if TYPE_CHECKING:
    from recapito.content import Content
    from recapito.envelope import Envelope
    from recapito.smtp.explain import Explainer
    from recapito.smtp.extensions import Extensions

__all__ = ["check_addresses", "check_offer", "needs_smtputf8"]

# What would end an address in a command; a quoted local part may hold it.
_UNQUOTED = re.compile(r"[\s<>,;]")
_HEADERS_LIMIT = 1_000_000


def check_addresses(envelope: "Envelope") -> None:
    """Raise InvalidMessage for an envelope that no command could carry; addresses were parsed long before."""
    if not envelope.recipients:
        raise InvalidMessage(Problem("MSG-NO-RECIPIENTS", Outcome.REFUSED))
    for address in (envelope.sender, *envelope.recipients):
        plain = address if not address.startswith('"') else address.rpartition('"')[2]
        if not address or unfit(address) or _UNQUOTED.search(plain):
            raise InvalidMessage(
                Problem(
                    "ADDR-SYNTAX", Outcome.REFUSED, params={"address": shown(address), "field": "envelope"}
                )
            )


async def needs_smtputf8(content: "Content") -> bool:
    """Whether a raw header field is not ASCII (RFC 6531)."""
    head = b""
    async for chunk in content.chunks():
        before = len(head)
        head += chunk
        end = head.find(b"\r\n\r\n", max(0, before - 3))
        if end >= 0 or len(head) > _HEADERS_LIMIT:
            head = head[:end] if end >= 0 else head
            break
    return not head.isascii()


def check_offer(
    extensions: "Extensions",
    envelope: "Envelope",
    content: "Content",
    explainer: "Explainer",
    *,
    smtputf8: bool,
) -> None:
    """Raise Refused where the server lacks what this message needs: nothing is changed or left out in silence."""
    limit = extensions.size
    if limit is not None and content.size > limit:
        raise Refused(
            explainer.own("MSG-TOO-BIG", step="sender", n=_megabytes(content.size), max=_megabytes(limit))
        )
    if smtputf8 and "smtputf8" not in extensions:
        addresses = (envelope.sender, *envelope.recipients)
        culprit = next((address for address in addresses if not address.isascii()), "")
        raise Refused(explainer.own("SMTPUTF8-MISSING", step="sender", address=culprit))
    if not content.is_7bit and not smtputf8 and "8bitmime" not in extensions:
        raise Refused(explainer.own("EIGHTBIT-MISSING", step="sender"))
    if envelope.notify and not explainer.settings.notices:
        raise Refused(explainer.own("DSN-NOT-OFFERED", step="sender", transport=explainer.profile.transport))
    if envelope.notify and "dsn" not in extensions:
        raise Refused(explainer.own("DSN-NOT-OFFERED", step="sender"))


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f}".removesuffix(".0")
