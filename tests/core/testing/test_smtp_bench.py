"""A transport written with the SMTP toolkit passes every check on the kit's SMTP bench."""

from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, aclosing
from typing import Literal

from pydantic import BaseModel, SecretStr

from recapito.profile import Found, Profile
from recapito.secret import Secret, Secrets
from recapito.smtp import Password, SmtpSession, SmtpSettings, check_steps, open_session
from recapito.smtp.auth import Authenticate
from recapito.testing import SmtpBench, SmtpServer, TransportConformance
from recapito.transport import Capabilities, CheckStep, Context, TransportInfo


class Settings(BaseModel):
    host: str
    port: int
    security: Literal["ssl", "starttls", "plain"] = "ssl"
    username: str
    password: SecretStr | None = None


class Postman:
    """As small as a transport on the toolkit can be."""

    async def open(self, profile: Profile, context: Context) -> SmtpSession:
        return await open_session(_server(profile), await self._who(profile, context), profile, context)

    async def check(
        self, profile: Profile, context: Context, send_to: str | None = None
    ) -> AsyncGenerator[CheckStep, None]:
        who = await self._who(profile, context)
        async with aclosing(check_steps(_server(profile), who, profile, context, send_to)) as steps:
            async for step in steps:
                yield step

    async def _who(self, profile: Profile, context: Context) -> Authenticate:
        return Password(profile.settings["username"], context.secrets["password"])


def _server(profile: Profile) -> SmtpSettings:
    settings = profile.settings
    return SmtpSettings(settings["host"], settings["port"], settings["security"])


INFO = TransportInfo(
    "postman", "Postman", Settings, Postman, capabilities=Capabilities(delivery_notices=True)
)


def profile(server: SmtpServer, user: str, password: Secret) -> Found:
    settings = {"host": server.host, "port": server.port, "security": server.tls, "username": user}
    mine = Profile.of(user.partition("@")[0], sender=user, transport="postman", settings=settings)
    return Found(mine, Secrets({"password": password}), "1")


class TestPostman(TransportConformance):
    def make_bench(self) -> AbstractContextManager[SmtpBench]:
        return SmtpBench.of(INFO, profile)
