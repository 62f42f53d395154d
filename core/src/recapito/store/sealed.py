"""The table of secrets: what is written is sealed with the store's writing key, and checked to be readable."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, insert, select, update

from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.problem import Problem
from recapito.secret import Secret, Secrets
from recapito.store import schema

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from recapito.store.box import Box

__all__ = ["SecretTable"]

_LOST = frozenset({"KEY-UNKNOWN", "KEY-WRONG", "SECRET-DAMAGED"})
_CHECK = Secret("recapito")
_ONE = delete(schema.secret).where(
    schema.secret.c.owner == bindparam("of_owner"), schema.secret.c.field == bindparam("of_field")
)


class SecretTable:
    """Secrets by the immutable id of the row that they belong to.

    Which key writes is said by the database and not by each process's key source: so all processes agree, and
    none can write with an old key once a rotation has begun.
    """

    def __init__(self, box: "Box", *, may_make_key: bool) -> None:
        self.box = box
        self._may_make_key = may_make_key
        self._verified: set[str] = set()

    def write(self, connection: "Connection", owner: str, changes: Mapping[str, Secret | None]) -> None:
        """Set and delete fields; the others stay. The store's row must be locked (``touch``)."""
        for field, secret in changes.items():
            connection.execute(_ONE, {"of_owner": owner, "of_field": field})
            if secret is None:
                continue
            key_id = self.writing_key(connection)
            sealed = self.box.seal(secret, key_id, owner, field)
            row = {"owner": owner, "field": field, "key_id": key_id, "sealed": sealed}
            connection.execute(insert(schema.secret).values(row))

    def remove(self, connection: "Connection", owner: str) -> None:
        """Delete all secrets of ``owner``."""
        connection.execute(delete(schema.secret).where(schema.secret.c.owner == owner))

    def of(self, connection: "Connection", owner: str) -> Secrets:
        """All secrets of ``owner``. Raises Misconfigured (KEY-…, SECRET-DAMAGED)."""
        table = schema.secret.c
        rows = connection.execute(select(table.field, table.sealed).where(table.owner == owner)).all()
        return self.open(connection, owner, [(row.field, row.sealed) for row in rows])

    def open(self, connection: "Connection", owner: str, rows: Iterable[tuple[str, bytes]]) -> Secrets:
        """The secrets of ``owner`` from what is kept. Raises Misconfigured (KEY-…, SECRET-DAMAGED)."""
        return Secrets({field: self._opened(connection, owner, field, sealed) for field, sealed in rows})

    def open_most(
        self, connection: "Connection", owner: str, rows: Iterable[tuple[str, bytes]]
    ) -> tuple[Secrets, dict[str, Problem]]:
        """As :meth:`open`; those that do not open come out as why, by field."""
        found, lost = {}, {}
        for field, sealed in rows:
            try:
                found[field] = self._opened(connection, owner, field, sealed)
            except Misconfigured as exc:
                if exc.problem.code not in _LOST:
                    raise
                lost[field] = exc.problem
        return Secrets(found), lost

    def _opened(self, connection: "Connection", owner: str, field: str, sealed: bytes) -> Secret:
        try:
            return self.box.open(sealed, owner, field)
        except Misconfigured as exc:
            if exc.problem.code == "SECRET-DAMAGED":
                self.verify(connection, _key_of(sealed))
            raise

    def writing_key(self, connection: "Connection") -> str:
        """The id of the key that writes; the first one is chosen now. Raises Misconfigured (KEY-…)."""
        key_id = connection.execute(select(schema.store.c.writing_key)).scalar_one()
        if key_id is None:
            key_id = self.box.keyring.newest(make=self._may_make_key)
            self.adopt(connection, key_id)
        elif key_id not in self._verified:
            self.verify(connection, key_id)
        return str(key_id)

    def adopt(self, connection: "Connection", key_id: str) -> None:
        """Make a key the one that writes, leaving a sealed constant by which it is known again."""
        if not self.verify(connection, key_id):
            checked = self.box.seal(_CHECK, key_id, "key", key_id)
            row = {"id": key_id, "checked": checked, "created": datetime.now(UTC)}
            connection.execute(insert(schema.key).values(row))
        connection.execute(update(schema.store).values(writing_key=key_id))

    def verify(self, connection: "Connection", key_id: str) -> bool:
        """Whether the store knows the key; Misconfigured (KEY-WRONG) where it is another of the same id."""
        checked = connection.execute(select(schema.key.c.checked).where(schema.key.c.id == key_id)).scalar()
        if checked is None:
            return False
        try:
            self.box.open(checked, "key", key_id)
        except Misconfigured as exc:
            if exc.problem.code != "SECRET-DAMAGED":
                raise
            raise Misconfigured(
                problem("KEY-WRONG", key=key_id, place=self.box.keyring.source.place)
            ) from None
        self._verified.add(key_id)
        return True


def _key_of(sealed: bytes) -> str:
    from recapito.store.box import key_id_of

    return key_id_of(sealed)
