"""Graph takes sender and recipients from the headers: they must say what the envelope says."""

from typing import TYPE_CHECKING

from recapito.address import parse_address_list
from recapito.catalogue import problem
from recapito.errors import Refused

if TYPE_CHECKING:
    from recapito.content import Content
    from recapito.envelope import Envelope
    from recapito.profile import Profile

__all__ = ["hidden_recipients"]


def hidden_recipients(profile: "Profile", envelope: "Envelope", content: "Content") -> tuple[str, ...]:
    """Those whom only the envelope names: they get a Bcc, which Graph reads and takes off.

    Refused where the headers name somebody who is not meant to get it, or another sender.
    """
    shown = _named(content, "to", "cc", "bcc")
    if not shown <= {address.lower() for address in envelope.recipients}:
        raise Refused(problem("ENVELOPE-DIFFERS", step="recipient", transport=profile.transport))
    if envelope.sender.lower() not in _named(content, "from", "sender"):
        raise Refused(
            problem(
                "SENDER-NOT-ALLOWED",
                step="sender",
                address=envelope.sender,
                sender=profile.sender,
                operator=profile.key.operator,
            )
        )
    return tuple(address for address in envelope.recipients if address.lower() not in shown)


def _named(content: "Content", *fields: str) -> set[str]:
    """The addresses in those header fields, in lower case."""
    return {
        address.addr_spec.lower()
        for name, value in content.headers
        if name.lower() in fields
        for address in parse_address_list(value, name)
    }
