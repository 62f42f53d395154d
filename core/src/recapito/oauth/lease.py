"""The right to renew a grant, which one of all threads, processes and machines has at a time."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import uuid4

if TYPE_CHECKING:
    from recapito.store import GrantRow, Store

__all__ = ["InThread", "Leases"]

log = logging.getLogger("recapito.oauth.vault")

T = TypeVar("T")

# Seconds between two looks at a grant that somebody else renews: a refresh takes some tenths of a second.
_LOOK = (0.03, 0.1)
# After so many looks it is asked whether the lease is over: the store's clock says so, not that of a waiter.
_LOOKS = 10


class InThread(Protocol):
    """Runs blocking functions in worker threads."""

    def __call__(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Awaitable[T]:
        """The result of ``function(*args, **kwargs)``."""
        ...


class Leases:
    """Leases of ``seconds`` on the grants of one store; whoever dies with one keeps others waiting that long."""

    def __init__(self, store: "Store", in_thread: InThread, seconds: float) -> None:
        self._store = store
        self._in_thread = in_thread
        self._seconds = seconds

    async def taken(self, row: "GrantRow") -> str | None:
        """Who has the lease now: a name of the caller's. None, after waiting, once the grant is not as in ``row``."""
        owner = uuid4().hex
        try:
            return await self._taken(row, owner)
        except BaseException:  # cancelled, or a store that fails: nobody waits for a lease that is not used
            await self.given_back(row, owner)
            raise

    async def _taken(self, row: "GrantRow", owner: str) -> str | None:
        while not await self._asked_for(row, owner):
            if await self._changed(row):
                return None
        # A failure is remembered without a new generation: the one who had it before may have met one.
        if _same(row, await self._in_thread(self._store.grant, row.key)):
            return owner
        await self.given_back(row, owner)
        return None

    async def _asked_for(self, row: "GrantRow", owner: str) -> bool:
        """Whether it is had. Who is cancelled waits for the thread that asks: it cannot be stopped."""
        asked = asyncio.ensure_future(
            self._in_thread(self._store.lease_grant, row.key, row.id, row.generation, owner, self._seconds)
        )
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            await asyncio.wait({asked})
            raise

    async def _changed(self, row: "GrantRow") -> bool:
        """Whether the grant has changed, after a while; False where it may have been let go of."""
        for _ in range(_LOOKS):
            await asyncio.sleep(random.uniform(*_LOOK))  # noqa: S311 - spreads looks, hides nothing
            now = await self._in_thread(self._store.grant, row.key)
            if not _same(row, now):
                return True
            if now is None or now.lease_until is None:
                return False
        return False

    async def given_back(self, row: "GrantRow", owner: str) -> None:
        """Let others have it. A store that fails is logged: it must not take the place of what happened before."""
        try:
            await self._in_thread(self._store.release_grant, row.key, row.id, owner)
        except Exception as exc:  # noqa: BLE001 - it runs out
            log.warning("%s: the lease could not be given back: %s", row.key, type(exc).__name__)


def _same(row: "GrantRow", now: "GrantRow | None") -> bool:
    """Whether a grant is as it was: the same sign-in, not renewed, and with the same failure or none."""
    return now is not None and _state(row) == _state(now)


def _state(row: "GrantRow") -> tuple[object, ...]:
    return row.id, row.generation, row.problem, row.client_revision
