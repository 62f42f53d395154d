"""The SMTP toolkit, for transports that speak it: open a line, sign in, send, check.

A transport gives :func:`open_session` and :func:`check_steps` where the server is (:class:`SmtpSettings`) and how
to sign in (:class:`Password`, :class:`XOAuth2`, or its own :class:`Authenticate`).
"""

from recapito.smtp.auth import Authenticate, NoMechanism, Password, XOAuth2
from recapito.smtp.check import check_steps
from recapito.smtp.session import SmtpSession, open_session
from recapito.smtp.settings import DEFAULT_PORTS, Patience, Security, SmtpSettings
from recapito.smtp.unfit import unfit

__all__ = [
    "DEFAULT_PORTS",
    "Authenticate",
    "NoMechanism",
    "Password",
    "Patience",
    "Security",
    "SmtpSession",
    "SmtpSettings",
    "XOAuth2",
    "check_steps",
    "open_session",
    "unfit",
]
