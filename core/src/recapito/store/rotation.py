"""Encrypting every secret again with the newest key, while other processes read and write."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, select, update

from recapito.errors import Misconfigured
from recapito.store import audit, schema
from recapito.store.turn import lock, touch

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from recapito.store.database import Database
    from recapito.store.sealed import SecretTable

__all__ = ["Rotated", "rotate"]

#: Secrets in one transaction: others wait for it about as long as for one save.
_GROUP = 50

_table = schema.secret.c


class Rotated(int):
    """How many secrets were sealed again. ``key`` writes now; ``changed``: another one did before.

    ``lost`` secrets were left as they are, since no key here opens them.
    """

    key: str
    changed: bool
    lost: int


def rotate(
    database: "Database",
    secrets: "SecretTable",
    by: str,
    progress: Callable[[int, int], None] | None,
    *,
    leave_lost: bool = False,
) -> Rotated:
    """Make the newest key the writing key and seal every other secret with it again; how many.

    It may be repeated after an interruption. Nothing is changed where a key is missing (KEY-UNKNOWN) or
    another one (KEY-WRONG), unless ``leave_lost``: then its secrets stay as they are. Where a rotation to a newer
    key begins meanwhile, this one ends: the newer one finishes.
    """
    newest = secrets.box.keyring.newest()

    def begin(connection: "Connection") -> tuple[list[str], int, int, bool]:
        touch(connection)
        lost = _lost(connection, secrets, leave_lost=leave_lost)
        changed = connection.execute(select(schema.store.c.writing_key)).scalar_one() != newest
        if changed:
            secrets.adopt(connection, newest)
            audit.write(connection, by=by, action="keys-rotated", detail={"key": newest})
        count = select(func.count()).select_from(schema.secret)
        of_lost, of_old = _table.key_id.in_(lost), _old(newest, lost)
        left, old = (connection.execute(count.where(which)).scalar_one() for which in (of_lost, of_old))
        return lost, left, old, changed

    # Whoever saves from here on reads the new writing key under the same lock: no old record can appear.
    lost, left, total, changed = database.write(begin)
    done = 0
    while group := database.write(lambda connection: _group(connection, secrets, newest, lost)):
        done += group
        if progress is not None:
            progress(done, max(total, done))
    rotated = Rotated(done)
    rotated.key, rotated.changed, rotated.lost = newest, changed, left
    return rotated


def _lost(connection: "Connection", secrets: "SecretTable", *, leave_lost: bool) -> list[str]:
    """The ids of keys that secrets here are sealed with, and that are not here."""
    lost = []
    for (key_id,) in connection.execute(select(_table.key_id).distinct()).all():
        try:
            secrets.box.keyring.get(key_id)
            secrets.verify(connection, key_id)
        except Misconfigured as exc:
            if not leave_lost or exc.problem.code not in {"KEY-UNKNOWN", "KEY-WRONG"}:
                raise
            lost.append(key_id)
    return lost


def _old(newest: str, lost: list[str]) -> "ColumnElement[bool]":
    return _table.key_id.not_in([newest, *lost])


def _group(connection: "Connection", secrets: "SecretTable", newest: str, lost: list[str]) -> int:
    lock(connection)
    if connection.execute(select(schema.store.c.writing_key)).scalar_one() != newest:
        return 0  # each of two rotations would take the other's secrets for old ones, and never end
    rows = connection.execute(
        select(_table.owner, _table.field, _table.sealed).where(_old(newest, lost)).limit(_GROUP)
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
