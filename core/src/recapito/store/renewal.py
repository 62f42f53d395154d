"""Renewing a grant: a lease in one short transaction, the result in another, the network between them."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Double, literal, literal_column, type_coerce, update

from recapito.problem import Problem
from recapito.profile import ProfileKey
from recapito.secret import Secret
from recapito.store import schema
from recapito.store.grants import SECRET, StoredToken, token_field, token_text
from recapito.store.names import refuse_impossible, storable
from recapito.store.turn import lock

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from recapito.store.database import Database
    from recapito.store.sealed import SecretTable

__all__ = ["UNCHANGED", "Renewal", "fail", "lease", "release", "renew"]

_table = schema.grant.c
_until = type_coerce(_table.lease_until, Double)
_FREE = {"lease_owner": None, "lease_until": None}

#: Seconds that no lease lasts: one that seems to was taken before a clock was set back.
_NO_LEASE = 120.0
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
    same = _is(key, grant_id) & (_table.generation == generation)

    def work(connection: "Connection") -> bool:
        now = _clock(database)  # only here: the transaction may have waited for others
        free = _until.is_(None) | (_until <= now)
        # A clock that was set back by hours must not keep a dead owner's lease for as long.
        free = free | (_until > now + max(2 * seconds, _NO_LEASE))
        taken = {"lease_owner": owner, "lease_until": now + seconds}
        take = update(schema.grant).where(same & free).values(taken)
        return bool(connection.execute(take).rowcount)

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
    owner: str,
) -> bool:
    """Remember why it gives no tokens, and let go of the lease.

    False where it is no longer the same grant, or somebody else renews it by now: what they meet is newer.
    """
    values = {"problem": problem.to_dict(), "client_revision": client_revision} | _FREE
    mine = _table.lease_owner.is_(None) | (_table.lease_owner == owner)
    same = _is(key, grant_id) & (_table.generation == generation)
    keep = update(schema.grant).where(same & mine).values(values)
    return database.write(lambda connection: bool(connection.execute(keep).rowcount))


def _changed(new: Renewal) -> dict[str, object]:
    found: dict[str, object] = {}
    if new.scopes is not None:
        found["scopes"] = sorted(new.scopes)
    if new.account is not None:
        found["account"] = storable(new.account)
    if new.idle_until is not UNCHANGED:
        found["idle_until"] = new.idle_until
    return found


def _clock(database: "Database") -> "ColumnElement[float]":
    """Now: by the server's clock, since those of two machines that share it may differ."""
    if database.where.is_sqlite:
        return literal(time.time(), Double)
    return literal_column("cast(extract(epoch from clock_timestamp()) as double precision)", Double)


def _is(key: ProfileKey, grant_id: str) -> "ColumnElement[bool]":
    refuse_impossible(key)
    of_profile = (_table.company == key.company) & (_table.operator == key.operator)
    return of_profile & (_table.name == key.name) & (_table.id == grant_id)
