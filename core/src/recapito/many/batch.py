"""What ``send_many`` returns: receipts as they come, in the order of the messages."""

from collections import deque
from collections.abc import Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from recapito.caller_thread import CallerThread
from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.many.progress import Progress
from recapito.private_loop import LoopEnded, PrivateLoop
from recapito.receipt import Receipt

if TYPE_CHECKING:
    from concurrent.futures import Future

    from recapito.many.run import Run

__all__ = ["AsyncBatch", "Batch"]

#: Seconds beyond those for messages on their way, before a caller waits no longer.
_GRACE = 1.0


class AsyncBatch:
    """An asynchronous iterator of receipts. Nothing is read or sent before the first is asked for.

    What it raises ends it: NotFound and Misconfigured of the profile or the store, and what the messages' own
    iterator raises. :meth:`close` it (or use ``async with``) where it is left before its end.
    """

    def __init__(self, start: "Callable[[], Run]", patience: float) -> None:
        self._start = start
        self._patience = patience
        self._run: Run | None = None
        self._there: deque[Receipt] = deque()
        self._over = False

    @property
    def progress(self) -> Progress:
        """How far it has come; may be read from any thread."""
        return self._run.tally.progress() if self._run else Progress()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Receipt:
        if not self._there:
            self._there.extend(await self.some())
            if not self._there:
                raise StopAsyncIteration
        return self._there.popleft()

    async def some(self) -> list[Receipt]:
        """The next receipts, as many as are there; none at the end."""
        if self._over:
            return []
        if self._run is None:
            self._run = self._start()
        try:
            receipts = await self._run.take()
        except Exception:
            self._over = True
            raise
        self._over = not receipts
        return receipts

    async def close(self) -> None:
        """Begin no other message; those on their way may end within 5 seconds, and are in the journal."""
        over, self._over = self._over, True
        self._there.clear()
        if self._run is not None and not over:
            await self._run.stop(self._patience)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Batch:
    """An iterator of receipts; messages are read, and hooks called, in the thread that asks for the next one.

    Otherwise as :class:`AsyncBatch`. Ctrl-C comes out as KeyboardInterrupt: no other message begins then, and
    :meth:`close` waits for those on their way.
    """

    def __init__(
        self, batch: AsyncBatch, caller: CallerThread, loop: Callable[[], PrivateLoop], patience: float
    ) -> None:
        self._batch = batch
        self._caller = caller
        self._loop = loop
        self._patience = patience
        self._running: PrivateLoop | None = None
        self._work: Future[None] | None = None
        self._there: deque[Receipt] = deque()
        self._receipts = self._attend()

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        return self._batch.progress

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Receipt:
        if not self._there:
            self._there.extend(next(self._receipts))
        return self._there.popleft()

    def close(self) -> None:
        """Begin no other message; those on their way may end within 5 seconds, and are in the journal."""
        self._receipts.close()
        self._there.clear()
        if self._work is not None:
            self._caller.serve_out(self._work, self._patience + _GRACE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _attend(self) -> Generator[list[Receipt], None, None]:
        self._running = self._loop()
        self._work = self._running.submit(self._pass_on)
        try:
            yield from self._caller.attend(self._work, give_up=self._give_up)
        except LoopEnded:
            raise Misconfigured(problem("MAILER-CLOSED")) from None

    async def _pass_on(self) -> None:
        while receipts := await self._batch.some():
            self._caller.hand_over(receipts)

    def _give_up(self) -> None:
        """The caller asks for no more: what is left is ended on the loop."""
        if self._running is not None and self._work is not None and not self._work.done():
            self._running.submit(self._end)

    async def _end(self) -> None:
        await self._batch.close()
        if self._work is not None:  # it waits for a caller who has gone
            self._work.cancel()
