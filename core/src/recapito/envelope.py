"""Who a message goes to, apart from what its headers say."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Envelope", "Notify"]


class Notify(StrEnum):
    """When the recipient's server should report back (RFC 3461 §4.1)."""

    SUCCESS = "success"
    FAILURE = "failure"
    DELAY = "delay"


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who the content goes to. Domains are A-labels; a local part may be non-ASCII (then SMTPUTF8 is needed).

    ``sender`` is the profile's own address, or the alias in From: it is checked before a transport sees it.
    """

    sender: str
    recipients: tuple[str, ...]
    notify: frozenset[Notify] = frozenset()

    @property
    def needs_smtputf8(self) -> bool:
        """True where an address is not ASCII (RFC 6531)."""
        return not (self.sender.isascii() and "".join(self.recipients).isascii())
