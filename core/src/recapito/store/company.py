"""Companies: each is known from the first profile on that names it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from recapito.store import schema

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["ensure", "names"]


def ensure(connection: "Connection", name: str) -> None:
    """Have the company; the store's row must be locked, so that nobody else makes it at once."""
    there = select(schema.company.c.name).where(schema.company.c.name == name)
    if connection.execute(there).first() is None:
        connection.execute(insert(schema.company), {"name": name, "created": datetime.now(UTC)})


def names(connection: "Connection") -> tuple[str, ...]:
    """All of them, in order."""
    query = select(schema.company.c.name).order_by(schema.company.c.name)
    return tuple(connection.execute(query).scalars())
