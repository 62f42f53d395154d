"""The database behind a store: short transactions, the same words on SQLite and PostgreSQL, safe across a fork."""

import threading
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from recapito.store import driver
from recapito.store.dedicated import Dedicated
from recapito.store.faults import explained
from recapito.store.fork import survive_forks
from recapito.store.gate import Gate
from recapito.store.silence import is_silence

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    from recapito.store.where import Where

__all__ = ["Database"]

T = TypeVar("T")

#: Seconds that a fork waits for what other threads have begun.
_QUIET = 5.0

#: Engines that a child inherited: kept, since collecting a connection would close it.
_INHERITED: list[Any] = []


class Database:
    """One database. ``read`` and ``write`` run a function with a connection; any thread may call them."""

    def __init__(self, where: "Where") -> None:
        self.where = where
        self._gate = Gate()
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._pooled: set[Any] = set()
        self._dedicated: weakref.WeakSet[Dedicated] = weakref.WeakSet()
        survive_forks(self)

    @property
    def engine(self) -> "Engine":
        """SQLAlchemy's engine, made at first use; a new one after a fork and after :meth:`close`."""
        with self._lock:
            if self._engine is None:
                self._engine = self._made()
            return self._engine

    def table(self, name: str) -> str:
        """The name of a table for statements that are not SQLAlchemy's."""
        return f'"{self.where.schema}"."{name}"' if self.where.schema else f'"{name}"'

    def read(self, work: "Callable[[Connection], T]") -> T:
        """What ``work`` returns; each of its statements sees what is committed. Raises Misconfigured (STORE-…)."""
        return self._tried(self._reading, work)

    def write(self, work: "Callable[[Connection], T]", *, at_leisure: bool = False) -> T:
        """What ``work`` returns, its changes committed together, or none of them and Misconfigured (STORE-…).

        On SQLite the lock is taken before the first read. ``work`` runs again, from its beginning, where an
        idle connection turned out to be dead. A server that says nothing for long is given up, unless
        ``at_leisure``: then one statement may take hours.
        """
        return self._tried(self._at_leisure if at_leisure else self._writing, work)

    def dedicate(self, patience: float | None = None) -> Dedicated:
        """A connection for one purpose, outside the pool. ``patience`` in seconds, if it is not the store's."""
        made = Dedicated(self.where if patience is None else replace(self.where, patience=patience))
        self._dedicated.add(made)
        return made

    def close(self) -> None:
        """Close every connection; the next use opens new ones."""
        for each in tuple(self._dedicated):
            each.close()
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    def before_fork(self) -> None:
        """Wait until no transaction is open."""
        quiet = self._gate.shut(_QUIET)
        for each in tuple(self._dedicated):
            each.before_fork(_QUIET)
        if quiet and self.where.is_sqlite and self._engine is not None:
            # SQLite counts its locks by process: a child with the parent's state would believe it holds them.
            self._engine.dispose()

    def after_in_parent(self) -> None:
        """Go on."""
        for each in tuple(self._dedicated):
            each.after_in_parent()
        self._gate.open()

    def after_in_child(self) -> None:
        """Start anew, leaving the parent's connections alone."""
        self._gate = Gate()
        self._lock = threading.Lock()
        for connection in self._pooled:
            driver.let_go(connection)
        _INHERITED.append((self._engine, self._pooled))
        self._engine, self._pooled = None, set()
        for each in tuple(self._dedicated):
            each.after_in_child()

    def _made(self) -> "Engine":
        driver.require(self.where)
        pooled = self._pooled
        engine = create_engine(
            "sqlite://" if self.where.is_sqlite else "postgresql+psycopg://",  # it shows this, so no password
            creator=lambda: driver.connect(self.where),
            poolclass=QueuePool,
            max_overflow=-1,  # whoever has a thread may have a connection: the callers bound their threads
            hide_parameters=True,
        )
        event.listen(engine, "connect", lambda connection, _record: pooled.add(connection))
        event.listen(engine, "close", lambda connection, _record: pooled.discard(connection))
        if self.where.schema:
            return engine.execution_options(schema_translate_map={None: self.where.schema})
        return engine

    def _reading(self, work: "Callable[[Connection], T]") -> T:
        with self._gate, self.engine.connect() as connection:
            if self.where.is_sqlite:
                return work(connection)
            # No BEGIN and no ROLLBACK around one select: each would be a round trip.
            return work(connection.execution_options(isolation_level="AUTOCOMMIT"))

    def _writing(self, work: "Callable[[Connection], T]") -> T:
        with self._gate, self.engine.connect() as connection:
            if self.where.is_sqlite:
                connection.exec_driver_sql("begin immediate")
            result = work(connection)
            try:
                connection.commit()
            except DBAPIError as exc:
                exc.connection_invalidated = False  # it may have been committed: never run it again
                raise
            return result

    def _at_leisure(self, work: "Callable[[Connection], T]") -> T:
        def unhurried(connection: "Connection") -> T:
            if self.where.is_sqlite:
                return work(connection)
            driver_connection: Any = connection.connection.driver_connection
            driver_connection.silence = None
            try:
                return work(connection)
            finally:
                driver_connection.silence = self.where.silence

        return self._writing(unhurried)

    def _tried(
        self,
        how: "Callable[[Callable[[Connection], T]], T]",
        work: "Callable[[Connection], T]",
        *,
        again: bool = True,
    ) -> T:
        try:
            return how(work)
        except DBAPIError as exc:
            lost = exc.connection_invalidated and not is_silence(exc.orig)
            fault = explained(exc, self.where)
        if lost and again:
            return self._tried(how, work, again=False)
        raise fault  # outside the handler: no context leads to frames that held the password
