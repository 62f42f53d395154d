"""A vendor on paper: sign-ins of every kind without a network, and a transport that sends with their tokens.

It counts what it is asked, and answers as a test tells it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SecretStr

from recapito import Secrets, hookimpl
from recapito.profile import Profile
from recapito.secret import Secret
from recapito.testing import MemoryTransport, memory_info
from recapito.transport import (
    Attempt,
    ClientInfo,
    Context,
    Grant,
    Refreshed,
    Session,
    SignInContext,
    SignInKind,
    Step,
    Token,
    TransportInfo,
)

__all__ = ["PaperSettings", "PaperTransport", "Vendor"]


class PaperSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sign_in: Literal["code", "app", "password"] = "code"
    send_by: Literal["api", "smtp"] = "api"
    account: str | None = None


class PaperClient(BaseModel):
    model_config = ConfigDict(extra="forbid")
    client_id: str
    redirect_uri: str | None = None
    certificate: SecretStr | None = None
    client_secret: SecretStr | None = None


@dataclass
class Vendor:
    """What it says next, and what it was asked. ``account`` empty: it does not tell who consented."""

    account: str | None = None
    unticked: frozenset[str] = frozenset()
    #: Raised by what is asked next, once for each name: begin, finish, refresh, revoke.
    errors: dict[str, BaseException] = field(default_factory=dict)
    #: What crashes with an error that shows all that it was given.
    careless: str = ""
    #: How often a device is told to wait, and the seconds that it then waits.
    waits: int = 0
    interval: float = 5.0
    lives: timedelta = timedelta(hours=1)
    idle: timedelta | None = timedelta(days=90)
    asked: Counter[str] = field(default_factory=Counter)
    attempts: list[Attempt] = field(default_factory=list, repr=False)
    queries: list[dict[str, str]] = field(default_factory=list, repr=False)
    hints: list[str] = field(default_factory=list)

    def meets(self, what: str, *given: str) -> None:
        self.asked[what] += 1
        if what == self.careless:
            raise ValueError(f"bad answer to {given}")
        if error := self.errors.pop(what, None):
            raise error


@dataclass
class PaperSignIn:
    """One sign-in of the vendor's; made anew each time, as the contract says."""

    vendor: Vendor
    kind: SignInKind
    scopes: frozenset[str]
    expected: str
    client: str = "paper"
    resource: str = "mail"

    async def begin(self, context: SignInContext, attempt: Attempt) -> Step:
        self.vendor.attempts.append(attempt)
        self.vendor.hints.append(attempt.hint)
        self.vendor.meets("begin", attempt.state, attempt.verifier.reveal())
        if self.kind == "code":
            return Step(url=f"https://vendor.example/authorize?state={attempt.state}&hint={attempt.hint}")
        if self.kind == "device":
            return self._device_step()
        return Step()

    async def finish(
        self, context: SignInContext, attempt: Attempt, query: Mapping[str, str]
    ) -> Grant | Step:
        self.vendor.attempts.append(attempt)
        self.vendor.queries.append(dict(query))
        self.vendor.meets("finish", *query.values(), attempt.verifier.reveal())
        if self.kind == "device" and self.vendor.waits:
            self.vendor.waits -= 1
            return self._device_step()
        account = self.expected if self.vendor.account is None else self.vendor.account
        secret = Secret("" if self.kind == "app" else f"refresh-{account}")
        return Grant(
            account=account, scopes=self.scopes - self.vendor.unticked, secret=secret, idle_until=self._idle()
        )

    async def refresh(self, context: SignInContext, grant: Grant, resource: str) -> Refreshed:
        self.vendor.meets("refresh")
        number = self.vendor.asked["refresh"]
        value = Secret(f"token-{self.expected.replace('@', '-at-')}-{resource}-{number}")
        expires = datetime.now(UTC) + self.vendor.lives
        idle = self._idle()
        return Refreshed(Token(value, expires), replace(grant, idle_until=idle) if idle else None)

    async def revoke(self, context: SignInContext, grant: Grant) -> None:
        self.vendor.meets("revoke")

    def _idle(self) -> datetime | None:
        return datetime.now(UTC) + self.vendor.idle if self.vendor.idle else None

    def _device_step(self) -> Step:
        return Step(
            url="https://vendor.example/device",
            user_code="WDJB-MJHT",
            interval=self.vendor.interval,
            expires_at=datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=15),
            private=Secrets({"device_code": "device-secret"}),
        )


class PaperTransport(MemoryTransport):
    """Sends into memory, with a token for each session; ``tokens`` says whose went with which profile."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[tuple[str, str]] = []
        self.clients: list[Mapping[str, Any]] = []
        #: Done, once, after the next token was had and before anything else happens.
        self.meanwhile: Callable[[], object] | None = None

    async def open(self, profile: Profile, context: Context) -> Session:
        if profile.settings.get("sign_in") != "password":
            token = await context.token("mail")
            self.tokens.append((profile.key.operator, token.value.reveal()))
            self.clients.append(dict(context.client))
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await asyncio.to_thread(meanwhile)
        return await super().open(profile, context)


def paper_info(vendor: Vendor, transport: PaperTransport, name: str = "paper") -> TransportInfo:
    """The transport under ``name``; what it asks for depends on the way out, as the vendors' do."""

    def account(profile: Profile) -> str:
        return str(profile.settings.get("account") or profile.sender)

    def make(kind: SignInKind) -> Any:
        def made(profile: Profile) -> PaperSignIn:
            scopes = {"send", "email"} | ({"smtp"} if profile.settings.get("send_by") == "smtp" else set())
            return PaperSignIn(vendor, kind, frozenset(scopes if kind != "app" else ()), account(profile))

        return made

    def sign_in(profile: Profile) -> str:
        chosen = str(profile.settings.get("sign_in") or "code")
        return "" if chosen == "password" else chosen

    return replace(
        memory_info(transport, name),
        settings=PaperSettings,
        sign_ins={"code": make("code"), "device": make("device"), "app": make("app")},
        sign_in=sign_in,
        account=account,
        modes={
            "paper-api": {"sign_in": "code", "send_by": "api"},
            "paper-smtp": {"sign_in": "code", "send_by": "smtp"},
            "paper-app": {"sign_in": "app"},
        },
    )


def paper_hooks(vendor: Vendor, transport: PaperTransport, **hooks: Any) -> Any:
    """What a host gives a mailer as ``hooks``: the transport, its kind of registration, and hooks of a test's own."""

    def register(register: Any) -> None:
        register.transport(paper_info(vendor, transport))
        register.client(ClientInfo("paper", "Paper registration", PaperClient))

    named = {f"recapito_{name}": hookimpl(function) for name, function in hooks.items()}
    return SimpleNamespace(recapito_register_transports=hookimpl(register), **named)
