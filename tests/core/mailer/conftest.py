"""Operators who send into memory, and sessions that do as they are told."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr

from recapito import Found, Message, Profile, Receipt, Secrets
from recapito.envelope import Envelope
from recapito.outcome import Outcome
from recapito.permits import Permits
from recapito.smtp import Password, Patience, SmtpSession, SmtpSettings, check_steps, open_session
from recapito.testing import MemoryTransport, SmtpServer
from recapito.transport import CheckStep, Context, TransportInfo

if TYPE_CHECKING:
    from datetime import datetime


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _limits_of_its_own() -> None:
    """Mailboxes have the same names in many tests, and one process counts for all its mailers."""
    Permits.forget()


@pytest.fixture
def memory() -> MemoryTransport:
    return MemoryTransport()


@pytest.fixture
def anna() -> Profile:
    return Profile.of("anna", sender="anna@example.it", transport="memory")


@pytest.fixture
def message() -> Message:
    return Message(to=["cliente@example.com"], subject="Fattura 12", text="In allegato.")


@pytest.fixture
def found_for() -> Callable[..., Found]:
    def make(operator: str, revision: str = "1", password: str = "", **rest: object) -> Found:
        profile = Profile.of(
            operator,
            sender=f"{operator}@example.it",
            transport="memory",
            **rest,  # type: ignore[arg-type]
        )
        return Found(profile, Secrets({"password": password} if password else {}), revision)

    return make


class ToldSession:
    """A session whose every property a test may set; it counts what is done to it."""

    def __init__(self, depth: int = 1) -> None:
        self.depth = depth
        self.usable = True
        self.usable_until: datetime | None = None
        self.closed = 0
        self.under_way = 0
        self.most_under_way = 0
        self.slow_close = 0.0
        self.answer: Callable[[Envelope], Receipt] = lambda envelope: Receipt.for_all(
            envelope.recipients, Outcome.ACCEPTED
        )

    async def deliver(self, envelope: Envelope, content: object, *, deadline: float) -> Receipt:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            return self.answer(envelope)
        finally:
            self.under_way -= 1

    async def close(self) -> None:
        await asyncio.sleep(self.slow_close)
        self.closed += 1
        self.usable = False


@pytest.fixture
def told_session() -> type[ToldSession]:
    return ToldSession


class PlainSmtp:
    """SMTP by core's own toolkit, as a plugin would do it, with a patience that tests choose."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience

    def settings(self, profile: Profile) -> SmtpSettings:
        given = profile.settings
        return SmtpSettings(
            given["host"], given["port"], given["security"], ca=given.get("ca"), patience=self.patience
        )

    async def open(self, profile: Profile, context: Context) -> SmtpSession:
        password = Password(profile.sender, context.secrets["password"])
        return await open_session(self.settings(profile), password, profile, context)

    async def check(
        self, profile: Profile, context: Context, send_to: str | None = None
    ) -> AsyncGenerator[CheckStep, None]:
        password = Password(profile.sender, context.secrets["password"])
        async with aclosing(
            check_steps(self.settings(profile), password, profile, context, send_to)
        ) as steps:
            async for step in steps:
                yield step


class PlainSmtpSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    host: str
    port: int
    security: str = "ssl"
    ca: str | None = None
    password: SecretStr | None = None


@pytest.fixture
def smtp_info() -> Callable[..., TransportInfo]:
    def make(**patience: float) -> TransportInfo:
        return TransportInfo(
            "plain_smtp", "SMTP", PlainSmtpSettings, factory=lambda: PlainSmtp(Patience(**patience))
        )

    return make


@pytest.fixture
def found_at() -> Callable[[SmtpServer, str], Found]:
    """The profile of a user of a server."""

    def make(server: SmtpServer, operator: str) -> Found:
        sender = f"{operator}@example.it"
        profile = Profile.of(
            operator,
            sender=sender,
            transport="plain_smtp",
            settings={
                "host": server.host,
                "port": server.port,
                "security": server.tls,
                "ca": server.pem if server.tls != "plain" else None,
            },
        )
        return Found(profile, Secrets({"password": server.users[sender]}), "1")

    return make
