"""Registers ``ms365_oauth``, and the kind of registration that companies bring for it."""

from recapito.hookspecs import TransportRegister, hookimpl
from recapito.texts import N_
from recapito.transport import Capabilities, ClientInfo, Transport, TransportInfo
from recapito_ms365_oauth.settings import MicrosoftClientSettings, Ms365Settings

__all__ = ["CLIENT", "INFO", "recapito_register_transports"]


def _transport() -> Transport:
    from recapito_ms365_oauth.transport import Ms365

    return Ms365()


INFO = TransportInfo(
    name="ms365_oauth",
    title=N_("Microsoft 365"),
    settings=Ms365Settings,
    factory=_transport,
    # It cannot send yet, so it claims nothing.
    capabilities=Capabilities(own_envelope=False, streams=False),
    host=lambda profile: "",  # noqa: ARG005 - there is no server yet
)

CLIENT = ClientInfo("microsoft", N_("Microsoft Entra app registration"), MicrosoftClientSettings)


@hookimpl
def recapito_register_transports(register: TransportRegister) -> None:
    """Offer the transport and the registration."""
    register.transport(INFO)
    register.client(CLIENT)
