"""A gate that a fork shuts: the child must not inherit a database in the middle of something."""

import threading
import time
from types import TracebackType

__all__ = ["Gate"]


class Gate:
    """Entered around each use of the database; :meth:`shut` waits until nobody is inside."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._shut = False

    def __enter__(self) -> None:
        with self._changed:
            while self._shut:
                self._changed.wait()
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._inside -= 1
            if self._shut:
                self._changed.notify_all()

    def shut(self, seconds: float) -> bool:
        """Let nobody in; True once all are out, False where that takes longer than ``seconds``."""
        until = time.monotonic() + seconds
        with self._changed:
            self._shut = True
            while self._inside:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
            return True

    def open(self) -> None:
        """Let them in again."""
        with self._changed:
            self._shut = False
            self._changed.notify_all()
