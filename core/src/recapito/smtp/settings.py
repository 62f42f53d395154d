"""Where an SMTP server is and how the line to it is protected."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from recapito.envelope import Notify
from recapito.smtp.unfit import unfit

__all__ = ["DEFAULT_PORTS", "Patience", "Security", "SmtpSettings"]

#: ssl: encrypted from the first byte · starttls: encrypted before anything is said, or not at all · plain: only
#: to this machine · plain-text-without-protection: passwords and mail can be read on the way, on purpose.
Security: TypeAlias = Literal["ssl", "starttls", "plain", "plain-text-without-protection"]

#: The port of each way, where none is said.
DEFAULT_PORTS: dict[str, int] = {
    "ssl": 465,
    "starttls": 587,
    "plain": 25,
    "plain-text-without-protection": 25,
}


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that each thing may take as a whole, however slowly it drips; a deadline may cut all of them.

    From MAIL on they are RFC 5321's (§4.5.3.2). ``end`` is for the reply to the content; ``end_per_mb`` is
    added to it for each MB of the message. A line that was idle for ``probe_after`` is tried with RSET.
    """

    name: float = 10.0
    port: float = 20.0
    #: Before another address of the same name is tried beside the one that does not answer.
    next_address: float = 0.3
    encryption: float = 20.0
    #: For a second look at a certificate that was refused, to say whose it was.
    look: float = 5.0
    answer: float = 45.0
    #: Before a server that was to greet first, and says nothing, is asked whether it waits for a handshake.
    #: Servers that greet late on purpose, to catch impatient clients, do it within 6 seconds.
    silence: float = 8.0
    sign_in: float = 60.0
    command: float = 300.0
    data: float = 120.0
    block: float = 180.0
    end: float = 600.0
    end_per_mb: float = 10.0
    probe_after: float = 10.0
    probe: float = 10.0
    goodbye: float = 2.0

    def end_of(self, size: int) -> float:
        """For the reply to a content of ``size`` bytes."""
        return self.end + self.end_per_mb * size / 1_000_000


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """One server. ``ca`` (PEM) is trusted besides the usual authorities.

    ``helo`` is the name in EHLO (default: this end's address as a literal, which needs no look-up).
    ``recipients`` is the most that one transaction takes, where that is known beforehand. ``notify`` is asked
    for where the message asks for no notices of its own; with ``notices`` False none may be asked for. ``window``
    messages may wait for their answers on one line of a server that takes chunks; when the line breaks, each of
    them is *unknown*.
    """

    host: str
    port: int
    security: Security = "ssl"
    ca: str | None = field(default=None, repr=False)
    helo: str | None = None
    recipients: int | None = None
    notify: frozenset[Notify] = frozenset()
    notices: bool = True
    window: int = 1
    patience: Patience = Patience()

    def __post_init__(self) -> None:
        for name in ("host", "helo"):
            if unfit(getattr(self, name) or ""):
                raise ValueError(f"{name} holds a control character")
