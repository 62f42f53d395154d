"""What comes over a long line: heard later, in its order, one flight all at once."""

import asyncio
from collections import deque
from collections.abc import Callable

__all__ = ["Delay"]


class Delay:
    """What is put into it happens so many seconds later, in the order in which it was put."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: deque[tuple[float, Callable[[], object]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> bool:
        """Whether something is still to happen."""
        return bool(self._queue)

    def put(self, seconds: float, action: Callable[[], object]) -> None:
        """Do ``action`` after ``seconds``: at once where nothing waits and they are 0."""
        if not seconds and not self._queue:
            action()
            return
        self._queue.append((self._loop.time() + seconds, action))
        self._set()

    def clear(self) -> None:
        """Nothing more happens."""
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self) -> None:
        if self._timer is None and self._queue:
            self._timer = self._loop.call_at(self._queue[0][0], self._due)

    def _due(self) -> None:
        self._timer = None
        while self._queue and self._queue[0][0] <= self._loop.time():
            self._queue.popleft()[1]()
        self._set()
