"""A thread that waits for the loop, and meanwhile does what must be done in it: the hooks."""

import asyncio
import queue
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["CallerThread"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Handed:
    item: Any


class CallerThread:
    """Made by the caller; called on the loop, where it is a :class:`recapito.following.CallHook`."""

    def __init__(self) -> None:
        self._requests: queue.SimpleQueue[Callable[[], object] | _Handed | None] = queue.SimpleQueue()

    async def __call__(self, function: Callable[..., T], /, *args: Any) -> T:
        """The result of ``function(*args)``, run in the waiting thread."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def serve() -> None:
            try:
                result = function(*args)
            except Exception as exc:  # noqa: BLE001 - the loop's to see, whatever it is
                _tell(loop, _raise, answer, exc)
            except BaseException:
                # Ctrl-C ends the caller; on the loop it would end the loop.
                _tell(loop, answer.cancel)
                raise
            else:
                _tell(loop, _give, answer, result)

        self._requests.put(serve)
        return await answer

    def hand_over(self, item: object) -> None:
        """Give the waiting thread one thing of many; called on the loop."""
        self._requests.put(_Handed(item))

    def attend(self, work: "Future[Any]", give_up: "Callable[[], object] | None" = None) -> Iterator[Any]:
        """Serve the loop until ``work`` is done, handing out what it hands over; raises what ``work`` raised.

        Whatever interrupts it cancels the work, or calls ``give_up``, which ends it in order.
        """
        work.add_done_callback(lambda _: self._requests.put(None))
        try:
            while (request := self._requests.get()) is not None:
                if isinstance(request, _Handed):
                    yield request.item
                else:
                    request()
        except BaseException:
            (give_up or work.cancel)()
            raise
        work.result()

    def serve_out(self, work: "Future[Any]", seconds: float) -> None:
        """Serve the loop until ``work``, which was given up, is done; at most so many ``seconds``."""
        ends = monotonic() + seconds
        with suppress(queue.Empty):
            while not work.done() and (left := ends - monotonic()) > 0:
                request = self._requests.get(timeout=left)
                if request is not None and not isinstance(request, _Handed):
                    request()

    def wait(self, work: "Future[T]") -> T:
        """Serve the loop until ``work`` is done; its result."""
        for _ in self.attend(work):
            pass
        return work.result()


def _tell(loop: asyncio.AbstractEventLoop, settle: Callable[..., object], *args: object) -> None:
    with suppress(RuntimeError):  # the loop may have ended meanwhile: a hook may close its own mailer
        loop.call_soon_threadsafe(settle, *args)


def _raise(answer: "asyncio.Future[Any]", exc: Exception) -> None:
    if not answer.done():
        answer.set_exception(exc)


def _give(answer: "asyncio.Future[T]", result: T) -> None:
    if not answer.done():
        answer.set_result(result)
