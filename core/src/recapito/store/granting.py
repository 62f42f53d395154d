"""Signing in and out, as the store sees it: grants made and taken away, with their audit, in one transaction."""

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import select

from recapito.profile import ProfileKey
from recapito.store import audit, grants, profiles, schema, state
from recapito.store.grants import GrantRow, NewGrant
from recapito.store.names import refuse_impossible
from recapito.store.state import matches, named
from recapito.store.turn import lock, touch

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from recapito.store.database import Database
    from recapito.store.profiles import Save
    from recapito.store.sealed import SecretTable

__all__ = ["ensure", "remove", "save"]

#: The pause of a person's wish, which no sign-in takes away.
_WISHED = "PROFILE-PAUSED"

_TRANSPORT = select(schema.profile.c.transport).where(matches(schema.profile))


def save(
    database: "Database",
    secrets: "SecretTable",
    new: NewGrant,
    *,
    by: str,
    action: str,
    profile: "Save | None" = None,
) -> GrantRow:
    """Save what a sign-in left, in the place of what was there; ``profile`` is saved with it, or neither.

    A pause ends, unless a person wished it.
    """
    refuse_impossible(new.key)
    saving = profiles.checked([profile]) if profile else []

    def work(connection: "Connection") -> GrantRow:
        revision = touch(connection)
        grants.forget(connection, secrets, new.key)
        for each in saving:
            profiles.save_one(connection, secrets, each, revision, by)
        made = grants.add(connection, secrets, new)
        audit.write(connection, by=by, action=action, key=new.key, fields=("grant",))
        return replace(made, resumed=_resumed(connection, new.key, by))

    return database.write(work)


def ensure(
    database: "Database", secrets: "SecretTable", new: NewGrant, *, instead_of: str, by: str
) -> GrantRow:
    """The grant as it is, or ``new`` where there is none, or one that does not fit and has the id ``instead_of``.

    What somebody granted since the caller looked is not replaced, nor one for the transport that the profile has
    by now: the row then says what it is of.
    """
    refuse_impossible(new.key)

    def settled(connection: "Connection") -> GrantRow | None:
        found = grants.read(connection, new.key)
        if found is None or (found.id == instead_of and not _fits(found, new)):
            return None
        return found

    def work(connection: "Connection") -> GrantRow:
        lock(connection)
        if there := settled(connection):
            return there
        found = grants.read(connection, new.key)
        if found is not None:
            wanted = connection.execute(_TRANSPORT, named(new.key)).scalar()
            if wanted not in {None, new.transport}:  # None: the host keeps the profile
                return found
            grants.forget(connection, secrets, new.key)
            audit.write(connection, by=by, action="signed-out", key=new.key, fields=("grant",))
        touch(connection)
        return grants.add(connection, secrets, new)

    return database.read(settled) or database.write(work)


def remove(
    database: "Database",
    secrets: "SecretTable",
    key: ProfileKey,
    *,
    by: str,
    action: str,
    grant_id: str | None = None,
) -> bool:
    """Forget the grant and its tokens; True where there was one. ``grant_id``: only that one, no newer."""

    def work(connection: "Connection") -> bool:
        lock(connection)
        found = grants.read(connection, key)
        if found is None or grant_id not in {None, found.id}:
            return False
        if not grants.forget(connection, secrets, key):
            return False
        touch(connection)
        audit.write(connection, by=by, action=action, key=key, fields=("grant",))
        return True

    return database.write(work)


def _fits(found: GrantRow, new: NewGrant) -> bool:
    wanted = (new.transport, new.sign_in, new.client, new.account or found.account)
    return (found.transport, found.sign_in, found.client, found.account) == wanted


def _resumed(connection: "Connection", key: ProfileKey, by: str) -> bool:
    paused = state.read(connection, key)
    if not paused.paused or (paused.problem is not None and paused.problem.code == _WISHED):
        return False
    state.forget(connection, key)
    audit.write(connection, by=by, action="resumed", key=key)
    return True
