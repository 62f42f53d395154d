"""Waiting for the next item no longer than until a deadline, for iterators that block."""

import queue
import threading
import time
from collections.abc import Iterator
from typing import TypeVar

__all__ = ["next_before"]

T = TypeVar("T")


def next_before(deadline: float, items: Iterator[T]) -> T | None:
    """The next item, or None at the end; TimeoutError at ``deadline`` (``time.monotonic()``).

    What was waited for goes on in a daemon thread, which does not keep the process from ending.
    """
    if deadline == float("inf"):
        return next(items, None)
    answer: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def fetch() -> None:
        try:
            answer.put((next(items, None), None))
        except BaseException as exc:  # noqa: BLE001 - raised again where it is waited for
            answer.put((None, exc))

    threading.Thread(target=fetch, daemon=True).start()
    try:
        item, raised = answer.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        raise TimeoutError from None
    if raised is not None:
        raise raised
    return item
