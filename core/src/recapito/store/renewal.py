"""Renewing a grant: a lease in one short transaction, the result in another, the network between them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select, update

from recapito.problem import Problem
from recapito.profile import ProfileKey
from recapito.secret import Secret
from recapito.store import schema
from recapito.store.grants import SECRET, StoredToken, token_field, token_text
from recapito.store.names import is_possible
from recapito.store.turn import lock

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from recapito.store.database import Database
    from recapito.store.sealed import SecretTable

__all__ = ["UNCHANGED", "Renewal", "fail", "lease", "release", "renew"]

_table = schema.grant.c

#: What a renewal leaves as it was.
UNCHANGED = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What a refresh came back with: the token for ``resource``, and what changed of the grant (None: nothing)."""

    resource: str
    token: StoredToken
    secret: Secret | None = None
    scopes: Iterable[str] | None = None
    account: str | None = None
    idle_until: datetime | None = UNCHANGED


def lease(
    database: "Database", key: ProfileKey, grant_id: str, generation: int, owner: str, seconds: float
) -> bool:
    """True where ``owner`` alone may renew it now: nobody did, or their time was over, and it is still the same."""

    def work(connection: "Connection") -> bool:
        now = _now(connection)
        free = _table.lease_until.is_(None) | (_table.lease_until <= now)
        # A clock that was set back by hours must not keep a dead owner's lease for as long.
        free = free | (_table.lease_until > now + timedelta(seconds=2 * seconds))
        same = _is(key, grant_id) & (_table.generation == generation)
        taken = {"lease_owner": owner, "lease_until": now + timedelta(seconds=seconds)}
        return bool(connection.execute(update(schema.grant).where(same & free).values(taken)).rowcount)

    return database.write(work)


def release(database: "Database", key: ProfileKey, grant_id: str, owner: str) -> None:
    """Let others renew it; nothing happens where somebody else holds it by now."""
    let = update(schema.grant).where(_is(key, grant_id) & (_table.lease_owner == owner)).values(_FREE)
    database.write(lambda connection: connection.execute(let))


def renew(
    database: "Database",
    secrets: "SecretTable",
    key: ProfileKey,
    grant_id: str,
    generation: int,
    new: Renewal,
) -> int | None:
    """Save the token, and what renews the grant from now on, together; the new generation.

    None, and nothing changed, where somebody else has signed in or renewed it meanwhile.
    """
    values = _changed(new) | {"generation": generation + 1, "refreshed": datetime.now(UTC), "problem": None}
    save = update(schema.grant).where(_is(key, grant_id) & (_table.generation == generation))
    save = save.values(values | _FREE)
    written = {token_field(new.resource): token_text(new.token)}
    if new.secret is not None:
        written[SECRET] = new.secret

    def work(connection: "Connection") -> int | None:
        lock(connection)  # the writing key must not change while secrets are sealed with it
        if not connection.execute(save).rowcount:
            return None
        secrets.write(connection, grant_id, written)
        return generation + 1

    return database.write(work)


def fail(
    database: "Database",
    key: ProfileKey,
    grant_id: str,
    generation: int,
    problem: Problem,
    *,
    client_revision: str,
) -> bool:
    """Remember why it gives no tokens, and let go of the lease; False where it is no longer the same grant."""
    values = {"problem": problem.to_dict(), "client_revision": client_revision} | _FREE
    keep = update(schema.grant).where(_is(key, grant_id) & (_table.generation == generation)).values(values)
    return database.write(lambda connection: bool(connection.execute(keep).rowcount))


_FREE = {"lease_owner": None, "lease_until": None}


def _now(connection: "Connection") -> datetime:
    """The server's time where there is one: to a machine whose clock is ahead a lease must not be over at once."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now


def _changed(new: Renewal) -> dict[str, object]:
    found: dict[str, object] = {}
    if new.scopes is not None:
        found["scopes"] = sorted(new.scopes)
    if new.account is not None:
        found["account"] = new.account
    if new.idle_until is not UNCHANGED:
        found["idle_until"] = new.idle_until
    return found


def _is(key: ProfileKey, grant_id: str) -> "ColumnElement[bool]":
    assert is_possible(key)
    of_profile = (_table.company == key.company) & (_table.operator == key.operator)
    return of_profile & (_table.name == key.name) & (_table.id == grant_id)
