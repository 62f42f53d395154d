"""Sends through Microsoft 365, by Graph or by SMTP, as each profile chose."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from recapito.profile import Profile
from recapito.smtp import Patience
from recapito.smtp import check_steps as smtp_steps
from recapito.smtp import open_session as open_smtp
from recapito.transport import CheckStep, Context, Session
from recapito_ms365_oauth import graph, smtp
from recapito_ms365_oauth.limit import AT_ONCE
from recapito_ms365_oauth.microsoft import Microsoft
from recapito_ms365_oauth.settings import sends_by

__all__ = ["Ms365"]


class Ms365:
    """A :class:`~recapito.transport.Transport`.

    ``patience`` is for its SMTP; ``at_once`` the bytes above which a profile's large messages become drafts.
    """

    def __init__(self, patience: Patience | None = None, at_once: int = AT_ONCE) -> None:
        self._patience = patience
        self._at_once = at_once

    async def open(self, profile: Profile, context: Context) -> Session:
        """See :class:`~recapito.transport.Transport`."""
        microsoft = Microsoft.of(context.client)
        if sends_by(profile.settings) == "graph":
            return await graph.open_session(microsoft, profile, context, self._at_once)
        server = smtp.server(microsoft, profile, self._patience)
        return await open_smtp(server, smtp.authenticate(profile, context), profile, context)

    async def check(
        self, profile: Profile, context: Context, send_to: str | None = None
    ) -> AsyncGenerator[CheckStep, None]:
        """See :class:`~recapito.transport.Transport`."""
        async with aclosing(self._steps(profile, context, send_to)) as steps:
            async for step in steps:
                yield step

    def _steps(
        self, profile: Profile, context: Context, send_to: str | None
    ) -> AsyncGenerator[CheckStep, None]:
        microsoft = Microsoft.of(context.client)
        if sends_by(profile.settings) == "graph":
            return graph.check_steps(microsoft, profile, context, send_to, self._at_once)
        server = smtp.server(microsoft, profile, self._patience)
        return smtp_steps(server, smtp.authenticate(profile, context), profile, context, send_to)
