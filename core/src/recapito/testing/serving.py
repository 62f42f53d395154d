"""An event loop in a thread of its own, for servers that tests and the demo talk to."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Self, TypeVar

__all__ = ["THREAD_PREFIX", "LoopThread"]

T = TypeVar("T")

#: Names of the kit's threads begin with it: what the far side logs is no leak of the transport's.
THREAD_PREFIX = "recapito-testing-"

#: Seconds that starting, one request from outside and stopping may take.
_PATIENCE = 10.0


class LoopThread:
    """A context manager: inside it, ``loop`` runs in a thread; leaving stops it within seconds.

    ``faults`` has what went wrong in the loop with nobody waiting for it, as text.
    """

    def __init__(self, name: str) -> None:
        self.name = THREAD_PREFIX + name
        self.faults: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop; RuntimeError outside the context."""
        if self._loop is None:
            raise RuntimeError(f"{self.name} is not running: use it as a context manager")
        return self._loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """``work`` in the loop, from another thread; returns what it returns, raises what it raises."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(_PATIENCE)

    def call(self, function: Callable[[], T]) -> T:
        """``function`` in the loop's thread, and what it returns."""
        if threading.current_thread() is self._thread:
            return function()
        done: Future[T] = Future()

        def settle() -> None:
            try:
                done.set_result(function())
            except BaseException as exc:  # noqa: BLE001 - handed to the thread that asked
                done.set_exception(exc)

        self.loop.call_soon_threadsafe(settle)
        return done.result(_PATIENCE)

    def __enter__(self) -> Self:
        started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._note)
        self._thread = threading.Thread(target=self._run_loop, args=(started,), name=self.name, daemon=True)
        self._thread.start()
        started.wait(_PATIENCE)
        return self

    def __exit__(self, *exc_info: object) -> None:
        loop, thread = self.loop, self._thread
        self._loop = None
        loop.call_soon_threadsafe(loop.stop)
        assert thread is not None
        thread.join(_PATIENCE)

    def _note(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _run_loop(self, started: threading.Event) -> None:
        loop = self.loop
        asyncio.set_event_loop(loop)
        loop.call_soon(started.set)
        try:
            loop.run_forever()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(asyncio.sleep(0))  # transports that were aborted close their sockets now
        finally:
            asyncio.set_event_loop(None)
            loop.close()
