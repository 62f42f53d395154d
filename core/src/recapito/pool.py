"""Open sessions, kept and used again: each belongs to one profile as it was at one revision.

A session is lent for one delivery (for several, up to its ``depth``), and closed when it was idle for a while,
when its profile or token changed, and whenever its state is in doubt.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from recapito.catalogue import problem
from recapito.errors import NotSent
from recapito.profile import Found, ProfileKey
from recapito.transport import Session

__all__ = ["Lease", "Pool", "Wanted"]

log = logging.getLogger("recapito.pool")

#: A token that is about to expire is not used for another message.
_MARGIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose session, through which mailbox, and how to open one.

    ``connections`` is how many the mailbox may have open; None: any number.
    """

    found: Found
    mailbox: str
    open: Callable[[], Awaitable[Session]]
    connections: int | None = None
    generation: str = ""

    @property
    def key(self) -> tuple[ProfileKey, str, str]:
        """What a session is kept under."""
        return self.found.profile.key, self.found.revision, self.generation


@dataclass(slots=True, eq=False)
class Lease:
    """A session and who is using it. ``reused`` is True where it has carried a message before this one."""

    wanted: Wanted
    session: Session
    under_way: int = 0
    reused: bool = False
    idle_since: float = 0.0
    retired: bool = False
    closing: asyncio.Task[None] | None = None

    def serves(self, wanted: Wanted) -> bool:
        """Whether it may carry a message of ``wanted``: the same profile and secrets, to the letter."""
        mine, asked = self.wanted.found, wanted.found
        same = mine is asked or (mine.profile == asked.profile and mine.secrets == asked.secrets)
        return same and self.wanted.key == wanted.key and self.alive

    @property
    def alive(self) -> bool:
        """Whether it may carry another message at all."""
        if self.retired or self.closing:
            return False
        try:
            until = self.session.usable_until
            return self.session.usable and (until is None or until > datetime.now(UTC) + _MARGIN)
        except Exception:
            # A plugin's fault that must not take the place of a receipt, nor of another message's.
            log.exception(
                "%s: its session does not say whether it is usable", self.wanted.found.profile.transport
            )
            return False


class Pool:
    """The sessions of one mailer, all on one loop.

    ``idle`` seconds after its last message a session is closed. At most ``maximum`` are open at once: above it the
    one that was idle longest makes room, and where none is idle, the next one waits.
    """

    def __init__(self, *, idle: float = 60.0, maximum: int = 200) -> None:
        self._idle = idle
        self._maximum = maximum
        self._leases: dict[ProfileKey, list[Lease]] = {}
        self._outside: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    def ready(self, wanted: Wanted) -> Lease | None:
        """An open session for ``wanted`` that is free, or None. Hand it back with :meth:`give`."""
        best: Lease | None = None
        for lease in tuple(self._leases.get(wanted.found.profile.key, ())):
            if not lease.serves(wanted):
                self._retire(lease)
            elif lease.under_way < lease.session.depth and (best is None or _rank(lease) < _rank(best)):
                best = lease
        if best is not None:
            best.under_way += 1
        return best

    async def take(self, wanted: Wanted, *, fresh: bool = False) -> Lease:
        """A session for ``wanted``, open already unless ``fresh``; raises what opening raises.

        Hand it back with :meth:`give`.
        """
        lease = None if fresh else self.ready(wanted)
        if lease is None:
            lease = await self._open(wanted)
            lease.under_way += 1
        return lease

    def give(self, lease: Lease, *, broken: bool = False) -> None:
        """The delivery has ended; ``broken`` where it ended in a way that leaves the session in doubt."""
        lease.under_way -= 1
        lease.reused = True
        if broken or not lease.alive:
            self._retire(lease)
        elif not lease.under_way:
            loop = asyncio.get_running_loop()
            lease.idle_since = loop.time()
            if self._timer is None:
                self._timer = loop.call_later(self._idle, self._sweep)
        self._changed.set()

    @asynccontextmanager
    async def outside(self, mailbox: str, connections: int | None) -> AsyncIterator[None]:
        """Room for a connection that the pool does not keep (a check's own), counted while the block runs."""
        await self._room(mailbox, connections)
        self._outside[mailbox] += 1
        try:
            yield
        finally:
            self._outside[mailbox] -= 1
            self._changed.set()

    async def close(self, timeout: float) -> None:
        """Close every session, those that carry a message too; what has not closed in time is dropped."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        for lease in tuple(self._all()):
            self._close(lease)
        if tasks := [lease.closing for lease in self._all() if lease.closing]:
            _, late = await asyncio.wait(tasks, timeout=timeout)
            for task in late:
                task.cancel()

    def sessions(self) -> Iterator[Session]:
        """Every session that is open."""
        return (lease.session for lease in self._all())

    async def _open(self, wanted: Wanted) -> Lease:
        async with self.outside(wanted.mailbox, wanted.connections):
            lease = Lease(wanted, await wanted.open())
            self._leases.setdefault(wanted.found.profile.key, []).append(lease)
        if self._over:  # it was being opened meanwhile, and nobody would close it any more
            self._close(lease)
            raise NotSent(problem("MAILER-CLOSED"))
        return lease

    async def _room(self, mailbox: str, connections: int | None) -> None:
        """Wait until one more connection is within both limits, closing idle ones for it."""
        while True:
            mine = [lease for lease in self._all() if lease.wanted.mailbox == mailbox]
            if connections is not None and len(mine) + self._outside[mailbox] >= max(1, connections):
                self._close_longest_idle(mine)
            elif sum(map(len, self._leases.values())) + self._outside.total() >= self._maximum:
                self._close_longest_idle(list(self._all()))
            else:
                return
            self._changed.clear()
            await self._changed.wait()

    def _close_longest_idle(self, leases: list[Lease]) -> None:
        if any(lease.closing for lease in leases):
            return
        if idle := [lease for lease in leases if not lease.under_way]:
            self._close(min(idle, key=lambda lease: lease.idle_since))

    def _retire(self, lease: Lease) -> None:
        lease.retired = True
        if not lease.under_way:
            self._close(lease)

    def _close(self, lease: Lease) -> None:
        if lease.closing is None:
            lease.closing = asyncio.get_running_loop().create_task(self._closed(lease))

    async def _closed(self, lease: Lease) -> None:
        try:
            async with asyncio.timeout(5):
                await lease.session.close()
        except Exception as exc:  # noqa: BLE001 - a session that cannot say goodbye is gone all the same
            log.debug("%s: closing: %s", lease.wanted.found.profile.transport, type(exc).__name__)
        finally:
            key = lease.wanted.found.profile.key
            self._leases[key].remove(lease)
            if not self._leases[key]:
                del self._leases[key]
            self._changed.set()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        idle = [lease for lease in self._all() if not lease.under_way and not lease.closing]
        for lease in idle:
            if lease.idle_since + self._idle <= loop.time():
                self._close(lease)
        if waiting := [lease.idle_since for lease in idle if not lease.closing]:
            self._timer = loop.call_at(min(waiting) + self._idle, self._sweep)

    def _all(self) -> Iterator[Lease]:
        return (lease for leases in self._leases.values() for lease in leases)


def _rank(lease: Lease) -> tuple[int, float]:
    """The least busy first; of idle ones the last used, so that the others can go."""
    return lease.under_way, -lease.idle_since
