"""An event loop of our own, in a thread of its own, for callers that have none."""

import asyncio
import selectors
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from recapito.forking import close_quietly

__all__ = ["PrivateLoop"]

T = TypeVar("T")


class PrivateLoop:
    """Runs coroutines for any thread. The thread is a daemon: it never keeps a finished program alive."""

    def __init__(self) -> None:
        # Ours, so that a forked child can tell which descriptors the loop was watching.
        self._selector = selectors.DefaultSelector()
        self._loop = asyncio.SelectorEventLoop(self._selector)
        self._thread = threading.Thread(target=self._run, name="recapito-loop", daemon=True)
        self._thread.start()

    def submit(self, make: Callable[[], Coroutine[Any, Any, T]]) -> "Future[T]":
        """Run ``make()`` as a task that sees the caller's context variables; cancelling the future cancels it."""
        future: Future[T] = Future()

        def start() -> None:
            task = self._loop.create_task(make())
            task.add_done_callback(lambda _: _hand_over(task, future))
            future.add_done_callback(lambda _: future.cancelled() and self.call(task.cancel))

        if not self.call(start):
            raise RuntimeError("the loop has ended")
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

    def _cancel_the_rest(self) -> None:
        if tasks := asyncio.all_tasks(self._loop):
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.wait(tasks, timeout=1))


def _hand_over(task: "asyncio.Task[T]", future: "Future[T]") -> None:
    if not future.set_running_or_notify_cancel():
        return
    if task.cancelled():
        future.set_exception(asyncio.CancelledError())
    elif exc := task.exception():
        future.set_exception(exc)
    else:
        future.set_result(task.result())
