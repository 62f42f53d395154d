"""The contract with a transport: what it declares, what it is given, what it returns.

A plugin imports this module, :mod:`recapito.hookspecs` and the toolkits; nothing above them.
"""

import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Protocol, TypeVar, runtime_checkable

from recapito.content import Content
from recapito.envelope import Envelope, Notify
from recapito.limits import Limits
from recapito.problem import Problem
from recapito.profile import Profile
from recapito.receipt import Receipt
from recapito.reply import ServerReply
from recapito.secret import Secrets
from recapito.signin import (
    Attempt,
    Client,
    ClientInfo,
    Grant,
    Refreshed,
    SignIn,
    SignInContext,
    SignInKind,
    Step,
    Token,
)
from recapito.texts import Phrase

if TYPE_CHECKING:
    import logging

    from pydantic import BaseModel

__all__ = [
    "STEPS",
    "Abandoning",
    "Attempt",
    "Capabilities",
    "CheckStep",
    "Client",
    "ClientInfo",
    "Context",
    "Envelope",
    "Grant",
    "Notify",
    "Ordered",
    "Probed",
    "Probing",
    "Refreshed",
    "Session",
    "SignIn",
    "SignInContext",
    "SignInKind",
    "Sought",
    "Step",
    "StepName",
    "Token",
    "Transport",
    "TransportInfo",
    "minutes_by_size",
]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a transport can do. The kit tests that each claim is true, and that what is not claimed is refused."""

    #: Bytes of the largest message as it leaves; None: the server says (SIZE).
    maximum_size: int | None = None
    #: Recipients of one ``deliver``; None: no limit of the transport's own.
    maximum_recipients: int | None = None
    #: True: recipients come from the envelope. False: from the headers, so an envelope that differs is refused.
    own_envelope: bool = True
    #: The provider files a copy in the Sent folder.
    keeps_sent_copy: bool = False
    #: Content is sent as it is read; memory does not grow with its size.
    streams: bool = True
    #: The transport is :class:`Probing`.
    probes: bool = False
    #: ``Envelope.notify`` is passed on (RFC 3461). Where the server lacks it, the message is refused.
    delivery_notices: bool = False


def minutes_by_size(size: int) -> float:
    """The usual hard timeout in seconds: 10 minutes, and 100 seconds for each MB of ``size`` bytes.

    RFC 5321 §4.5.3.2.6 gives the reply to the final dot alone 10 minutes; 10 kB/s is the slowest upload that
    is worth waiting for.
    """
    return 600 + size / 10_000


@dataclass(frozen=True, slots=True)
class TransportInfo:
    """What a plugin registers: everything about a transport that needs no network library.

    ``settings`` is one source for the form, the command line, the CSV columns, the docs and validation; its
    ``SecretStr`` fields are kept encrypted, never in ``Profile.settings``. Of a field's ``json_schema_extra``
    core reads ``multiline`` (True: line feeds are allowed, for a PEM or JSON key). ``factory`` imports the
    transport's module when it is called, and not before.

    ``mailbox`` gives the key that limits and pauses hang on: profiles with the same one share them. ``host``
    names the server, for the catalogue's limits and rules; empty: there is no known server, so none of them
    hold. ``sign_ins`` makes the sign-ins that the transport offers, by a name of the plugin's choosing, each
    for a profile (its settings decide which scopes are asked for); ``sign_in`` says which of them a profile
    uses, empty where it signs in without a grant (a password). ``adapt`` is for a transport whose facts differ
    by profile (an API or SMTP under one name): it returns this info, changed, and is given the settings of the
    profile's client too (empty while there is none; ``sign_in`` must not depend on it). These callables are
    pure and quick, run in any thread and raise nothing, even for settings that do not validate. ``account``
    names the address that signs in: what a person's consent is compared with. ``modes`` are settings under a
    name, for a person who moves a profile as one act (``profile switch anna --to graph``). ``package`` is the
    import package whose gettext catalogue has the texts of settings and skipped steps; empty: that of the
    settings model.
    """

    name: str
    title: str
    settings: "type[BaseModel]"
    factory: Callable[[], "Transport"]
    _: KW_ONLY
    capabilities: Capabilities = Capabilities()
    limits: Limits = Limits()
    hard_timeout: Callable[[int], float] = minutes_by_size
    mailbox: Callable[[Profile], str] = lambda profile: profile.sender.lower()
    host: Callable[[Profile], str] = lambda profile: str(profile.settings.get("host") or "")
    sign_ins: Mapping[str, Callable[[Profile], "SignIn"]] = field(default_factory=dict)
    sign_in: Callable[[Profile], str] = lambda _profile: ""
    account: Callable[[Profile], str] = lambda profile: str(profile.settings.get("account") or profile.sender)
    modes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    adapt: Callable[["TransportInfo", Profile, Mapping[str, Any]], "TransportInfo"] | None = None
    package: str = ""

    @property
    def texts(self) -> str:
        """The import package whose catalogue has this transport's texts."""
        return self.package or self.settings.__module__.partition(".")[0]

    @property
    def shown(self) -> Phrase:
        """The title, in every language."""
        return Phrase(self.title, package=self.texts)

    def for_profile(self, profile: Profile, client: Mapping[str, Any] | None = None) -> "TransportInfo":
        """What holds for one profile, and the settings of the client that it signs in through."""
        return self if self.adapt is None else self.adapt(self, profile, client or {})


class Context(Protocol):
    """What a transport is given for one profile. It holds this transport's own settings and secrets only."""

    @property
    def secrets(self) -> Secrets:
        """The profile's secrets for this transport: stored, or typed a moment ago (an unsaved check)."""
        ...

    @property
    def client(self) -> Mapping[str, Any]:
        """The settings of the OAuth client that the profile signs in through (endpoints, tenant); no secrets."""
        ...

    @property
    def log(self) -> "logging.LoggerAdapter[logging.Logger]":
        """A logger under ``recapito.transport.NAME`` that redacts secrets and knows the profile."""
        ...

    async def token(self, resource: str, *, refused: Token | None = None) -> Token:
        """An access token for ``resource`` (a word between the transport and its sign-in), refreshed where needed.

        ``refused`` names a token that the server has just rejected: it is refreshed once, and only if the vault
        still holds that one. Raises Held where a person must sign in, NotSent where the refresh failed for now.
        """
        ...

    def tls(self, extra_ca: str | None = None) -> ssl.SSLContext:
        """A verifying client context, kept; ``extra_ca`` (PEM) is trusted besides the usual authorities."""
        ...

    async def in_thread(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """``function`` in a worker thread, for libraries that block. Cancelling the await does not stop it."""
        ...

    def explain(self, reply: ServerReply) -> Problem:
        """The problem behind a reply, by the catalogue's rules and those of installed plugins."""
        ...


class Session(Protocol):
    """One open, signed-in channel, able to carry many messages, one loop's own."""

    @property
    def depth(self) -> int:
        """How many ``deliver`` calls may be under way at once (1: the next only after the last has returned)."""
        ...

    @property
    def usable_until(self) -> datetime | None:
        """When the session's token expires, with its time zone; None: it does not."""
        ...

    @property
    def usable(self) -> bool:
        """False once the session must not carry another message (closed, or its state is in doubt)."""
        ...

    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        """Send one message, and return as soon as it is known what became of it.

        ``deadline`` is on the clock of the running loop (``loop.time()``). A receipt comes back as soon as
        recipients differ, or all were accepted; a :class:`recapito.errors.DeliveryError` is raised only when
        one outcome covers them all, and may carry a receipt with each recipient's own reply. Either receipt has
        exactly one row for each of ``envelope.recipients``, in that order; core makes a missing one *unknown*.
        The error's class decides, whatever its problem says. InvalidMessage and Misconfigured may be raised
        before the content.

        Calls take the channel in the order in which they began; results may come in any order, and each call
        settles its own message alone. When cancelled, or at the deadline, it raises or returns what is known:
        NotSent where the content's last byte cannot have left, UnknownOutcome where it may have (a
        CancelledError let through counts as that). A call that has put nothing on the channel leaves it as it
        was; one that has sets :attr:`usable` False at once, and an ordered line is closed when earlier calls
        are settled, so that later ones are NotSent.

        A session found dead before the content raises NotSent without a reply, with :attr:`usable` False: the
        pool opens another, once. NotSent with a ``retry_at`` and a scope wider than the message slows the whole
        mailbox until then. A problem of scope ``client`` names it in ``params["client"]``.

        ``content`` is core's: it closes it after this call. Read it on this loop, and neither close nor keep it
        (nor its parts and ``with_header`` copies, which share its files).
        """
        ...

    async def close(self) -> None:
        """Say goodbye where that is quick, and release the channel; never raises, at most 5 s."""
        ...


StepName = Literal["name", "port", "answer", "encryption", "sign-in", "sender", "recipient", "message"]

#: The steps of a check. A transport names its own from them, in the order in which they happen.
STEPS: tuple[StepName, ...] = (
    "name",
    "port",
    "answer",
    "encryption",
    "sign-in",
    "sender",
    "recipient",
    "message",
)


@dataclass(frozen=True, slots=True)
class CheckStep:
    """One step of a check, done: ``problem`` is None where it went well, ``skipped`` says why it was left out.

    ``seconds`` is what the step took; ``detail`` what was found (address, protocol, mechanism), plain text.
    """

    name: StepName
    seconds: float = 0.0
    problem: Problem | None = None
    skipped: str = ""
    detail: str = ""


class Transport(Protocol):
    """A way for mail to leave. One object serves every profile of a mailer; it keeps nothing of any of them.

    It survives a fork, so it holds nothing that is bound to a loop or a socket.
    """

    async def open(self, profile: Profile, context: Context) -> Session:
        """Connect and sign in. Raises Held, NotSent, Refused or Misconfigured, never UnknownOutcome.

        The pool bounds the time: cancelled, it closes what it opened. The session may keep ``profile`` and
        ``context`` until it is closed.
        """
        ...

    def check(
        self, profile: Profile, context: Context, send_to: str | None = None
    ) -> AsyncGenerator[CheckStep, None]:
        """Try the profile step by step, through the same code as a send, ending at the first problem.

        Without ``send_to`` nothing is sent: the last step is then skipped aloud. Failures are yielded; only
        Misconfigured is raised. Core calls ``aclose()`` when its caller stops or the time is over: release the
        connection within 5 s (a generator that delegates to another does so with ``contextlib.aclosing``).
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What is looked for after an *unknown* outcome: by its ids, handed over after a moment (with time zone).

    ``message_id`` is the header's, with its angle brackets; ``provider_id`` what the receipt carried.
    """

    message_id: str
    sent_after: datetime
    provider_id: str | None = None
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Probed:
    """What a look at the provider found. Found, *unknown* becomes *accepted*; not found proves nothing."""

    found: bool
    provider_id: str | None = None
    detail: str = ""


@runtime_checkable
class Probing(Protocol):
    """A transport that can look whether a message left (``Capabilities.probes``)."""

    async def probe(self, profile: Profile, context: Context, sought: Sought) -> Probed:
        """Look for one message.

        A DeliveryError (no such permission, provider away) proves nothing and pauses nothing.
        """
        ...


@runtime_checkable
class Abandoning(Protocol):
    """A session that can be left behind in a forked child without a byte on the parent's line."""

    def abandon(self) -> None:
        """Close the inherited descriptor: no goodbye, no TLS close. Called in the child, outside any loop."""
        ...


@runtime_checkable
class Ordered(Protocol):
    """A session on one line, whose messages go one after the other.

    Those that wait in it, up to its ``depth``, are no further connection to the server: only the first of them
    counts where a mailbox limits how many there may be.
    """

    @property
    def ordered(self) -> bool:
        """True."""
        ...
