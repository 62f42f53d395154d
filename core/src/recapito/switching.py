"""Moving a profile to another way as one act: from a password to a sign-in, from SMTP to an API."""

from typing import TYPE_CHECKING, Any

from recapito.access import NO_PERSON
from recapito.accounts import same_account
from recapito.catalogue import problem
from recapito.errors import NotFound
from recapito.operators import Changes
from recapito.settings import completed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recapito.plugins import Plugins
    from recapito.profile import Found, Profile
    from recapito.store import GrantRow
    from recapito.transport import TransportInfo

__all__ = ["choices", "needs_sign_in", "plan"]


def plan(profile: "Profile", to: str, plugins: "Plugins") -> Changes:
    """What moves ``profile`` to ``to``: a transport, ``transport:mode``, or the name of a mode.

    A mode is looked for in the profile's own transport, then in those of its provider's ways (by its server,
    else by its address), then in all, where only one has it. Whoever signed in stays who signs in. Raises
    NotFound (SWITCH-UNKNOWN) naming the choices.
    """
    name, _, mode = to.partition(":")
    if name in plugins.transports and (not mode or mode in plugins.transports[name].modes):
        return _to(profile, plugins.transports[name], mode)
    for info in _in_order(profile, plugins):
        if not mode and to in info.modes:
            return _to(profile, info, to)
    holders = [info for info in plugins.transports.values() if to in info.modes]
    if len(holders) == 1:
        return _to(profile, holders[0], to)
    known = ", ".join(choices(profile, plugins)) or "-"
    raise NotFound(problem("SWITCH-UNKNOWN", profile=str(profile.key), to=to, known=known))


def choices(profile: "Profile", plugins: "Plugins") -> tuple[str, ...]:
    """What :func:`plan` takes for this profile, the provider's ways first."""
    first = list(_in_order(profile, plugins))
    rest = [info for name, info in sorted(plugins.transports.items()) if info not in first]
    named: dict[str, None] = {}
    for info in (*first, *rest):
        for mode in info.modes:
            named.setdefault(mode if mode not in named else f"{info.name}:{mode}")
        if not info.modes:
            named.setdefault(info.name)
    return tuple(named)


def needs_sign_in(found: "Found", grant: "GrantRow | None", plugins: "Plugins") -> bool:
    """Whether the profile, as it would be, needs a sign-in that the ``grant`` it has does not stand for."""
    info = plugins.info(found.profile.transport)
    profile = found.profile.with_(settings=completed(info.settings, found.profile.settings))
    make = info.sign_ins.get(info.sign_in(profile))
    if make is None:
        return False
    wanted = make(profile)
    if grant is None or (grant.transport, grant.client) != (profile.transport, wanted.client):
        return True
    if grant.problem is not None and grant.problem.pauses:
        return True
    used = info.sign_ins.get(grant.sign_in)
    if used is None or (used(profile).kind in NO_PERSON) != (wanted.kind in NO_PERSON):
        return True
    other = bool(grant.account) and not same_account(grant.account, info.account(profile))
    return other or not used(profile).scopes <= grant.scopes


def _in_order(profile: "Profile", plugins: "Plugins") -> "Iterator[TransportInfo]":
    """The profile's own transport, then its provider's, each once."""
    host = str(profile.settings.get("host") or "")
    domain = profile.sender.rpartition("@")[2]
    provider = (plugins.catalogue.for_host(host) if host else None) or plugins.catalogue.for_domain(domain)
    ways = [way.transport for way in provider.ways] if provider else []
    for name in dict.fromkeys((profile.transport, *ways)):
        if name in plugins.transports:
            yield plugins.transports[name]


def _to(profile: "Profile", info: "TransportInfo", mode: str) -> Changes:
    chosen: Mapping[str, Any] = info.modes[mode] if mode else {}
    if info.name == profile.transport:
        # What other modes set is taken back, where this one does not set it itself.
        others = {name: None for each in info.modes.values() for name in each} if mode else {}
        return Changes(settings={**others, **chosen})
    return Changes(transport=info.name, settings={**_signer(profile, info), **chosen})


def _signer(profile: "Profile", info: "TransportInfo") -> dict[str, Any]:
    """Who signs in, where that is not the sender: it would be forgotten with the other transport's settings."""
    named = str(profile.settings.get("account") or profile.settings.get("username") or "")
    if "account" not in info.settings.model_fields or "@" not in named or same_account(named, profile.sender):
        return {}
    return {"account": named}
