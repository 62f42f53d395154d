"""What follows an outcome: waited for while there is time, then left to itself."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from recapito.hook_thread import HookThread

__all__ = ["CallHook", "Following", "Hooks"]

T = TypeVar("T")


class CallHook(Protocol):
    """Runs hooks where they belong: in the caller's thread, or in the one worker thread for them."""

    async def __call__(self, function: Callable[..., T], /, *args: Any) -> T:
        """The result of ``function(*args)``."""
        ...


class Hooks:
    """A :class:`CallHook` that moves to the worker thread once the caller has gone."""

    def __init__(self, call_hook: CallHook) -> None:
        self.where = call_hook

    async def __call__(self, function: Callable[..., T], /, *args: Any) -> T:
        """The result of ``function(*args)``."""
        return await self.where(function, *args)


class Following:
    """The work of one loop that outlives the calls that began it."""

    def __init__(self, hook_thread: "HookThread") -> None:
        self._hook_thread = hook_thread
        self._left: set[asyncio.Task[None]] = set()

    async def wait(self, work: Coroutine[Any, Any, None], hooks: Hooks, until: float | None) -> bool:
        """Whether ``work`` was done by ``until`` (on the loop's clock); otherwise it goes on by itself.

        The same where its caller is cancelled: a pause that the store has written must not stay untold. Only what
        hooks of a caller's own thread still had to do is given up, since that thread no longer waits.
        """
        loop = asyncio.get_running_loop()
        task = loop.create_task(work)
        try:
            await asyncio.wait({task}, timeout=None if until is None else max(0.0, until - loop.time()))
        except asyncio.CancelledError:
            if hooks.where is self._hook_thread:
                self._leave(task)
            else:
                task.cancel()
            raise
        if task.done():
            task.result()  # cancelled: a hook in the caller's thread was interrupted, and so is the caller
            return True
        hooks.where = self._hook_thread
        self._leave(task)
        return False

    def _leave(self, task: "asyncio.Task[None]") -> None:
        self._left.add(task)
        task.add_done_callback(self._left.discard)

    async def close(self, timeout: float) -> None:
        """Wait for what was left, ``timeout`` seconds at most; then give it up."""
        if not self._left:
            return
        _, late = await asyncio.wait(tuple(self._left), timeout=timeout)
        for task in late:
            task.cancel()
