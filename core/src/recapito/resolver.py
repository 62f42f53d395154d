"""Which profile, as it is at this very moment, and whether it may send."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from recapito.access import Access, AccessReader
from recapito.catalogue import problem
from recapito.errors import Misconfigured, NotFound
from recapito.limits import Limits, Rate
from recapito.permits import Permits
from recapito.problem import Problem
from recapito.profile import Found, Profile, ProfileKey, ProfileSource
from recapito.route import Route, Routes
from recapito.sources import DictSource, ProfileDict
from recapito.store.names import refuse_impossible
from recapito.workers import Workers

if TYPE_CHECKING:
    from recapito.store import Store

P = ParamSpec("P")
T = TypeVar("T")

__all__ = ["NOTHING", "Resolved", "Resolver", "as_store"]

#: How a store keeps that a mailbox may send nothing for a while.
NOTHING = Rate(0, 1.0)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A profile's route, and why it is paused and by whom, if it is; ``lowered`` is what a server asked for."""

    route: Route
    paused: Problem | None = None
    paused_by: str = ""
    lowered: tuple[Limits, datetime] | None = None

    @property
    def limits(self) -> Limits:
        """Those of transport, provider and profile, and what a server asked for, while that holds."""
        if self.lowered is None or datetime.now(UTC) >= self.lowered[1]:
            return self.route.limits
        return self.route.limits.lowered_by(self.lowered[0])


class Resolver:
    """Finds profiles for one mailer, whatever keeps them."""

    def __init__(
        self,
        profiles: "ProfileDict | ProfileSource",
        store: "Store | None",
        routes: Routes,
        accesses: AccessReader,
        workers: Workers,
        permits: Permits,
    ) -> None:
        self._dict = DictSource(profiles) if isinstance(profiles, Mapping) else None
        self._source = self._dict or cast("ProfileSource", profiles)
        self._store = store
        self._routes = routes
        self._accesses = accesses
        self._workers = workers
        self._permits = permits
        self._kept: dict[ProfileKey, Resolved] = {}
        self._version: int | None = None

    async def resolve(self, key: ProfileKey) -> Resolved:
        """The profile now. Raises NotFound (PROFILE-UNKNOWN), or what :meth:`Routes.of` raises.

        Where a store keeps it, the store's version says whether what was read last still holds; a host's own
        source is asked each time.
        """
        if self._store is None:
            return Resolved(await self._route(key))
        version = await self._read_version(self._store)
        if version != self._version or len(self._kept) >= 10_000:
            self._kept.clear()  # what was read before may hold secrets that are no longer the profile's
            self._accesses.forget()
            self._version = version
        kept = self._kept.get(key)
        if kept is not None and self._source is self._store:
            return kept
        resolved = await self._in_thread(self._read, key)
        if version == self._version:
            self._kept[key] = resolved
        return resolved

    def current(self, key: ProfileKey) -> Found | None:
        """What the source has at this moment; blocking."""
        return self._source.get(key)

    def keeps(self, store: "Store") -> bool:
        """Whether the profiles are the store's own, and not a host's."""
        return self._source is store

    def access_now(self, profile: Profile) -> Access:
        """How the profile gets its tokens at this moment, whatever was read before; blocking."""
        return self._accesses.read(profile)

    async def draft(self, found: Found) -> Resolved:
        """The route of a profile that is not saved."""
        return Resolved(await self._in_thread(self._read_draft, found))

    def _read_draft(self, found: Found) -> Route:
        return self._routes.draft(found, self._accesses.read(found.profile))

    async def _read_version(self, store: "Store") -> int:
        version = store.version_at_once()
        return version if version is not None else await self._in_thread(store.version)

    async def _route(self, key: ProfileKey) -> Route:
        if self._dict is None:
            return await self._in_thread(self._read_route, key)
        found = _existing(key, self._dict.get(key))
        known = self._routes.kept(found, self._accesses.of(found.profile))
        return known if known is not None else await self._in_thread(self._route_of, found)

    def _read_route(self, key: ProfileKey) -> Route:
        return self._route_of(_existing(key, self._source.get(key)))

    def _route_of(self, found: Found) -> Route:
        return self._routes.of(found, self._accesses.of(found.profile))

    def _read(self, key: ProfileKey) -> Resolved:
        assert self._store is not None
        route = self._read_route(key)
        refuse_impossible(key)  # a host's own source may have what no journal can hold
        lowered = self._lowered(self._store, route)
        state = self._store.state(key)
        if not state.paused:
            return Resolved(route, lowered=lowered)
        by = state.by or ""
        return Resolved(route, state.problem or _paused(key, by), by, lowered)

    def _lowered(self, store: "Store", route: Route) -> tuple[Limits, datetime] | None:
        lowered = store.lowered(route.mailbox)
        if lowered is None or NOTHING not in lowered[0].rates:
            return lowered
        self._permits.block(route.mailbox, lowered[1])
        limits = lowered[0]
        return replace(limits, rates=tuple(rate for rate in limits.rates if rate != NOTHING)), lowered[1]

    async def _in_thread(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(
            self._workers, partial(function, *args, **kwargs)
        )


def as_store(profiles: object) -> "Store | None":
    """``profiles`` where it is a store, which then is the mailer's own."""
    module = sys.modules.get("recapito.store.store")  # not imported: then nobody can have made one
    return cast("Store", profiles) if module and isinstance(profiles, module.Store) else None


def _existing(key: ProfileKey, found: Found | None) -> Found:
    if found is None:
        raise NotFound(problem("PROFILE-UNKNOWN", profile=str(key), operator=key.operator))
    if found.profile.key != key:
        raise Misconfigured(problem("PROFILE-OTHER", profile=str(key), other=str(found.profile.key)))
    return found


def _paused(key: ProfileKey, by: str) -> Problem:
    return problem("PROFILE-PAUSED", profile=str(key), operator=key.operator, by=by)
