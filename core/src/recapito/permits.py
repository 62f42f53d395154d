"""The limits of each mailbox in this process: how many sends at once, and how many in a while.

Theory: an attempt counts in a window from the moment it is permitted until ``window`` seconds after it *ended*.
The server counts it at some moment in between, so whatever its clock, no window of its own can hold more.
"""

import asyncio
import os
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import ClassVar

from recapito.limits import Limits, Rate

__all__ = ["NoPermit", "Permit", "Permits"]


class NoPermit(Exception):
    """No permit came in time.

    ``retry_at`` is when one can be expected; ``never`` is the rate that this message alone exceeds.
    """

    def __init__(self, retry_at: datetime, *, never: Rate | None = None) -> None:
        super().__init__(retry_at)
        self.retry_at = retry_at
        self.never = never


@dataclass(slots=True)
class _Window:
    """What one window holds: attempts under way, and those that ended less than ``seconds`` ago."""

    seconds: float
    under_way: int = 0
    ended: deque[tuple[float, int]] = field(default_factory=deque)
    ended_sum: int = 0

    def free_at(self, amount: int, maximum: int, now: float) -> float | None:
        """When ``amount`` more will fit (``now``: it fits already); None while that depends on others' ends."""
        while self.ended and self.ended[0][0] + self.seconds <= now:
            self.ended_sum -= self.ended.popleft()[1]
        excess = self.under_way + self.ended_sum + amount - maximum
        if excess <= 0:
            return now
        for moment, held in self.ended:
            excess -= held
            if excess <= 0:
                return moment + self.seconds
        return None

    def end(self, amount: int, counted: bool, now: float, more: int = 0) -> None:
        self.under_way -= amount
        if counted:
            self.ended.append((now, amount + more))
            self.ended_sum += amount + more


#: A window, what it counts, and with how much.
_Charge = tuple[_Window, str, int]


@dataclass(slots=True, eq=False)
class _Waiter:
    """A send in a mailbox's queue, on its own loop."""

    loop: asyncio.AbstractEventLoop
    turn: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        # The loop may be closed by now: its sends are gone, and leave the queue as they are unwound.
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.turn.set)

    async def wait(self, seconds: float) -> None:
        self.turn.clear()
        try:
            async with asyncio.timeout(seconds):
                await self.turn.wait()
        except TimeoutError:
            pass


@dataclass(slots=True)
class _Mailbox:
    under_way: int = 0
    blocked_until: float = 0.0
    windows: dict[tuple[str, float], _Window] = field(default_factory=dict)
    queue: deque[_Waiter] = field(default_factory=deque)

    def free_at(self, limits: Limits, amounts: dict[str, int], now: float) -> float | None:
        """When one more attempt is allowed; None while that depends on others' ends."""
        if limits.concurrency is not None and self.under_way >= max(1, limits.concurrency):
            return None
        free = max(now, self.blocked_until)
        for rate in limits.rates:
            if window := self.windows.get((rate.of, rate.window)):
                fits = window.free_at(amounts[rate.of], rate.maximum, now)
                if fits is None:
                    return None
                free = max(free, fits)
        return free

    def begin(self, limits: Limits, amounts: dict[str, int]) -> list[_Charge]:
        """Count one more attempt; what it was charged with, each window once."""
        self.under_way += 1
        charged: list[_Charge] = []
        for of, seconds in {(rate.of, rate.window) for rate in limits.rates}:
            window = self.windows.setdefault((of, seconds), _Window(seconds))
            window.under_way += amounts[of]
            charged.append((window, of, amounts[of]))
        return charged

    def wake_first(self) -> None:
        if self.queue:
            self.queue[0].wake()


class Permit:
    """Leave to send one message now. :meth:`end` must be called when the attempt has ended."""

    __slots__ = ("_charged", "_lock", "_mailbox", "waited")

    def __init__(
        self,
        lock: threading.Lock,
        mailbox: _Mailbox,
        charged: list[_Charge],
        *,
        waited: bool = False,
    ) -> None:
        #: Whether it was waited for: the world may be another one by now.
        self.waited = waited
        self._lock = lock
        self._mailbox: _Mailbox | None = mailbox
        self._charged = charged

    def end(self, *, counted: bool = True, messages: int = 1) -> None:
        """The attempt has ended; ``counted=False`` where none of it can have reached the server.

        ``messages`` is how many the server saw, where they were more than were expected.
        """
        if self._mailbox is None:
            return
        mailbox, self._mailbox = self._mailbox, None
        now = monotonic()
        with self._lock:
            mailbox.under_way -= 1
            for window, of, amount in self._charged:
                more = max(0, messages - amount) if of == "messages" else 0
                window.end(amount, counted, now, more)
            mailbox.wake_first()


class Permits:
    """Permits of all mailboxes, for any number of loops and threads."""

    _shared: ClassVar[dict[str, "Permits"]] = {}
    _sharing: ClassVar = threading.Lock()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mailboxes: dict[str, _Mailbox] = {}

    @classmethod
    def of_store(cls, identity: str) -> "Permits":
        """Those of one store (empty: of no store), the same for all mailers of this process, one after the other too.

        Two of them must not send twice as much.
        """
        with cls._sharing:
            return cls._shared.setdefault(identity, cls())

    @classmethod
    def forget(cls) -> None:
        """Begin anew: for tests, each of which has the limits to itself."""
        with cls._sharing:
            cls._shared = {}

    @classmethod
    def after_fork(cls) -> None:
        """In a forked child: forget what the parent's threads were doing, and the locks that they held."""
        cls._sharing = threading.Lock()
        cls._shared = {}

    async def take(
        self, mailbox: str, limits: Limits, *, messages: int, recipients: int, until: float
    ) -> Permit:
        """A permit, first come first served; NoPermit where none comes before ``until`` (``time.monotonic``).

        It is raised at once where the wait would surely be longer.
        """
        amounts = {"messages": messages, "recipients": recipients}
        for rate in limits.rates:
            if amounts[rate.of] > rate.maximum:
                raise NoPermit(_moment(rate.window), never=rate)
        held = self._of(mailbox)
        with self._lock:
            if not held.queue and held.free_at(limits, amounts, now := monotonic()) == now:
                return Permit(self._lock, held, held.begin(limits, amounts))
            waiter = _Waiter(asyncio.get_running_loop())
            held.queue.append(waiter)
        try:
            while True:
                with self._lock:
                    now = monotonic()
                    first = held.queue[0] is waiter
                    free = held.free_at(limits, amounts, now) if first else None
                    if free == now:
                        return Permit(self._lock, held, held.begin(limits, amounts), waited=True)
                    expected = max(free or now, held.blocked_until)
                if now >= until or expected > until:
                    raise NoPermit(_moment(expected - now))
                await waiter.wait(min(until, free or until) - now)
        finally:
            with self._lock:
                held.queue.remove(waiter)
                held.wake_first()

    def block(self, mailbox: str, until: datetime) -> None:
        """No permit for ``mailbox`` before ``until``: its server asked to slow down."""
        seconds = (until - datetime.now(UTC)).total_seconds()
        held = self._of(mailbox)
        with self._lock:
            held.blocked_until = max(held.blocked_until, monotonic() + seconds)

    def _of(self, mailbox: str) -> _Mailbox:
        with self._lock:
            return self._mailboxes.setdefault(mailbox, _Mailbox())


def _moment(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Permits.after_fork)
