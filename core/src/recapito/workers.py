"""Worker threads that never keep the interpreter alive: whoever hangs in one is left behind at exit."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

__all__ = ["Workers"]

P = ParamSpec("P")
T = TypeVar("T")


class Workers(Executor):
    """At most ``maximum`` daemon threads, started when they are needed.

    ``concurrent.futures`` joins its threads at exit, so a blocked database or SDK would keep a finished
    program from ending. Each call sees a copy of its caller's context variables.
    """

    def __init__(self, maximum: int, name: str) -> None:
        self._maximum = maximum
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._started = 0
        self._closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """``fn(*args, **kwargs)`` in a worker; RuntimeError once :meth:`shutdown` was called."""
        future: Future[T] = Future()
        context = copy_context()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = context.run(fn, *args, **kwargs)
            except Exception as exc:  # noqa: BLE001 - the caller's to see, whatever it is
                future.set_exception(exc)
            except BaseException as exc:  # noqa: BLE001 - sys.exit in a worker must not end the loop that waits
                future.set_exception(RuntimeError(f"a worker ended with {type(exc).__name__}"))
            else:
                future.set_result(result)

        with self._lock:
            if self._closed:
                raise RuntimeError("the workers were shut down")
            self._calls.put(call)
            if self._idle:
                self._idle -= 1
            elif self._started < self._maximum:
                self._started += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Take no more calls; those that wait are still made. It does not wait for them."""
        with self._lock:
            self._closed = True
            for _ in range(self._started):
                self._calls.put(None)

    def _work(self) -> Any:
        while call := self._calls.get():
            call()
            del call  # or its arguments, secrets among them, would live until the next one
            with self._lock:
                self._idle += 1
