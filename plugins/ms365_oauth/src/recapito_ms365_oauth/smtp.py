"""Microsoft's SMTP server: where it is, and how a profile signs in there."""

from functools import partial
from typing import TYPE_CHECKING

from recapito.smtp import Patience, SmtpSettings, XOAuth2
from recapito_ms365_oauth.limit import RECIPIENTS
from recapito_ms365_oauth.settings import mailbox_of

if TYPE_CHECKING:
    from recapito.profile import Profile
    from recapito.transport import Context, Token
    from recapito_ms365_oauth.microsoft import Microsoft

__all__ = ["authenticate", "server"]


def server(microsoft: "Microsoft", profile: "Profile", patience: Patience | None = None) -> SmtpSettings:
    """Where the server is. Microsoft offers STARTTLS only (learn.microsoft.com: SMTP AUTH client submission)."""
    return SmtpSettings(
        microsoft.server_for(profile.sender),
        microsoft.smtp_port,
        "starttls",
        ca=microsoft.ca,
        recipients=RECIPIENTS,
        patience=patience or Patience(),
    )


def authenticate(profile: "Profile", context: "Context") -> XOAuth2:
    """By a token, to the mailbox that sends: the token may be another's, the name is the mailbox's."""
    return XOAuth2(mailbox_of(profile), partial(_token, context))


async def _token(context: "Context", refused: "Token | None") -> "Token":
    return await context.token("smtp", refused=refused)
