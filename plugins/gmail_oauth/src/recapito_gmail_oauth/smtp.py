"""Gmail's SMTP server: where it is, and how a profile signs in there."""

from functools import partial
from typing import TYPE_CHECKING

from recapito.settings import misfit, validate
from recapito.smtp import Password, Patience, SmtpSettings, XOAuth2
from recapito.texts import Phrase
from recapito_gmail_oauth.google import MAIL, MAXIMUM_RECIPIENTS, Google
from recapito_gmail_oauth.settings import GmailSettings, grant_of, mailbox_of

if TYPE_CHECKING:
    from recapito.profile import Profile
    from recapito.transport import Context, Token

__all__ = ["authenticate", "server"]

_STARTTLS_PORT = 587


def server(google: Google, patience: Patience | None = None) -> SmtpSettings:
    """Where the server is: encrypted from the first byte, but on port 587."""
    return SmtpSettings(
        google.smtp_host,
        google.smtp_port,
        "starttls" if google.smtp_port == _STARTTLS_PORT else "ssl",
        ca=google.ca,
        recipients=MAXIMUM_RECIPIENTS,
        notices=False,
        patience=patience or Patience(),
    )


def authenticate(profile: "Profile", context: "Context") -> Password | XOAuth2:
    """By a token of the grant's, or by an app password; Misconfigured where that is missing.

    A token signs in to the mailbox that it was issued for (developers.google.com/gmail/imap/xoauth2-protocol).
    """
    account = mailbox_of(profile.settings, profile.sender)
    if grant_of(profile.settings):
        return XOAuth2(account, partial(_token, context))
    validated, wrong = validate(GmailSettings, profile.settings, context.secrets)
    if validated is not None and "password" not in validated.secrets:
        wrong = {"password": Phrase("is missing", package="recapito_gmail_oauth")}
    if validated is None or wrong:
        raise misfit(profile.key, wrong)
    return Password(account, validated.secrets["password"])


async def _token(context: "Context", refused: "Token | None") -> "Token":
    return await context.token(MAIL, refused=refused)
