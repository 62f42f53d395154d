"""Registers ``smtp_basic``; no network library is loaded until a message is sent."""

from recapito.hookspecs import TransportRegister, hookimpl
from recapito.profile import Profile
from recapito.texts import N_
from recapito.transport import Capabilities, Transport, TransportInfo
from recapito_smtp_basic.settings import SmtpBasicSettings

__all__ = ["INFO", "recapito_register_transports"]


def _transport() -> Transport:
    from recapito_smtp_basic.transport import SmtpBasic

    return SmtpBasic()


def _mailbox(profile: Profile) -> str:
    user = profile.settings.get("username") or profile.sender
    return f"{user}@{profile.settings.get('host', '')}".lower()


INFO = TransportInfo(
    name="smtp_basic",
    title=N_("SMTP with a password"),
    settings=SmtpBasicSettings,
    factory=_transport,
    capabilities=Capabilities(delivery_notices=True),
    mailbox=_mailbox,
)


@hookimpl
def recapito_register_transports(register: TransportRegister) -> None:
    """Offer the one transport of this package."""
    register.transport(INFO)
