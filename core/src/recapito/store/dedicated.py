"""One connection kept for one purpose: the journal's writes, and looking whether something changed."""

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

from recapito.store import driver
from recapito.store.faults import explained

if TYPE_CHECKING:
    from recapito.store.where import Where

__all__ = ["Dedicated"]

#: Connections that a child inherited in use: kept, since collecting one would close it.
_INHERITED: list[Any] = []


class Dedicated:
    """``with dedicated as connection:`` gives the driver's connection to one thread at a time.

    It is opened at first use, and again after an error or a fork. The driver's errors come out as
    Misconfigured (STORE-…).
    """

    def __init__(self, where: "Where") -> None:
        self._where = where
        self._lock = threading.Lock()
        self._connection: driver.Connection | None = None
        self._held = False

    def __enter__(self) -> driver.Connection:
        self._lock.acquire()
        try:
            return self._connection or self._connected()
        except BaseException:
            self._lock.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._lock.release()
            return
        self._drop()
        self._lock.release()
        if isinstance(error, driver.errors()):
            raise explained(error, self._where)

    def close(self) -> None:
        """Close it; the next use opens a new one."""
        with self._lock:
            self._drop()

    def _connected(self) -> driver.Connection:
        fault = None
        try:
            self._connection = driver.connect(self._where)
        except driver.errors() as exc:
            fault = explained(exc, self._where)
        if fault is not None:
            raise fault  # outside the handler: no context leads to frames that held the password
        assert self._connection is not None
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def before_fork(self, seconds: float) -> None:
        """Let nobody use it during the fork; a SQLite connection is closed, since a child must not inherit it."""
        self._held = self._lock.acquire(timeout=seconds)
        if self._held and self._where.is_sqlite:
            self._drop()

    def after_in_parent(self) -> None:
        """Go on."""
        if self._held:
            self._lock.release()

    def after_in_child(self) -> None:
        """Start anew, leaving the parent's connection alone."""
        self._lock = threading.Lock()
        if self._connection is not None:
            driver.let_go(self._connection)
            _INHERITED.append(self._connection)
            self._connection = None
