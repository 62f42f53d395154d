"""The contract with a transport: what it declares, what it is given, what it returns.

A plugin imports this module, :mod:`recapito.hookspecs` and the toolkits; nothing above them.
"""

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
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
from recapito.secret import Secret, Secrets

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
    "Probed",
    "Probing",
    "Refreshed",
    "Session",
    "SignIn",
    "SignInContext",
    "SignInKind",
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
    profile's client too. ``package`` is the import package whose gettext catalogue has the texts of settings
    and skipped steps; empty: that of the settings model.
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
    adapt: Callable[["TransportInfo", Profile, Mapping[str, Any]], "TransportInfo"] | None = None
    package: str = ""

    def for_profile(self, profile: Profile, client: Mapping[str, Any] | None = None) -> "TransportInfo":
        """What holds for one profile, and the settings of the client that it signs in through."""
        return self if self.adapt is None else self.adapt(self, profile, client or {})

    @property
    def texts(self) -> str:
        """The import package with the texts of this transport."""
        return self.package or self.settings.__module__.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, checked for alphabet and size, and when it expires."""

    value: Secret
    expires_at: datetime


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
        """``function`` in a worker thread, for libraries that block."""
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
        one outcome covers them all, and may carry a receipt with each recipient's own reply. InvalidMessage
        and Misconfigured may be raised before the content. Each call settles its own message alone.

        When cancelled, or at the deadline, :attr:`usable` becomes False, and what it raises says whether the
        content's last byte could have left: NotSent before, UnknownOutcome after. Other calls under way are
        settled by what becomes of them; a line that carries one message at a time is closed at once.

        A session found dead before the content raises NotSent without a reply, with :attr:`usable` False: the
        pool opens another, once. NotSent with a ``retry_at`` and a scope wider than the message slows the whole
        mailbox until then. A problem of scope ``client`` names it in ``params["client"]``.
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
    """A way for mail to leave. One object serves every profile; it keeps nothing of any of them."""

    async def open(self, profile: Profile, context: Context) -> Session:
        """Connect and sign in. Raises Held, NotSent or Refused with the problem; the pool bounds the time."""
        ...

    def check(
        self, profile: Profile, context: Context, send_to: str | None = None
    ) -> AsyncIterator[CheckStep]:
        """Try the profile step by step, through the same code as a send, ending at the first problem.

        Without ``send_to`` nothing is sent: the last step is then skipped aloud.
        """
        ...


@dataclass(frozen=True, slots=True)
class Probed:
    """What a look at the provider found. Found, *unknown* becomes *accepted*; not found proves nothing."""

    found: bool
    provider_id: str | None = None
    detail: str = ""


@runtime_checkable
class Probing(Protocol):
    """A transport that can look whether a message left (``Capabilities.probes``)."""

    async def probe(
        self, profile: Profile, context: Context, message_id: str, *, sent_after: datetime
    ) -> Probed:
        """Look for a message that was handed over after that moment.

        A DeliveryError (no such permission, provider away) proves nothing and pauses nothing.
        """
        ...


@runtime_checkable
class Abandoning(Protocol):
    """A session that can be left behind in a forked child without a byte on the parent's line."""

    def abandon(self) -> None:
        """Close the inherited descriptor: no goodbye, no TLS close. Called in the child, outside any loop."""
        ...


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """A kind of OAuth registration (``google``, ``microsoft``) that companies bring and transports share."""

    name: str
    title: str
    settings: "type[BaseModel]"


@dataclass(frozen=True, slots=True)
class Client:
    """A company's OAuth registration: ids and endpoints in ``settings``, the rest in ``secrets``."""

    info: ClientInfo
    company: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    secrets: Secrets = field(default_factory=Secrets)
    revision: str = ""


#: code: a browser and a redirect · device: a code typed elsewhere · app: the application itself ·
#: service-account: an application that acts for a mailbox. The last two involve no person: ``begin`` returns a
#: Step without a URL, core calls ``finish`` at once, and the grant's secret may be empty.
SignInKind = Literal["code", "device", "app", "service-account"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a person does next: open ``url``, and type ``user_code`` there where there is one.

    ``private`` is the sign-in's own; core keeps it, encrypted, and hands it back in the next
    :class:`Attempt`. ``interval`` is the number of seconds between two polls of a device sign-in;
    ``expires_at`` ends the offer.
    """

    url: str = ""
    user_code: str = ""
    interval: float = 5.0
    expires_at: datetime | None = None
    private: Secrets = field(default_factory=Secrets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at signing in, kept by core so that any process can finish it.

    ``state`` goes to the vendor and comes back in the redirect, where core compares it before ``finish``.
    ``verifier`` is core's PKCE verifier (RFC 7636); a library that insists on its own keeps that one in
    ``Step.private``. ``hint`` is the address that is expected to sign in.
    """

    redirect_uri: str
    hint: str
    state: str
    verifier: Secret
    private: Secrets = field(default_factory=Secrets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a sign-in left: who granted what, and the secret that renews it.

    ``scopes`` are spelled as in :attr:`SignIn.scopes`. ``idle_until`` is when it dies unless it is used; None:
    it does not.
    """

    account: str
    scopes: frozenset[str]
    secret: Secret
    idle_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A new access token, and the grant where it changed (a rotated refresh token): saved before the token is used."""

    token: Token
    grant: Grant | None = None


class SignInContext(Protocol):
    """What a sign-in is given: the company's registration, and what a :class:`Context` has for blocking SDKs."""

    @property
    def client(self) -> Client:
        """The registration, with its secrets."""
        ...

    @property
    def log(self) -> "logging.LoggerAdapter[logging.Logger]":
        """A logger that redacts secrets."""
        ...

    def tls(self, extra_ca: str | None = None) -> ssl.SSLContext:
        """A verifying client context, kept."""
        ...

    async def in_thread(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """``function`` in a worker thread."""
        ...

    def explain(self, reply: ServerReply) -> Problem:
        """The problem behind a reply, by the catalogue's rules and those of installed plugins."""
        ...


class SignIn(Protocol):
    """How a grant comes about and is renewed. Core owns state, PKCE, storage, locking and the comparisons.

    Every method may raise Held (a person must act: scope ``client`` where the registration is at fault) and
    NotSent (a passing failure).
    """

    @property
    def kind(self) -> SignInKind:
        """What a person has to do."""
        ...

    @property
    def client(self) -> str:
        """The :class:`ClientInfo` name whose registration it uses."""
        ...

    @property
    def scopes(self) -> frozenset[str]:
        """What is asked for, to be compared with what was granted."""
        ...

    @property
    def resource(self) -> str:
        """The resource that a token is asked for to keep an idle grant alive."""
        ...

    async def begin(self, context: SignInContext, attempt: Attempt) -> Step:
        """Start a try."""
        ...

    async def finish(
        self, context: SignInContext, attempt: Attempt, query: Mapping[str, str]
    ) -> Grant | Step:
        """End it with the redirect's ``query``; a Step where a device sign-in is still waiting."""
        ...

    async def refresh(self, context: SignInContext, grant: Grant, resource: str) -> Refreshed:
        """A token for ``resource``, and the grant where it was rotated."""
        ...

    async def revoke(self, context: SignInContext, grant: Grant) -> None:
        """Give the grant back, where the vendor allows it."""
        ...
