"""What a sign-in is for: which profile, by which of its transport's sign-ins, through which client."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recapito.access import NO_PERSON, client_of, no_client
from recapito.catalogue import problem
from recapito.errors import Held, Misconfigured, NotFound
from recapito.operators import Changes, Operators, Prepared
from recapito.profile import Found, Profile, ProfileKey
from recapito.settings import completed, misfit
from recapito.signin import Client, SignIn
from recapito.texts import Phrase

if TYPE_CHECKING:
    from recapito.plugins import Plugins
    from recapito.store import Store
    from recapito.transport import TransportInfo

__all__ = ["Aim", "Aiming"]


@dataclass(frozen=True, slots=True)
class Aim:
    """``found`` is the profile as it is, or as ``prepared`` would make it; ``name`` the transport's name for the
    sign-in. ``account`` is who is expected.
    """

    found: Found
    info: "TransportInfo"
    name: str
    sign_in: SignIn
    client: Client
    account: str
    prepared: Prepared | None = None


class Aiming:
    """Finds out; blocking, any thread. ``current`` asks where the profiles come from; ``hosted``: not the store."""

    def __init__(
        self,
        store: "Store",
        plugins: "Plugins",
        current: Callable[[ProfileKey], Found | None],
        *,
        hosted: bool,
    ) -> None:
        self._store = store
        self._plugins = plugins
        self._current = current
        self._hosted = hosted

    def at(self, key: ProfileKey, kind: str | None, changes: Changes | None) -> Aim:
        """The aim of a sign-in of ``kind`` (None: the profile's own).

        Raises NotFound (PROFILE-UNKNOWN), Misconfigured (SIGN-IN-NONE, SIGN-IN-KIND, PROFILE-HOSTED, what the
        profile's settings lack) and Held (CLIENT-MISSING).
        """
        found, prepared = self._profile(key, changes)
        offered = self._plugins.info(found.profile.transport)
        profile = found.profile.with_(settings=completed(offered.settings, found.profile.settings))
        name, sign_in = _chosen(offered, profile, kind)
        client = client_of(self._store, self._plugins, key.company, sign_in.client)
        if client is None:
            raise Held(no_client(self._plugins, sign_in.client))
        info = offered.for_profile(profile, client.settings)
        return Aim(found, info, name, sign_in, client, info.account(profile), prepared)

    def again(self, key: ProfileKey, transport: str, name: str, client: str, changes: Changes | None) -> Aim:
        """The aim of a sign-in that was begun before; Misconfigured (PROFILE-CHANGED) where it is no longer so."""
        found, prepared = self._profile(key, changes)
        offered = self._plugins.info(found.profile.transport)
        profile = found.profile.with_(settings=completed(offered.settings, found.profile.settings))
        make, own = offered.sign_ins.get(name), offered.sign_ins.get(offered.sign_in(profile))
        sign_in = make(profile) if make else None
        same = found.profile.transport == transport and sign_in is not None and sign_in.client == client
        if not same or own is None or sign_in is None or not _alike(own(profile), sign_in):
            raise Misconfigured(problem("PROFILE-CHANGED", profile=str(key), operator=key.operator))
        there = client_of(self._store, self._plugins, key.company, client)
        if there is None:
            raise Held(no_client(self._plugins, client))
        info = offered.for_profile(profile, there.settings)
        return Aim(found, info, name, sign_in, there, info.account(profile), prepared)

    def _profile(self, key: ProfileKey, changes: Changes | None) -> tuple[Found, Prepared | None]:
        if changes is None:
            return self._existing(key), None
        if self._hosted:
            raise Misconfigured(problem("PROFILE-HOSTED", profile=str(key), operator=key.operator))
        if typed := [name for name in changes.secrets if changes.secrets[name]]:
            raise misfit(key, {name: Phrase("cannot be saved together with a sign-in") for name in typed})
        prepared = Operators(self._store, self._plugins).prepare(key, changes)
        return prepared.found, prepared

    def _existing(self, key: ProfileKey) -> Found:
        found = self._current(key)
        if found is None:
            raise NotFound(problem("PROFILE-UNKNOWN", profile=str(key), operator=key.operator))
        if found.profile.key != key:
            raise Misconfigured(problem("PROFILE-OTHER", profile=str(key), other=str(found.profile.key)))
        return found


def _chosen(info: "TransportInfo", profile: Profile, kind: str | None) -> tuple[str, SignIn]:
    name = info.sign_in(profile)
    if not name or name not in info.sign_ins:
        key = profile.key
        raise Misconfigured(
            problem("SIGN-IN-NONE", profile=str(key), transport=info.shown, operator=key.operator)
        )
    own = info.sign_ins[name](profile)
    if kind is None or kind == own.kind:
        return name, own
    others = {each: make(profile) for each, make in info.sign_ins.items()}
    for each, other in others.items():
        if other.kind == kind and _alike(own, other):
            return each, other
    known = ", ".join(dict.fromkeys(other.kind for other in others.values() if _alike(own, other)))
    raise Misconfigured(problem("SIGN-IN-KIND", transport=info.shown, kind=kind, known=known))


def _alike(one: SignIn, other: SignIn) -> bool:
    """Whether both leave a grant that the profile can use: a browser and a device do, an app's own does not."""
    persons = one.kind not in NO_PERSON and other.kind not in NO_PERSON
    return one.client == other.client and (persons or one.kind == other.kind)
