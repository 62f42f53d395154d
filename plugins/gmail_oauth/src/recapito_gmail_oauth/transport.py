"""Sends through Gmail, by its API or its SMTP server, as each profile chose."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from recapito.errors import RecapitoError
from recapito.profile import Profile
from recapito.smtp import Patience, check_steps, open_session
from recapito.transport import CheckStep, Context, Session
from recapito_gmail_oauth import smtp
from recapito_gmail_oauth.google import Google
from recapito_gmail_oauth.settings import sends_by

__all__ = ["Gmail"]


class Gmail:
    """A :class:`~recapito.transport.Transport`. ``google`` says where Google is for profiles without a client."""

    def __init__(self, google: Google | None = None, patience: Patience | None = None) -> None:
        self._google = google or Google()
        self._patience = patience

    async def open(self, profile: Profile, context: Context) -> Session:
        """See :class:`~recapito.transport.Transport`."""
        google = self._place(context)
        if sends_by(profile.settings) == "api":
            from recapito_gmail_oauth import api

            return await api.open_session(google, profile, context)
        signs_in = smtp.authenticate(profile, context)
        return await open_session(smtp.server(google, self._patience), signs_in, profile, context)

    async def check(
        self, profile: Profile, context: Context, send_to: str | None = None
    ) -> AsyncGenerator[CheckStep, None]:
        """See :class:`~recapito.transport.Transport`."""
        try:
            trying = self._steps(profile, context, send_to)
        except RecapitoError as exc:
            yield CheckStep("sign-in", problem=exc.problem)
            return
        async with aclosing(trying) as steps:
            async for step in steps:
                yield step

    def _steps(
        self, profile: Profile, context: Context, send_to: str | None
    ) -> AsyncGenerator[CheckStep, None]:
        google = self._place(context)
        if sends_by(profile.settings) == "api":
            from recapito_gmail_oauth import api

            return api.check_steps(google, profile, context, send_to)
        signs_in = smtp.authenticate(profile, context)
        return check_steps(smtp.server(google, self._patience), signs_in, profile, context, send_to)

    def _place(self, context: Context) -> Google:
        return Google.of(context.client) if context.client else self._google
