"""Taking turns, and telling everybody that something changed: both happen on the store's one row."""

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from recapito.store import schema

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["lock", "touch"]


def lock(connection: "Connection") -> None:
    """Take turns with everybody who changes profiles; SQLite's transactions already do."""
    connection.execute(select(schema.store.c.one).with_for_update())


def touch(connection: "Connection") -> int:
    """Count the store's version up, which also takes turns; the new version."""
    connection.execute(update(schema.store).values(version=schema.store.c.version + 1))
    return int(connection.execute(select(schema.store.c.version)).scalar_one())
