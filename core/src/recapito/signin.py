"""The contract with a sign-in: how a grant comes about, what it leaves, and how it is renewed."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Protocol, TypeVar

from recapito.problem import Problem, require_zone
from recapito.reply import ServerReply
from recapito.secret import Secret, Secrets
from recapito.texts import Phrase

if TYPE_CHECKING:
    import logging

    from pydantic import BaseModel

__all__ = [
    "Attempt",
    "Client",
    "ClientInfo",
    "Grant",
    "Refreshed",
    "SignIn",
    "SignInContext",
    "SignInKind",
    "Step",
    "Token",
]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, checked for alphabet and size, and when it expires (with time zone)."""

    value: Secret
    expires_at: datetime

    def __post_init__(self) -> None:
        require_zone(self.expires_at, "Token.expires_at")


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """A kind of OAuth registration (``google``, ``microsoft``) that companies bring and transports share.

    ``loopback`` is the redirect URI by which a program on this machine gets the answer, ``{port}`` being any
    free port (RFC 8252 §7.3); empty: the vendor allows none. ``package`` is the import package whose gettext
    catalogue has the texts of the settings; empty: that of the settings model.
    """

    name: str
    title: str
    settings: "type[BaseModel]"
    loopback: str = "http://127.0.0.1:{port}/"
    package: str = ""

    @property
    def texts(self) -> str:
        """The import package whose catalogue has this registration's texts."""
        return self.package or self.settings.__module__.partition(".")[0]

    @property
    def shown(self) -> Phrase:
        """The title, in every language."""
        return Phrase(self.title, package=self.texts)


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

    def __post_init__(self) -> None:
        require_zone(self.expires_at, "Step.expires_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at signing in, kept by core so that any process can finish it.

    ``state`` goes to the vendor and comes back in the redirect, where core compares it before ``finish``.
    ``verifier`` is core's PKCE verifier (RFC 7636); a library that insists on its own keeps that one in
    ``Step.private``. ``hint`` is the address that is expected to sign in.
    """

    redirect_uri: str
    hint: str
    state: str = field(repr=False)
    verifier: Secret
    private: Secrets = field(default_factory=Secrets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a sign-in left: who granted what, and the secret that renews it.

    ``account`` is the address or sign-in name as the vendor spells it; empty where it was not told, and
    core then does not compare it with the sender. ``scopes`` are spelled as in :attr:`SignIn.scopes`.
    ``idle_until`` is when it dies unless it is used; None: it does not.
    """

    account: str
    scopes: frozenset[str]
    secret: Secret
    idle_until: datetime | None = None

    def __post_init__(self) -> None:
        require_zone(self.idle_until, "Grant.idle_until")


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
    NotSent (a passing failure). A sign-in is made anew in any process or loop, and keeps nothing between calls.
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
        """End it; a Step where a device sign-in is still waiting: it replaces the former one whole.

        ``query`` is the whole redirect or form_post, ``state`` and ``error`` included; empty for other kinds.
        A person's refusal and an offer that has expired are Held.
        """
        ...

    async def refresh(self, context: SignInContext, grant: Grant, resource: str) -> Refreshed:
        """A new token for ``resource``, never one from a cache of its own, within 25 s.

        The grant comes back too where it was rotated, or only its ``idle_until`` moved.
        """
        ...

    async def revoke(self, context: SignInContext, grant: Grant) -> None:
        """Give the grant back, where the vendor allows it."""
        ...
