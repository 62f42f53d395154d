"""Open sessions, kept and used again: each belongs to one profile as it was at one revision.

A session is lent for one delivery (for several, up to its ``depth``), and closed when it was idle for a while,
when its profile or token changed, and whenever its state is in doubt.

Theory of fairness. Whoever finds no room waits in one line, first come first served. An idle session of others makes
room at once. Where all are busy, one is closed as it is given back: of a profile that holds more than the one who
waits, or that was in use for a second. So a statement run of one operator, which would use its sessions for an hour,
holds nobody up for longer than a message.
"""

import asyncio
import logging
from collections import Counter, deque
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

#: Seconds after which a session that is in use all the time makes room for whoever waits.
_TURN = 1.0
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
    opened: float = 0.0
    idle_since: float = 0.0
    retired: bool = False
    closing: asyncio.Task[None] | None = None

    def serves(self, wanted: Wanted) -> bool:
        """Whether it may carry a message of ``wanted``: the same profile and secrets, to the letter."""
        if self.wanted is wanted:
            return self.alive
        mine, asked = self.wanted.found, wanted.found
        same = mine is asked or (mine.profile == asked.profile and mine.secrets == asked.secrets)
        return same and self.wanted.key == wanted.key and self.alive

    @property
    def alive(self) -> bool:
        """Whether it may carry another message at all."""
        if self.retired or self.closing:
            return False
        try:
            if not self.session.usable:
                return False
            until = self.session.usable_until
            return until is None or until > datetime.now(UTC) + _MARGIN
        except Exception:
            # A plugin's fault that must not take the place of a receipt, nor of another message's.
            log.exception(
                "%s: its session does not say whether it is usable", self.wanted.found.profile.transport
            )
            return False


@dataclass(slots=True, eq=False)
class _Waiter:
    """Somebody for whom there is no room."""

    mailbox: str
    connections: int | None
    wanted: Wanted | None
    turn: "asyncio.Future[None]"


class Pool:
    """The sessions of one mailer, all on one loop.

    ``idle`` seconds after its last message a session is closed. At most ``maximum`` are open at once: above it the
    one that was idle longest makes room, and where none is idle, the next one waits.
    """

    def __init__(self, *, idle: float = 60.0, maximum: int = 200) -> None:
        self._idle = idle
        self._maximum = maximum
        self._leases: dict[ProfileKey, list[Lease]] = {}
        # Open, or being opened: of each mailbox, and in all.
        self._held: Counter[str] = Counter()
        self._total = 0
        self._waiters: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    def ready(self, wanted: Wanted) -> Lease | None:
        """An open session for ``wanted`` that has a place, or None. Hand it back with :meth:`give`.

        An idle one; else one that carries several messages at once; on an ordered line, where a message would wait
        behind another, only when there is no room for one more.
        """
        leases = self._leases.get(wanted.found.profile.key)
        if leases is None:
            return None
        while True:
            lease = self._best(leases, wanted)
            if lease is not None and lease.serves(wanted):
                lease.under_way += 1
                return lease
            for other in tuple(leases):
                if not other.serves(wanted):
                    self._retire(other)
            if lease is None:
                return None

    def _best(self, leases: list[Lease], wanted: Wanted) -> Lease | None:
        """The last used of the idle ones, so that the others can go; else the least busy that may be shared."""
        idle: Lease | None = None
        shared: Lease | None = None
        for lease in leases:
            if lease.closing or lease.retired:
                continue
            if not lease.under_way:
                if idle is None or lease.idle_since > idle.idle_since:
                    idle = lease
            elif lease.under_way < lease.session.depth and (
                shared is None or lease.under_way < shared.under_way
            ):
                shared = lease
        if idle is not None or shared is None:
            return idle
        return None if getattr(shared.session, "ordered", False) and self._has_room(wanted) else shared

    async def take(self, wanted: Wanted, *, fresh: bool = False) -> Lease:
        """A session for ``wanted``, open already unless ``fresh``; raises what opening raises.

        Hand it back with :meth:`give`.
        """
        waited = False
        while True:
            if not fresh and (lease := self.ready(wanted)):
                return lease
            if self._has_room(wanted):
                return await self._open(wanted)
            await self._wait_for(wanted.mailbox, wanted.connections, wanted, again=waited)
            waited = True

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
        if self._waiters:
            self._let_next(lease)

    @asynccontextmanager
    async def outside(self, mailbox: str, connections: int | None) -> AsyncIterator[None]:
        """Room for a connection that the pool does not keep (a check's own), counted while the block runs."""
        waited = False
        while not self._fits(mailbox, connections):
            await self._wait_for(mailbox, connections, None, again=waited)
            waited = True
        self._hold(mailbox, 1)
        try:
            yield
        finally:
            self._hold(mailbox, -1)
            self._let_next()

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
        self._hold(wanted.mailbox, 1)
        try:
            lease = Lease(wanted, await wanted.open())
        except BaseException:
            self._hold(wanted.mailbox, -1)
            self._let_next()
            raise
        lease.opened = asyncio.get_running_loop().time()
        self._leases.setdefault(wanted.found.profile.key, []).append(lease)
        if self._over:  # it was being opened meanwhile, and nobody would close it any more
            self._close(lease)
            raise NotSent(problem("MAILER-CLOSED"))
        lease.under_way += 1
        if self._waiters:
            self._let_next()
        return lease

    # Room, and who waits for it

    def _has_room(self, wanted: Wanted) -> bool:
        return self._fits(wanted.mailbox, wanted.connections)

    def _fits(self, mailbox: str, connections: int | None) -> bool:
        """Whether one more connection is within both limits."""
        mine = connections is None or self._held[mailbox] < max(1, connections)
        return mine and self._total < self._maximum

    def _hold(self, mailbox: str, more: int) -> None:
        self._total += more
        self._held[mailbox] += more
        if not self._held[mailbox]:
            del self._held[mailbox]

    async def _wait_for(
        self, mailbox: str, connections: int | None, wanted: Wanted | None, *, again: bool
    ) -> None:
        """In the line, until there may be room, or a place in a session; closing an idle one for it.

        Whoever waits ``again``, because another was quicker, is the first.
        """
        waiter = _Waiter(mailbox, connections, wanted, asyncio.get_running_loop().create_future())
        (self._waiters.appendleft if again else self._waiters.append)(waiter)
        self._close_longest_idle(self._in_the_way(waiter))
        try:
            await waiter.turn
        except BaseException:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            self._let_next()  # what it was offered, if anything, is another's
            raise

    def _in_the_way(self, waiter: "_Waiter") -> list[Lease]:
        """The sessions of which one has to go."""
        full = self._total >= self._maximum
        return [lease for lease in self._all() if full or lease.wanted.mailbox == waiter.mailbox]

    def _let_next(self, given: Lease | None = None) -> None:
        """Wake the first for whom there is room now; for who waits for ``given``, it has to go maybe."""
        for waiter in self._waiters:
            place = waiter.wanted is not None and self._place_for(waiter.wanted)
            if place or self._fits(waiter.mailbox, waiter.connections):
                self._waiters.remove(waiter)
                if not waiter.turn.done():  # else it was cancelled a moment ago, and says so itself
                    waiter.turn.set_result(None)
                return
        if given is None:
            self._make_room()  # one that has gone was perhaps not enough
            return
        if given.under_way or given.closing:
            return
        if (first := next((each for each in self._waiters if given in self._in_the_way(each)), None)) is None:
            return
        if self._had_enough(given, first):
            self._close(given)
        else:  # whoever gave it back may take it again at once; if nobody does, it has to go
            asyncio.get_running_loop().call_soon(self._make_room)

    def _make_room(self) -> None:
        for waiter in self._waiters:
            self._close_longest_idle(self._in_the_way(waiter))

    def _place_for(self, wanted: Wanted) -> bool:
        leases = self._leases.get(wanted.found.profile.key, ())
        return any(lease.under_way < lease.session.depth and lease.serves(wanted) for lease in leases)

    def _had_enough(self, lease: Lease, waiter: "_Waiter") -> bool:
        mine = len(self._leases.get(lease.wanted.found.profile.key, ()))
        theirs = len(self._leases.get(waiter.wanted.found.profile.key, ())) if waiter.wanted else 0
        return mine > theirs + 1 or asyncio.get_running_loop().time() - lease.opened >= _TURN

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
            self._hold(lease.wanted.mailbox, -1)
            self._let_next()

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
