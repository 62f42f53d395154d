"""Whether anything changed since one looked last."""

from typing import TYPE_CHECKING

from recapito.errors import Misconfigured

if TYPE_CHECKING:
    from recapito.store.database import Database

__all__ = ["Version"]


class Version:
    """Reads the store's counter. On SQLite a look costs about two microseconds while nobody writes."""

    def __init__(self, database: "Database") -> None:
        self._database = database
        self._query = f"select version from {database.table('recapito_store')}"  # noqa: S608 - our own name
        self._connection = database.dedicate(patience=0)
        self._seen: tuple[object, int, int] = (None, 0, 0)

    def read(self) -> int:
        """The counter as it is now. Raises Misconfigured (STORE-…)."""
        version = self.read_at_once()
        if version is not None:
            return version
        query = self._query
        return int(self._database.read(lambda connection: connection.exec_driver_sql(query).scalar_one()))

    def read_at_once(self) -> int | None:
        """As :meth:`read`, without waiting for a server or a lock; None where that cannot be."""
        if not self._database.where.is_sqlite:
            return None
        try:
            return self._looked()
        except Misconfigured as exc:
            if exc.problem.code == "STORE-LOCKED":
                return None
            raise

    def _looked(self) -> int:
        with self._connection as connection:
            # data_version is this connection's own: another connection's numbers cannot be compared with it.
            changes = connection.execute("pragma data_version").fetchone()[0]
            seen, of, version = self._seen
            if seen is connection and of == changes:
                return version
            version = connection.execute(self._query).fetchone()[0]
            self._seen = (connection, changes, version)
            return int(version)
