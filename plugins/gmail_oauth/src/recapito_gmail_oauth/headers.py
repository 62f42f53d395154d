"""Gmail's API takes sender and recipients from the headers: they must say what the envelope says."""

from typing import TYPE_CHECKING

from recapito.address import parse_address_list
from recapito.catalogue import problem
from recapito.errors import Refused

if TYPE_CHECKING:
    from recapito.content import Content
    from recapito.envelope import Envelope
    from recapito.profile import Profile

__all__ = ["addressed"]


def addressed(profile: "Profile", envelope: "Envelope", content: "Content") -> "Content":
    """``content`` with a Bcc field for those whom only the envelope names; Gmail reads it and takes it off.

    Refused where the headers name somebody who is not meant to get it, or another sender.
    """
    shown = _named(content, "to", "cc", "bcc")
    meant = {address.lower() for address in envelope.recipients}
    if not shown <= meant:
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
    hidden = [address for address in envelope.recipients if address.lower() not in shown]
    return content.with_header("Bcc", ", ".join(hidden)) if hidden else content


def _named(content: "Content", *fields: str) -> set[str]:
    """The addresses in those header fields, in lower case."""
    return {
        address.addr_spec.lower()
        for name, value in content.headers
        if name.lower() in fields
        for address in parse_address_list(value, name)
    }
