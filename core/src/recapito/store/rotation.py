"""Encrypting every secret again with the newest key, while other processes read and write."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, select, update

from recapito.store import audit, schema
from recapito.store.turn import lock, touch

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from recapito.store.database import Database
    from recapito.store.sealed import SecretTable

__all__ = ["rotate"]

#: Secrets in one transaction: others wait for it about as long as for one save.
_GROUP = 50

_table = schema.secret.c


def rotate(
    database: "Database", secrets: "SecretTable", by: str, progress: Callable[[int, int], None] | None
) -> int:
    """Make the newest key the writing key and seal every other secret with it again; how many.

    It may be repeated after an interruption. Nothing is changed where a key is missing (KEY-UNKNOWN). Where a
    rotation to a newer key begins meanwhile, this one ends: the newer one finishes.
    """
    newest = secrets.box.keyring.newest()

    def begin(connection: "Connection") -> int:
        touch(connection)
        for (key_id,) in connection.execute(select(_table.key_id).distinct()):
            secrets.box.keyring.get(key_id)
            secrets.verify(connection, key_id)
        if connection.execute(select(schema.store.c.writing_key)).scalar_one() != newest:
            secrets.adopt(connection, newest)
            audit.write(connection, by=by, action="keys-rotated", detail={"key": newest})
        old = select(func.count()).select_from(schema.secret).where(_table.key_id != newest)
        return int(connection.execute(old).scalar_one())

    # Whoever saves from here on reads the new writing key under the same lock: no old record can appear.
    total, done = database.write(begin), 0
    while group := database.write(lambda connection: _group(connection, secrets, newest)):
        done += group
        if progress is not None:
            progress(done, max(total, done))
    return done


def _group(connection: "Connection", secrets: "SecretTable", newest: str) -> int:
    lock(connection)
    if connection.execute(select(schema.store.c.writing_key)).scalar_one() != newest:
        return 0  # each of two rotations would take the other's secrets for old ones, and never end
    rows = connection.execute(
        select(_table.owner, _table.field, _table.sealed).where(_table.key_id != newest).limit(_GROUP)
    ).all()
    change = (
        update(schema.secret)
        .where(_table.owner == bindparam("of_owner"), _table.field == bindparam("of_field"))
        .values(key_id=newest, sealed=bindparam("again"))
    )
    for owner, field, sealed in rows:
        opened = secrets.open(connection, owner, [(field, sealed)])
        again = secrets.box.seal(opened[field], newest, owner, field)
        connection.execute(change, {"of_owner": owner, "of_field": field, "again": again})
    return len(rows)
