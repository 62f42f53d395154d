"""A desk to send from: one profile, its context, and servers of the kit to talk to."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from recapito.envelope import Envelope, Notify
from recapito.errors import DeliveryError
from recapito.profile import Found, Profile
from recapito.receipt import Receipt
from recapito.secret import Secret, Secrets
from recapito.smtp import (
    Password,
    Patience,
    SmtpSession,
    SmtpSettings,
    check_steps,
    learned,
    open_session,
)
from recapito.testing import CertificateAuthority, ScriptServer, SmtpServer, Specimen, TestContext
from recapito.transport import CheckStep

PASSWORD = 'Perché: «no»? "3\\4" d\'Anna'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_server_is_known() -> None:
    """What a server at one port taught must not be held against the next one there."""
    learned.forget()


@pytest.fixture(scope="session")
def authority() -> CertificateAuthority:
    return CertificateAuthority()


@dataclass
class Desk:
    """Where tests send from; ``patience`` is short, so that a silent server costs little."""

    authority: CertificateAuthority
    profile: Profile = field(
        default_factory=lambda: Profile.of("anna", sender="anna@example.it", transport="smtp_basic")
    )
    patience: Patience = field(
        default_factory=lambda: Patience(
            name=5,
            port=5,
            encryption=2,
            look=2,
            answer=2,
            sign_in=2,
            command=2,
            data=2,
            block=2,
            end=2,
            probe=0.3,
            goodbye=0.3,
        )
    )
    password: str = field(default=PASSWORD, repr=False)
    trust: str | None = None

    @property
    def context(self) -> TestContext:
        found = Found(self.profile, Secrets({"password": self.password}), "1")
        return TestContext(found, trust=self.authority.pem if self.trust is None else self.trust)

    def settings(
        self, server: SmtpServer | ScriptServer, security: str = "plain", **more: Any
    ) -> SmtpSettings:
        more = {"host": "localhost", "port": server.port, "patience": self.patience} | more
        return SmtpSettings(security=security, **more)

    def sign_in(self) -> Password:
        return Password(self.profile.sender, Secret(self.password))

    @asynccontextmanager
    async def open(
        self,
        server: SmtpServer | ScriptServer,
        security: str = "plain",
        *,
        signs_in: bool = False,
        **more: Any,
    ) -> AsyncIterator[SmtpSession]:
        session = await open_session(
            self.settings(server, security, **more),
            self.sign_in() if signs_in else None,
            self.profile,
            self.context,
        )
        try:
            yield session
        finally:
            await session.close()

    async def refusal(self, server: SmtpServer | ScriptServer, security: str, **more: Any) -> DeliveryError:
        """What opening raises."""
        with pytest.raises(DeliveryError) as caught:
            async with self.open(server, security, signs_in=True, **more):
                pass
        return caught.value

    async def check(
        self, server: SmtpServer | ScriptServer, security: str, send_to: str | None = None, **more: Any
    ) -> list[CheckStep]:
        steps = check_steps(
            self.settings(server, security, **more), self.sign_in(), self.profile, self.context, send_to
        )
        return [step async for step in steps]

    def mail(
        self,
        recipients: Sequence[str] = ("b@example.com",),
        *,
        notify: frozenset[Notify] = frozenset(),
        **more: Any,
    ) -> tuple[Envelope, Specimen]:
        content = Specimen.of(self.profile.sender, recipients, **more)
        return Envelope(self.profile.sender, tuple(recipients), notify), content

    async def send(
        self,
        session: SmtpSession,
        recipients: Sequence[str] = ("b@example.com",),
        *,
        seconds: float = 5.0,
        **more: Any,
    ) -> Receipt:
        envelope, content = self.mail(recipients, **more)
        deadline = asyncio.get_running_loop().time() + seconds
        return await session.deliver(envelope, content, deadline=deadline)

    async def error(self, session: SmtpSession, *args: Any, **more: Any) -> DeliveryError:
        """What sending raises."""
        with pytest.raises(DeliveryError) as caught:
            await self.send(session, *args, **more)
        return caught.value

    def patient(self, **seconds: float) -> "Desk":
        return replace(self, patience=replace(self.patience, **seconds))


@pytest.fixture
def desk(authority: CertificateAuthority) -> Desk:
    return Desk(authority)
