"""What the catalogue fills in, so that an address whose domain is known needs nothing but a password."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.profile import Profile
from recapito.settings import secret_fields

if TYPE_CHECKING:
    from recapito.catalogue import Endpoint, Provider, Way
    from recapito.plugins import Plugins

__all__ = ["Proposal", "fitting_transport", "propose"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A profile completed from the catalogue: from which provider, way and endpoint (with source and date)."""

    profile: Profile
    provider: "Provider"
    way: "Way"
    endpoint: "Endpoint | None"
    filled: tuple[str, ...]


def fitting_transport(
    fields: Mapping[str, object], sender: str, plugins: "Plugins", *, has_password: bool
) -> str | None:
    """The transport that takes exactly such ``fields``: the provider's first way that does, else the only one.

    As for ``profile set``, ``has_password`` prefers the way that takes one.
    """
    able = [
        name for name, info in plugins.transports.items() if set(fields) <= set(info.settings.model_fields)
    ]
    provider = plugins.catalogue.for_domain(sender.rpartition("@")[2])
    ways = [way for way in provider.ways if way.transport in able] if provider else []
    if provider and ways:
        asked = [
            way for way in ways if has_password and provider.takes_passwords and way.credential == "password"
        ]
        return (asked or ways)[0].transport
    return able[0] if len(able) == 1 else None


def propose(profile: Profile, plugins: "Plugins", *, has_password: bool) -> Proposal | None:
    """``profile`` with transport and settings that the catalogue knows for its domain, where some are missing.

    A host that was given is never overruled. Where no transport was named, ``has_password`` prefers the way
    that takes one. None where nothing is to be filled. Raises Misconfigured where the transport cannot be
    known, or where the provider takes no mail through it, or no password; the problem names the way that works.
    """
    domain = profile.sender.rpartition("@")[2]
    provider = plugins.catalogue.for_domain(domain)
    if provider is None or profile.settings.get("host"):
        if not profile.transport:
            raise Misconfigured(problem("TRANSPORT-MISSING", domain=domain))
        return None
    way = _way(profile, provider, has_password, plugins)
    model = plugins.info(way.transport).settings
    if has_password and not provider.takes_passwords and not secret_fields(model):
        raise _other_way(provider)
    endpoint = _endpoint(way, profile)
    offered: dict[str, Any] = dict(way.settings) | (endpoint.settings if endpoint else {})
    filled = {
        name: value
        for name, value in offered.items()
        if name in model.model_fields and name not in profile.settings
    }
    completed = profile.with_(transport=way.transport, settings={**profile.settings, **filled})
    return Proposal(completed, provider, way, endpoint, tuple(sorted(filled)))


def _way(profile: Profile, provider: "Provider", has_password: bool, plugins: "Plugins") -> "Way":
    if not provider.ways:
        raise Misconfigured(problem("PROVIDER-ASK", provider=provider.title))
    if profile.transport:
        plugins.info(profile.transport)
        # A transport may be reached by two ways: by a token, and by a password that needs another setting.
        ways = [way for way in provider.ways if way.transport == profile.transport]
        taking = [way for way in ways if has_password and way.credential == "password"]
        way = next(iter(taking or ways), None)
        if way is None or (way.credential == "password" and not provider.takes_passwords):
            raise _other_way(provider, profile.transport)
        return way
    installed = [way for way in provider.ways if way.transport in plugins.transports]
    if not installed:
        plugins.info(provider.ways[0].transport)
    if has_password and provider.takes_passwords:
        return next((way for way in installed if way.credential == "password"), installed[0])
    return installed[0]


def _endpoint(way: "Way", profile: Profile) -> "Endpoint | None":
    """The best endpoint that agrees with what was already said about port and security."""
    said = {name: str(profile.settings[name]) for name in ("port", "security") if name in profile.settings}
    for endpoint in way.endpoints:
        if all(str(endpoint.settings[name]) == value for name, value in said.items()):
            return endpoint
    return way.endpoints[0] if way.endpoints else None


def _other_way(provider: "Provider", transport: str | None = None) -> Misconfigured:
    """What works instead of ``transport``, or of a password where none is named."""
    works = [way.transport for way in provider.ways if way.credential == "token" or provider.takes_passwords]
    ways = " / ".join(dict.fromkeys(works)) or None
    return Misconfigured(
        problem("PROVIDER-OTHER-WAY", provider=provider.title, transport=transport, ways=ways)
    )
