"""Who was told what, so that each new problem is told once, by whichever process meets it first."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, text

from recapito.store import schema

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from recapito.store.database import Database

__all__ = ["solved", "told"]

_table = schema.attention.c


def told(database: "Database", subject: str, code: str) -> bool:
    """Remember that ``subject`` is told of ``code``; True where it was not remembered yet."""

    # Written out, since SQLAlchemy's own words for it load both dialects, which takes as long as all the rest.
    table = database.table("recapito_attention")
    add = text(f"insert into {table} values (:subject, :code, :told) on conflict do nothing")  # noqa: S608

    def known(connection: "Connection") -> bool:
        of_both = (_table.subject == subject) & (_table.code == code)
        return connection.execute(select(_table.code).where(of_both)).first() is not None

    def work(connection: "Connection") -> bool:
        row = {"subject": subject, "code": code, "told": datetime.now(UTC).timestamp()}
        return bool(connection.execute(add, row).rowcount)

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
