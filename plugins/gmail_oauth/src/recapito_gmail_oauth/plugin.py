"""Registers ``gmail_oauth``, and the kind of registration that companies bring for it."""

from recapito.hookspecs import TransportRegister, hookimpl
from recapito.limits import Limits
from recapito.profile import Profile
from recapito.texts import N_
from recapito.transport import Capabilities, ClientInfo, Transport, TransportInfo
from recapito_gmail_oauth.settings import GmailSettings, GoogleClientSettings

__all__ = ["CLIENT", "INFO", "recapito_register_transports"]

HOST = "smtp.gmail.com"


def _transport() -> Transport:
    from recapito_gmail_oauth.transport import Gmail

    return Gmail(HOST)


def _mailbox(profile: Profile) -> str:
    return str(profile.settings.get("account") or profile.sender).lower()


INFO = TransportInfo(
    name="gmail_oauth",
    title=N_("Gmail"),
    settings=GmailSettings,
    factory=_transport,
    # Gmail's server offers no delivery notices, and files what it takes among the sent messages.
    capabilities=Capabilities(keeps_sent_copy=True),
    limits=Limits(recipients_per_message=100),
    mailbox=_mailbox,
    host=lambda profile: HOST,  # noqa: ARG005 - the same for every profile
)

CLIENT = ClientInfo("google", N_("Google Cloud OAuth client"), GoogleClientSettings)


@hookimpl
def recapito_register_transports(register: TransportRegister) -> None:
    """Offer the transport and the registration."""
    register.transport(INFO)
    register.client(CLIENT)
