"""What a server, or the way to it, answered: the facts from which a problem is found."""

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Credential", "ServerReply", "Via"]

#: The protocol that the answer came in. ``net`` and ``tls`` are failures before any answer.
Via = Literal["smtp", "http", "oauth", "tls", "net"]

#: What the profile signed in with; the same 535 means different things to a password and to a token.
Credential = Literal["password", "token", "none"]


@dataclass(frozen=True, slots=True)
class ServerReply:
    """One answer, as a transport met it.

    ``status`` is the SMTP or HTTP status (0: there was none), ``enhanced`` the RFC 3463 code in an SMTP reply,
    ``error`` the vendor's own key: OAuth ``error``, Graph ``error.code``, or, for ``tls`` and ``net``, one of
    ``name``, ``untrusted``, ``expired``, ``not-yet-valid``, ``version``, ``mode``, ``injection`` and ``dns``,
    ``dns-temporary``, ``refused``, ``timeout``, ``lost``, ``blocked``. ``step`` is where it came: a
    check step's name (:data:`recapito.transport.STEPS`). ``sender`` is the envelope's; ``own_sender`` is True
    where that is the profile's own address and False where the message chose an alias.
    """

    via: Via
    status: int = 0
    text: str = ""
    enhanced: str = ""
    error: str = ""
    step: str = ""
    host: str = ""
    port: int = 0
    credential: Credential = "password"
    account: str = ""
    sender: str = ""
    recipient: str = ""
    own_sender: bool = True
    #: Seconds that the server asked to wait (Retry-After), where it did.
    retry_after: float | None = None
    #: More parameters for the texts: ``cn`` of a certificate, ``size`` and ``limit`` in bytes, …
    params: dict[str, str | int | float] = field(default_factory=dict)
