"""Connections of the drivers themselves, made as the store needs them on either database."""

import os
import sqlite3
import sys
from typing import Any, Protocol

from recapito.store.faults import missing_driver
from recapito.store.silence import connection_class
from recapito.store.where import Where

__all__ = ["Connection", "connect", "errors", "let_go", "require"]

#: How libpq finds out that a server, or the way to it, has gone; in seconds. The URL may say otherwise.
_LIVENESS = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}


class Connection(Protocol):
    """What sqlite3 and psycopg connections have in common, as far as it is used here."""

    def execute(self, statement: str, parameters: Any = ..., /) -> Any:
        """Run one statement; the cursor."""
        ...

    def cursor(self) -> Any:
        """A new cursor."""
        ...

    def commit(self) -> None:
        """End the transaction, keeping it."""
        ...

    def rollback(self) -> None:
        """End the transaction, undoing it."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


def connect(where: Where) -> Connection:
    """A new connection to the database. Raises the driver's own errors."""
    return _sqlite(where) if where.path else _postgres(where)


def require(where: Where) -> None:
    """Raise Misconfigured (EXTRA-MISSING) where the driver that the database needs is not installed."""
    if where.is_sqlite:
        return
    try:
        import psycopg  # noqa: F401
    except ModuleNotFoundError as exc:
        raise missing_driver() from exc


def errors() -> tuple[type[Exception], ...]:
    """What the drivers that are loaded raise, for an ``except``."""
    loaded = sys.modules.get("psycopg")
    return (sqlite3.Error, loaded.Error) if loaded else (sqlite3.Error,)


def _sqlite(where: Where) -> Connection:
    assert where.path is not None
    # mode=rw: a file that has gone is an error and not a new, empty store.
    made = sqlite3.connect(
        f"{where.path.as_uri()}?mode=rw",
        uri=True,
        timeout=where.patience,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        made.execute("pragma synchronous=full")
        made.execute("pragma foreign_keys=on")
    except sqlite3.Error:
        made.close()
        raise
    return made


def _postgres(where: Where) -> Connection:
    from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

    positional, named = PGDialect_psycopg().create_connect_args(where.url)  # type: ignore[no-untyped-call]
    named = _LIVENESS | {"tcp_user_timeout": int(where.silence * 1000)} | named
    kind = connection_class()
    made: Connection = kind.within(where.silence, *positional, **named)
    made.execute(f"set lock_timeout = {int(where.patience * 1000)}")
    made.commit()
    return made


def let_go(connection: Any) -> None:
    """In a forked child: give up an inherited connection without a byte to the parent's server.

    Its descriptor becomes /dev/null, so that nothing keeps the parent's session open or ever writes to it.
    SQLite has no such socket; its connections are closed before a fork.
    """
    pgconn = getattr(connection, "pgconn", None)
    socket = getattr(pgconn, "socket", -1) if pgconn else -1
    if socket >= 0:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, socket)
        os.close(nothing)
