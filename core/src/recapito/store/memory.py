"""Who was told what, so that each new problem is told once, by whichever process meets it first."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from recapito.store import schema

if TYPE_CHECKING:
    from sqlalchemy import Connection, Insert

    from recapito.store.database import Database

__all__ = ["solved", "told"]

_table = schema.attention.c


def told(database: "Database", subject: str, code: str) -> bool:
    """Remember that ``subject`` is told of ``code``; True where it was not remembered yet."""

    def known(connection: "Connection") -> bool:
        of_both = (_table.subject == subject) & (_table.code == code)
        return connection.execute(select(_table.code).where(of_both)).first() is not None

    def work(connection: "Connection") -> bool:
        row = {"subject": subject, "code": code, "told": datetime.now(UTC)}
        return bool(connection.execute(_insert(connection, row)).rowcount)

    return not database.read(known) and database.write(work)


def solved(database: "Database", subject: str) -> None:
    """Forget what ``subject`` was told."""
    of_subject = _table.subject == subject

    def known(connection: "Connection") -> bool:
        return connection.execute(select(_table.code).where(of_subject)).first() is not None

    def work(connection: "Connection") -> None:
        connection.execute(delete(schema.attention).where(of_subject))

    if database.read(known):
        database.write(work)


def _insert(connection: "Connection", row: dict[str, object]) -> "Insert":
    if connection.dialect.name == "sqlite":
        return sqlite.insert(schema.attention).values(row).on_conflict_do_nothing()
    return postgresql.insert(schema.attention).values(row).on_conflict_do_nothing()
