"""Registers ``gmail_oauth``, and the kinds of registration that companies bring for it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from recapito.hookspecs import TransportRegister, hookimpl
from recapito.limits import Limits
from recapito.profile import Profile
from recapito.texts import N_
from recapito.transport import Capabilities, ClientInfo, SignIn, Transport, TransportInfo
from recapito_gmail_oauth.client import GoogleClientSettings, ServiceAccountSettings
from recapito_gmail_oauth.google import API_HOST, MAXIMUM_RECIPIENTS, MAXIMUM_SIZE, SMTP_HOST, Google
from recapito_gmail_oauth.settings import CLIENTS, MODES, GmailSettings, grant_of, mailbox_of, sends_by

__all__ = ["CLIENT", "INFO", "SERVICE_ACCOUNT", "recapito_register_transports"]

# Gmail's server offers no delivery notices, and files what it takes among the sent messages.
_SMTP = Capabilities(keeps_sent_copy=True)
# The API takes recipients from the headers: it has no envelope.
_API = Capabilities(
    own_envelope=False, maximum_size=MAXIMUM_SIZE, maximum_recipients=MAXIMUM_RECIPIENTS, keeps_sent_copy=True
)

CLIENT = ClientInfo(CLIENTS["code"], N_("Google Cloud OAuth client"), GoogleClientSettings)
SERVICE_ACCOUNT = ClientInfo(
    CLIENTS["service-account"], N_("Google service account"), ServiceAccountSettings, loopback=""
)


def _transport() -> Transport:
    from recapito_gmail_oauth.transport import Gmail

    return Gmail()


def _mailbox(profile: Profile) -> str:
    return mailbox_of(profile.settings, profile.sender).lower()


def _host(profile: Profile) -> str:
    return API_HOST if sends_by(profile.settings) == "api" else SMTP_HOST


def _adapt(info: TransportInfo, profile: Profile, client: Mapping[str, Any]) -> TransportInfo:
    google = Google.of(client)
    if sends_by(profile.settings) == "api":
        return replace(info, capabilities=_API, host=_always(google.api_host))
    return replace(info, capabilities=_SMTP, host=_always(google.smtp_host))


def _always(host: str) -> Callable[[Profile], str]:
    return lambda _profile: host


def _code(profile: Profile) -> SignIn:
    from recapito_gmail_oauth.signin import GoogleSignIn

    return GoogleSignIn(CLIENT.name, sends_by(profile.settings))


def _service_account(profile: Profile) -> SignIn:
    from recapito_gmail_oauth.service_account import ServiceAccountSignIn

    return ServiceAccountSignIn(SERVICE_ACCOUNT.name, sends_by(profile.settings), _mailbox(profile))


INFO = TransportInfo(
    name="gmail_oauth",
    title=N_("Gmail"),
    settings=GmailSettings,
    factory=_transport,
    capabilities=_API,
    limits=Limits(recipients_per_message=MAXIMUM_RECIPIENTS),
    mailbox=_mailbox,
    host=_host,
    sign_ins={"code": _code, "service-account": _service_account},
    sign_in=lambda profile: grant_of(profile.settings),
    account=_mailbox,
    modes=MODES,
    adapt=_adapt,
)


@hookimpl
def recapito_register_transports(register: TransportRegister) -> None:
    """Offer the transport and the registrations."""
    register.transport(INFO)
    register.client(CLIENT)
    register.client(SERVICE_ACCOUNT)
