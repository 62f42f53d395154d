"""Sends through one SMTP server with a password, by core's toolkit."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from recapito.catalogue import Catalogue, builtin, problem
from recapito.envelope import Notify
from recapito.errors import Held
from recapito.problem import Problem
from recapito.profile import Profile
from recapito.settings import misfit, validate
from recapito.smtp import Password, Patience, SmtpSession, SmtpSettings, check_steps, open_session
from recapito.transport import CheckStep, Context
from recapito_smtp_basic.settings import SmtpBasicSettings

if TYPE_CHECKING:
    from recapito.secret import Secrets

__all__ = ["SmtpBasic"]


class SmtpBasic:
    """A :class:`~recapito.transport.Transport`; ``catalogue`` says which hosts take no passwords."""

    def __init__(self, patience: Patience | None = None, catalogue: Catalogue | None = None) -> None:
        self._patience = patience or Patience()
        self._catalogue = catalogue or builtin()

    async def open(self, profile: Profile, context: Context) -> SmtpSession:
        """See :class:`~recapito.transport.Transport`; Misconfigured where the settings do not validate."""
        settings, password = self._understood(profile, context.secrets)
        if no_password := self._no_password(settings.host, profile):
            raise Held(no_password)
        return await open_session(settings, password, profile, context)

    async def check(
        self, profile: Profile, context: Context, send_to: str | None = None
    ) -> AsyncGenerator[CheckStep, None]:
        """See :class:`~recapito.transport.Transport`."""
        settings, password = self._understood(profile, context.secrets)
        if no_password := self._no_password(settings.host, profile):
            yield CheckStep("sign-in", problem=no_password)
            return
        async with aclosing(check_steps(settings, password, profile, context, send_to)) as steps:
            async for step in steps:
                yield step

    def _understood(self, profile: Profile, secrets: "Secrets") -> tuple[SmtpSettings, Password]:
        validated, wrong = validate(SmtpBasicSettings, profile.settings, secrets)
        if validated is None:
            raise misfit(profile.key, wrong)
        given = SmtpBasicSettings.model_construct(**validated.settings)
        settings = SmtpSettings(
            given.host,
            given.at_port,
            given.secured,
            ca=given.ca,
            helo=given.helo,
            notify=frozenset(Notify(kind) for kind in given.notify),
            window=given.window,
            patience=self._patience,
        )
        return settings, Password(given.username or profile.sender, validated.secrets["password"])

    def _no_password(self, host: str, profile: Profile) -> Problem | None:
        """The problem of a host that has stopped taking passwords: nothing is sent to it, the password least."""
        provider = self._catalogue.for_host(host)
        if provider is None or provider.takes_passwords:
            return None
        ways = " / ".join(way.transport for way in provider.ways if way.transport != profile.transport)
        return problem(
            "PROVIDER-OTHER-WAY",
            step="sign-in",
            host=host,
            provider=provider.title,
            transport=profile.transport,
            ways=ways,
        )
