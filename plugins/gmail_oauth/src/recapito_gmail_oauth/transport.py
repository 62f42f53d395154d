"""Sends through Gmail's SMTP server with an app password, by core's toolkit."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from recapito.catalogue import problem
from recapito.errors import Held, RecapitoError
from recapito.profile import Profile
from recapito.settings import misfit, validate
from recapito.smtp import Password, Patience, SmtpSession, SmtpSettings, check_steps, open_session
from recapito.texts import Phrase
from recapito.transport import CheckStep, Context
from recapito_gmail_oauth.settings import AVAILABLE, GmailSettings

if TYPE_CHECKING:
    from recapito.secret import Secrets

__all__ = ["Gmail"]

# Recipients of one transaction (support.google.com/a/answer/166852).
_RECIPIENTS = 100


class Gmail:
    """A :class:`~recapito.transport.Transport`; ``host`` and ``port`` are Gmail's, but for tests."""

    def __init__(self, host: str, port: int = 465, patience: Patience | None = None) -> None:
        self._server = SmtpSettings(
            host, port, "ssl", recipients=_RECIPIENTS, notices=False, patience=patience or Patience()
        )

    async def open(self, profile: Profile, context: Context) -> SmtpSession:
        """See :class:`~recapito.transport.Transport`; Held (SIGN-IN-NOT-AVAILABLE) for what is not built."""
        return await open_session(self._server, _password(profile, context.secrets), profile, context)

    async def check(
        self, profile: Profile, context: Context, send_to: str | None = None
    ) -> AsyncGenerator[CheckStep, None]:
        """See :class:`~recapito.transport.Transport`."""
        try:
            password = _password(profile, context.secrets)
        except RecapitoError as exc:
            yield CheckStep("sign-in", problem=exc.problem)
            return
        async with aclosing(check_steps(self._server, password, profile, context, send_to)) as steps:
            async for step in steps:
                yield step


def _password(profile: Profile, secrets: "Secrets") -> Password:
    wanted = str(profile.settings.get("sign_in") or AVAILABLE[0])
    if wanted not in AVAILABLE:
        raise Held(
            problem(
                "SIGN-IN-NOT-AVAILABLE",
                step="sign-in",
                transport=profile.transport,
                wanted=wanted,
                available=", ".join(AVAILABLE),
            )
        )
    validated, wrong = validate(GmailSettings, profile.settings, secrets)
    if validated is not None and "password" not in validated.secrets:
        wrong = {"password": Phrase("is missing", package="recapito_gmail_oauth")}
    if validated is None or wrong:
        raise misfit(profile.key, wrong)
    account = str(validated.settings.get("account") or profile.sender)
    return Password(account, validated.secrets["password"])
