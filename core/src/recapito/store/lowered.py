"""Limits that a server asked for, for a while; by mailbox, as all limits are."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from recapito.limits import Limits
from recapito.store import schema
from recapito.store.turn import touch

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from recapito.store.database import Database

__all__ = ["Lowered", "lower", "read"]

#: Limits, and until when they hold.
Lowered = tuple[Limits, datetime]

_table = schema.lowered.c


def read(connection: "Connection", mailbox: str) -> Lowered | None:
    """What holds for ``mailbox`` now; None where nothing does."""
    row = connection.execute(select(schema.lowered).where(_table.mailbox == mailbox)).first()
    if row is None or row.until <= datetime.now(UTC):
        return None
    return Limits.from_dict(row.limits), row.until


def lower(database: "Database", mailbox: str, until: datetime, limits: Limits) -> None:
    """Hold ``mailbox`` to ``limits`` until then; what holds already goes on holding too."""

    def work(connection: "Connection") -> None:
        touch(connection)
        both, end = limits, until
        if holding := read(connection, mailbox):
            both, end = holding[0].lowered_by(limits), max(holding[1], until)
        over = (_table.mailbox == mailbox) | (_table.until <= datetime.now(UTC))
        connection.execute(delete(schema.lowered).where(over))
        row = {"mailbox": mailbox, "until": end, "limits": both.to_dict()}
        connection.execute(insert(schema.lowered), row)

    database.write(work)
