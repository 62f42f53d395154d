"""What the catalogue fills in, so that an address whose domain is known needs nothing but a password."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.profile import Profile

if TYPE_CHECKING:
    from recapito.catalogue import Endpoint, Provider, Way
    from recapito.plugins import Plugins

__all__ = ["Proposal", "propose"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A profile completed from the catalogue: from which provider and endpoint (with source and date)."""

    profile: Profile
    provider: "Provider"
    endpoint: "Endpoint | None"
    filled: tuple[str, ...]


def propose(profile: Profile, asked: str | None, plugins: "Plugins") -> Proposal | None:
    """``profile`` with transport and settings that the catalogue knows for its domain, where some are missing.

    None where nothing is to be filled. Raises Misconfigured where the transport cannot be known, or where the
    provider takes no mail through the one that was ``asked`` for.
    """
    domain = profile.sender.rpartition("@")[2]
    provider = plugins.catalogue.for_domain(domain)
    if provider is None or profile.settings.get("host"):
        if not profile.transport:
            raise Misconfigured(problem("TRANSPORT-MISSING", domain=domain))
        return None
    way = _way(profile, provider, asked, plugins)
    endpoint = way.endpoints[0] if way.endpoints else None
    offered: dict[str, Any] = dict(way.settings)
    if endpoint:
        offered |= {"host": endpoint.host, "port": endpoint.port, "security": endpoint.security}
    known = plugins.info(way.transport).settings.model_fields
    filled = {
        name: value for name, value in offered.items() if name in known and name not in profile.settings
    }
    completed = profile.with_(transport=way.transport, settings={**profile.settings, **filled})
    return Proposal(completed, provider, endpoint, tuple(sorted(filled)))


def _way(profile: Profile, provider: "Provider", asked: str | None, plugins: "Plugins") -> "Way":
    wanted = asked or profile.transport
    installed = [way for way in provider.ways if way.transport in plugins.transports]
    if wanted:
        for way in installed:
            if way.transport == wanted:
                return way
        plugins.info(wanted)
        _refuse(provider, wanted)
    if installed:
        return installed[0]
    if provider.ways:
        plugins.info(provider.ways[0].transport)
    raise Misconfigured(problem("PROVIDER-ASK", provider=provider.title))


def _refuse(provider: "Provider", wanted: str) -> None:
    ways = " / ".join(way.transport for way in provider.ways)
    if not ways:
        raise Misconfigured(problem("PROVIDER-ASK", provider=provider.title))
    raise Misconfigured(
        problem("PROVIDER-OTHER-WAY", provider=provider.title, transport=wanted, ways=ways, why="")
    )
