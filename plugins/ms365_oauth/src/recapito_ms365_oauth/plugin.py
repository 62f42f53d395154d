"""Registers ``ms365_oauth``, and the kind of registration that companies bring for it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from recapito.hookspecs import TransportRegister, hookimpl
from recapito.profile import Profile
from recapito.texts import N_
from recapito.transport import Capabilities, ClientInfo, SignIn, Transport, TransportInfo
from recapito_ms365_oauth.client import MicrosoftClientSettings
from recapito_ms365_oauth.limit import AT_ONCE, BY_DRAFT, GRAPH, RECIPIENTS, SMTP
from recapito_ms365_oauth.microsoft import Microsoft
from recapito_ms365_oauth.settings import (
    MODES,
    Ms365Settings,
    account_of,
    is_app,
    mailbox_of,
    permissions_of,
    sends_by,
    sends_large,
)

__all__ = ["CLIENT", "INFO", "recapito_register_transports"]

_GRAPH = Capabilities(
    own_envelope=False, maximum_size=AT_ONCE, maximum_recipients=RECIPIENTS, keeps_sent_copy=True
)
_GRAPH_LARGE = replace(_GRAPH, maximum_size=BY_DRAFT)
_SMTP = Capabilities(keeps_sent_copy=True, delivery_notices=True)

# Entra ignores the port of a redirect to localhost, and not of one to 127.0.0.1 (learn: redirect URI best practices).
CLIENT = ClientInfo(
    "microsoft",
    N_("Microsoft Entra app registration"),
    MicrosoftClientSettings,
    loopback="http://localhost:{port}/",
)


def _transport() -> Transport:
    from recapito_ms365_oauth.transport import Ms365

    return Ms365()


def _adapt(info: TransportInfo, profile: Profile, client: Mapping[str, Any]) -> TransportInfo:
    host = _host_at(Microsoft.of(client))
    if sends_by(profile.settings) == "smtp":
        return replace(info, capabilities=_SMTP, limits=SMTP, host=host)
    return replace(info, capabilities=_GRAPH_LARGE if sends_large(profile.settings) else _GRAPH, host=host)


def _host_at(microsoft: Microsoft) -> Callable[[Profile], str]:
    def host(profile: Profile) -> str:
        by_smtp = sends_by(profile.settings) == "smtp"
        return microsoft.server_for(profile.sender) if by_smtp else microsoft.graph_host

    return host


def _code(profile: Profile) -> SignIn:
    from recapito_ms365_oauth.signin import CodeSignIn

    return CodeSignIn(CLIENT.name, sends_by(profile.settings), permissions_of(profile))


def _device(profile: Profile) -> SignIn:
    from recapito_ms365_oauth.device import DeviceSignIn

    return DeviceSignIn(CLIENT.name, sends_by(profile.settings), permissions_of(profile))


def _app(profile: Profile) -> SignIn:
    from recapito_ms365_oauth.app import AppSignIn

    return AppSignIn(CLIENT.name, sends_by(profile.settings))


INFO = TransportInfo(
    name="ms365_oauth",
    title=N_("Microsoft 365"),
    settings=Ms365Settings,
    factory=_transport,
    capabilities=_GRAPH,
    limits=GRAPH,
    mailbox=lambda profile: mailbox_of(profile).lower(),
    host=_host_at(Microsoft()),
    sign_ins={"code": _code, "device": _device, "app": _app},
    sign_in=lambda profile: "app" if is_app(profile.settings) else "code",
    account=account_of,
    modes=MODES,
    adapt=_adapt,
)


@hookimpl
def recapito_register_transports(register: TransportRegister) -> None:
    """Offer the transport and the registration."""
    register.transport(INFO)
    register.client(CLIENT)
