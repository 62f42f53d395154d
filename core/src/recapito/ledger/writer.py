"""The journal's hand: writes groups of intents and outcomes, each group in one transaction."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from recapito.ledger.process import this_process

if TYPE_CHECKING:
    from recapito.store.database import Database

__all__ = ["GroupWriter"]

_INTENT = ("id", "company", "operator", "name", "transport", "reference", "message_id", "recipients", "size")
_COLUMNS = (*_INTENT, "started", "deadline", "process")


class GroupWriter:
    """Writes past SQLAlchemy, on a connection of its own: this is paid for each message."""

    def __init__(self, database: "Database") -> None:
        self._connection = database.dedicate()
        table, mark = database.table("recapito_journal"), "?" if database.where.is_sqlite else "%s"
        marks = ",".join([mark] * len(_COLUMNS))
        # A group may be written twice where its server went away: the second time changes nothing.
        self._insert = (
            f"insert into {table} ({','.join(_COLUMNS)}) values ({marks}) on conflict (id) do nothing"  # noqa: S608
        )
        self._update = f"update {table} set ended={mark}, outcome={mark}, result={mark} where id={mark}"  # noqa: S608
        self._is_sqlite = database.where.is_sqlite
        self.process = this_process()

    def write(self, intents: Sequence[tuple[Any, ...]], outcomes: Sequence[tuple[Any, ...]]) -> None:
        """Commit all of them. Raises Misconfigured (STORE-…), and then none is written."""
        with self._connection as connection:
            if self._is_sqlite:
                connection.execute("begin immediate")
                _each(connection, self._insert, intents)
                _each(connection, self._update, outcomes)
                connection.execute("commit")
                return
            # psycopg begins by itself, and sends many rows of one statement in one flight.
            cursor = connection.cursor()
            if intents:
                cursor.executemany(self._insert, intents)
            if outcomes:
                cursor.executemany(self._update, outcomes)
            connection.commit()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _each(connection: Any, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        connection.executemany(statement, rows)
