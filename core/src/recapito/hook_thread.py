"""The one worker thread in which an AsyncMailer calls hooks."""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

__all__ = ["HookThread"]

T = TypeVar("T")


class HookThread:
    """Calls hooks one after the other, each with a copy of its caller's context; a daemon, started at first use.

    Two calls are paid for each message, so this is leaner than an executor and its futures.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._started = False

    async def __call__(self, function: Callable[..., T], /, *args: Any) -> T:
        """The result of ``function(*args)``; the caller may stop waiting, the call then ends by itself."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        context = copy_context()

        def call() -> None:
            try:
                result = context.run(function, *args)
            except Exception as exc:  # noqa: BLE001 - the loop's to see, whatever it is
                _tell(loop, _fail, answer, exc)
            except BaseException as exc:  # noqa: BLE001 - sys.exit in a worker must not end the loop that waits
                _tell(loop, _fail, answer, RuntimeError(f"a hook ended with {type(exc).__name__}"))
            else:
                _tell(loop, _give, answer, result)

        if not self._started:
            self._started = True
            threading.Thread(target=self._work, name="recapito-hooks", daemon=True).start()
        self._calls.put(call)
        return await answer

    def stop(self) -> None:
        """End the thread once it has made the calls that wait."""
        self._calls.put(None)

    def _work(self) -> None:
        while call := self._calls.get():
            call()
            del call


def _tell(loop: asyncio.AbstractEventLoop, settle: Callable[..., None], *args: object) -> None:
    with suppress(RuntimeError):  # the loop has ended: nobody waits
        loop.call_soon_threadsafe(settle, *args)


def _give(answer: "asyncio.Future[T]", result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: "asyncio.Future[Any]", exc: Exception) -> None:
    if not answer.done():
        answer.set_exception(exc)
