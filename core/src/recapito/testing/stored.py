"""What a test server keeps: messages, commands, and the rules by which it answers."""

import email
import email.policy
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Literal, NamedTuple

__all__ = ["Command", "Ending", "Phase", "Rule", "StoredMessage"]

#: Where a rule applies. ``connect``: instead of the greeting; ``data``: before any content; ``content``: after
#: the last byte of it.
Phase = Literal[
    "connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "content", "rset", "noop", "quit"
]

#: How a line ends: an orderly close, a TCP reset, or nobody answering any more (what a dropped NAT entry does).
Ending = Literal["close", "reset", "silence"]


class Command(NamedTuple):
    """A command as it came, without what follows the mechanism of AUTH."""

    connection: int
    verb: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message that a server took, exactly as it came. ``content`` has no dot-stuffing, and is not parsed.

    ``user`` is who signed in; ``tls`` the version of the encryption, empty in clear; ``connection`` counts the
    server's connections from 1; options are those of MAIL and RCPT, as written.
    """

    envelope_from: str
    rcpt_tos: tuple[str, ...]
    content: bytes = field(repr=False)
    user: str | None = None
    tls: str = ""
    connection: int = 0
    peer: tuple[str, int] = ("", 0)
    mail_options: tuple[str, ...] = ()
    rcpt_options: tuple[tuple[str, ...], ...] = ()

    @property
    def message(self) -> EmailMessage:
        """The content, parsed by the standard library."""
        return email.message_from_bytes(self.content, policy=email.policy.default)


@dataclass(slots=True)
class Rule:
    """An answer other than the usual one: ``reply``, or an ``ending`` where that is None.

    ``address`` limits it to one sender, recipient or user; ``times`` counts down (None: for good); ``after``
    ends the line inside the content, when that many bytes of it have come.
    """

    phase: Phase
    reply: str | None = None
    ending: Ending = "close"
    address: str | None = None
    times: int | None = None
    after: int | None = None

    def matches(self, phase: Phase, address: str | None) -> bool:
        """Whether it applies here, and has not been used up."""
        if self.phase != phase or self.times == 0:
            return False
        return self.address is None or self.address == address

    def use(self) -> None:
        """Count one use."""
        if self.times is not None:
            self.times -= 1
