"""What rendering gives: who it goes to, the octets, and the id."""

from collections.abc import Iterable
from dataclasses import dataclass

from recapito.address import Address, unique_addresses
from recapito.content import Content
from recapito.envelope import Envelope, Notify
from recapito.invalid import invalid, shown

__all__ = ["Rendered", "check_reachable", "envelope_for"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message ready to leave. Its content holds attached files open until it is closed."""

    envelope: Envelope
    content: Content
    message_id: str


def envelope_for(
    sender: Address, recipients: Iterable[Address], notify: frozenset[Notify] = frozenset()
) -> Envelope:
    """The envelope: each mailbox once, in order; InvalidMessage (MSG-NO-RECIPIENTS) where there is none."""
    addresses = tuple([address.addr_spec for address in unique_addresses(recipients)])
    if not addresses:
        raise invalid("MSG-NO-RECIPIENTS")
    return Envelope(sender.addr_spec, addresses, notify)


def check_reachable(envelope: Envelope, addresses: Iterable[Address], field: str) -> None:
    """InvalidMessage (ADDR-ASCII) where ``field`` shows a non-ASCII address and the envelope has none.

    It would need SMTPUTF8, and the envelope is what tells a transport that.
    """
    if envelope.needs_smtputf8:
        return
    for address in addresses:
        if not address.local.isascii():
            raise invalid("ADDR-ASCII", field=field, address=shown(address.addr_spec))
