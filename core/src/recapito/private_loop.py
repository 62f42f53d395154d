"""An event loop of our own, in a thread of its own, for callers that have none."""

import asyncio
import selectors
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

from recapito.forking import close_quietly

__all__ = ["LoopEnded", "PrivateLoop"]

T = TypeVar("T")


class LoopEnded(Exception):
    """The loop ended before the work did. ``over``: it surely goes no further; False where the loop hangs."""

    def __init__(self, *, over: bool) -> None:
        super().__init__(over)
        self.over = over


class PrivateLoop:
    """Runs coroutines for any thread. The thread is a daemon: it never keeps a finished program alive."""

    def __init__(self) -> None:
        # Ours, so that a forked child can tell which descriptors the loop was watching.
        self._selector = selectors.DefaultSelector()
        self._loop = asyncio.SelectorEventLoop(self._selector)
        self._thread = threading.Thread(target=self._run, name="recapito-loop", daemon=True)
        # What callers wait for: none of them may wait for a loop that has ended.
        self._promised: set[Future[Any]] = set()
        self._thread.start()

    def submit(self, make: Callable[[], Coroutine[Any, Any, T]]) -> "Future[T]":
        """Run ``make()`` as a task that sees the caller's context variables; cancelling the future cancels it.

        Raises LoopEnded; so does the future where the loop ends first, and where its task was cancelled by others.
        """
        future: Future[T] = Future()
        self._promised.add(future)
        future.add_done_callback(self._promised.discard)

        def start() -> None:
            task = self._loop.create_task(make())
            task.add_done_callback(lambda _: _hand_over(task, future))
            future.add_done_callback(lambda _: future.cancelled() and self.call(task.cancel))

        if not self.call(start):
            raise LoopEnded(over=True)
        return future

    def call(self, function: Callable[..., object], *args: object) -> bool:
        """Have the loop call ``function(*args)`` soon, in the caller's context; False once it has ended."""
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            return False
        return True

    def stop(self, timeout: float) -> None:
        """End loop and thread, in ``timeout`` seconds or less."""
        self.call(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
            self._break_promises(over=not self._thread.is_alive())

    def abandon(self) -> None:
        """In a forked child: close what the loop was watching, without a word to anybody."""
        watched = [key.fd for key in self._selector.get_map().values()]
        own = getattr(self._selector, "fileno", None)  # epoll's own descriptor is shared with the parent too
        close_quietly([*watched, own()] if own else watched)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._cancel_the_rest()
        finally:
            self._loop.close()
            self._break_promises(over=True)

    def _break_promises(self, *, over: bool) -> None:
        for future in tuple(self._promised):
            _settle(future, lambda future: future.set_exception(LoopEnded(over=over)))

    def _cancel_the_rest(self) -> None:
        if tasks := asyncio.all_tasks(self._loop):
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.wait(tasks, timeout=1))


def _hand_over(task: "asyncio.Task[T]", future: "Future[T]") -> None:
    if task.cancelled():
        _settle(future, lambda future: future.set_exception(LoopEnded(over=True)))
    elif exc := task.exception():
        _settle(future, lambda future: future.set_exception(exc))
    else:
        _settle(future, lambda future: future.set_result(task.result()))


def _settle(future: "Future[T]", settle: "Callable[[Future[T]], None]") -> None:
    """Whoever comes first: the task, the end of the loop, or the caller who gave up."""
    with suppress(InvalidStateError):
        settle(future)
