"""Tasks whose time is over are cancelled: one timer for all, since a clock of one's own is paid for each message."""

import asyncio
from types import TracebackType
from typing import Self

__all__ = ["Overdue"]


class _Limit:
    """One task's time, as a context manager: TimeoutError where it was over."""

    __slots__ = ("_before", "_overdue", "_task", "expired", "when")

    def __init__(self, overdue: "Overdue", when: float) -> None:
        self._overdue = overdue
        self.when = when
        self.expired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._before = task.cancelling()
        self._overdue.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._overdue.discard(self)
        # As asyncio.timeout: what somebody else cancelled stays cancelled.
        if self.expired and self._task.uncancel() <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from exc

    def expire(self) -> None:
        """Its time is over."""
        self.expired = True
        self._task.cancel()


class Overdue:
    """The tasks of one loop that have a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits: set[_Limit] = set()
        self._timer: asyncio.TimerHandle | None = None

    def at(self, when: float) -> _Limit:
        """A context manager: its task is cancelled ``when`` the loop's clock says so, and gets TimeoutError."""
        return _Limit(self, when)

    def add(self, limit: _Limit) -> None:
        """Watch it."""
        self._limits.add(limit)
        if self._timer is None or limit.when < self._timer.when():
            self._set(limit.when)

    def discard(self, limit: _Limit) -> None:
        """It has ended."""
        self._limits.discard(limit)

    def stop(self) -> None:
        """No longer look at the clock."""
        if self._timer is not None:
            self._timer.cancel()

    def _set(self, when: float) -> None:
        self.stop()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        for limit in [limit for limit in self._limits if limit.when <= now]:
            self._limits.discard(limit)
            limit.expire()
        if self._limits:
            self._set(min(limit.when for limit in self._limits))
