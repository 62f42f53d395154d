"""The tasks that send a batch's messages: as many as its sessions can carry at once."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from recapito.outcome import Outcome
from recapito.problem import Problem, Scope

if TYPE_CHECKING:
    from recapito.limits import Limits
    from recapito.many.part import Part
    from recapito.pool import Lease
    from recapito.receipt import Receipt

__all__ = ["CONNECTIONS", "Crew"]

#: Sessions for a mailbox that has no limit of its own.
CONNECTIONS = 5
#: After so many messages in a row that met no server, or were told to come back later, the rest is not tried.
_UNMET, _PUT_OFF = 3, 10


class Crew:
    """``done`` is told of each part that has its receipt, ``failure`` of what ends the batch.

    At most ``connections`` sessions are open.

    The first one goes ahead until it has a session: what is wrong with a profile is met once, and not by all. The
    others follow, and where a session is a line with room for more than one message, as many again.
    """

    def __init__(
        self,
        done: "Callable[[Part], None]",
        failure: Callable[[Exception], None],
        connections: int | None,
    ) -> None:
        self._told = done
        self._fail = failure
        self._asked = connections
        self.connections = connections or CONNECTIONS
        #: How often something went wrong that concerns more than one message.
        self.troubles = 0
        self._ready: deque[Part] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._leases: set[Lease] = set()
        self._is_whole = False
        self._over = False
        self._blocked: Problem | None = None
        self._unmet = self._put_off = 0

    @property
    def waiting(self) -> int:
        """Parts that nobody has taken yet."""
        return len(self._ready)

    def suits(self, limits: "Limits") -> None:
        """Take what the mailbox allows now."""
        most = self._asked or CONNECTIONS
        self.connections = max(1, min(most, limits.concurrency or most))

    def has_met_trouble_since(self, seen: int) -> bool:
        """Whether :attr:`troubles` is no longer what it was."""
        return self.troubles != seen

    def give(self, parts: "Iterable[Part]") -> None:
        """More to send."""
        for part in parts:
            part.given = True
            self._ready.append(part)
        if self._ready and not self._tasks:
            self._hire(1)
        for _ in range(min(len(self._ready), len(self._idle))):
            self._call()

    def forget(self) -> None:
        """What nobody has taken yet is not sent."""
        self._ready.clear()

    def feed_is_over(self) -> None:
        """Nothing more is given: who has nothing to do goes home."""
        self._over = True
        while self._idle:
            self._call()

    async def leave(self, timeout: float | None) -> None:
        """Wait for what is on its way; after ``timeout`` seconds (None: however long) it is cut off."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def opened(self, lease: "Lease") -> None:
        """A message has its session: now the others can follow, up to what their sessions take at once."""
        if self._is_whole:
            return
        if not self._leases:
            self._hire(self.connections - 1)
        self._leases.add(lease)
        if len(self._leases) >= self.connections:
            self._is_whole = True
            if getattr(lease.session, "ordered", False):
                self._hire(self.connections * (lease.session.depth - 1), extra=True)
            self._leases.clear()

    def _hire(self, number: int, *, extra: bool = False) -> None:
        for _ in range(number):
            task = asyncio.get_running_loop().create_task(self._work(extra))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _call(self) -> None:
        waiter = self._idle.popleft()
        if not waiter.done():
            waiter.set_result(None)

    async def _next(self) -> "Part | None":
        while not self._ready:
            if self._over:
                return None
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(waiter)
            await waiter
        part = self._ready.popleft()
        part.taken = True
        return part

    async def _work(self, extra: bool) -> None:
        while (part := await self._next()) is not None:
            part.extra = extra
            try:
                await (part.carry() if self._blocked is None else part.skip(self._blocked))
            except Exception as exc:  # noqa: BLE001 - what is no outcome ends the batch, and is its caller's to see
                self._fail(exc)
            finally:
                if part.receipt is None:
                    part.receipt = part.lost(over=True)
                self._learn(part.receipt)
                self._told(part)

    def _learn(self, receipt: "Receipt") -> None:
        if receipt.problem is None or receipt.outcome is Outcome.ACCEPTED:
            self._unmet = self._put_off = 0
            return
        if receipt.problem.scope is Scope.MESSAGE:
            return
        self.troubles += 1
        if receipt.outcome is Outcome.NOT_SENT and self._blocked is None:
            self._put_off += 1
            self._unmet += receipt.problem.retry_at is None
            if self._unmet >= _UNMET or self._put_off >= _PUT_OFF:
                self._blocked = receipt.problem
