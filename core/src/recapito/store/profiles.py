"""Profiles and their secrets: read for each send, saved with their audit in one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from sqlalchemy import delete, insert, select, true, update

from recapito.catalogue import problem
from recapito.errors import Misconfigured, NotFound
from recapito.limits import Limits
from recapito.problem import Problem
from recapito.profile import Found, Profile, ProfileKey
from recapito.secret import Secret
from recapito.store import attempts, audit, company, grants, schema, state
from recapito.store.names import is_possible, refuse_impossible, refuse_unstorable
from recapito.store.state import State, matches, named, state_of
from recapito.store.turn import touch

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from recapito.store.database import Database
    from recapito.store.sealed import SecretTable

__all__ = [
    "ABSENT",
    "Opened",
    "ProfileRow",
    "Save",
    "checked",
    "get",
    "listed",
    "opened",
    "remove",
    "row",
    "save",
    "save_one",
]

#: The revision to expect of a profile that must not exist yet.
ABSENT = ""

_table = schema.profile.c

_GET = (
    select(schema.profile, schema.secret.c.field, schema.secret.c.sealed)
    .select_from(schema.profile.outerjoin(schema.secret, schema.secret.c.owner == _table.id))
    .where(matches(schema.profile))
)
_ID = select(_table.id, _table.revision, _table.transport).where(matches(schema.profile))


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """A profile as lists show it: which secrets are set, never what they are."""

    key: ProfileKey
    profile: Profile
    state: State
    revision: str
    secret_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """A profile with those of its secrets that open; ``lost`` says why the others do not, by field."""

    found: Found
    lost: Mapping[str, Problem]


class Save(NamedTuple):
    """One profile to save: None deletes a secret, one that is absent stays.

    ``expect_revision`` is what the profile must still be of, :data:`ABSENT` where it must not exist yet; None
    does not look.
    """

    profile: Profile
    secrets: Mapping[str, Secret | None]
    action: str
    fields: Sequence[str]
    expect_revision: str | None = None


def get(database: "Database", secrets: "SecretTable", key: ProfileKey) -> Found | None:
    """The profile with its secrets, as committed now; None where there is none."""

    def work(connection: "Connection") -> Found | None:
        rows = connection.execute(_GET, named(key)).all()
        if not rows:
            return None
        found = secrets.open(connection, rows[0].id, _sealed(rows))
        return Found(_profile(rows[0]), found, str(rows[0].revision))

    return database.read(work) if is_possible(key) else None


def opened(database: "Database", secrets: "SecretTable", key: ProfileKey) -> Opened | None:
    """As :func:`get`, where secrets that do not open are no failure."""

    def work(connection: "Connection") -> Opened | None:
        rows = connection.execute(_GET, named(key)).all()
        if not rows:
            return None
        found, lost = secrets.open_most(connection, rows[0].id, _sealed(rows))
        return Opened(Found(_profile(rows[0]), found, str(rows[0].revision)), lost)

    return database.read(work) if is_possible(key) else None


def row(connection: "Connection", key: ProfileKey) -> ProfileRow | None:
    """One profile as :func:`listed` has it."""
    if not is_possible(key):
        return None
    return next(iter(_rows(connection, matches(schema.profile), named(key))), None)


def listed(connection: "Connection", of_company: str | None) -> tuple[ProfileRow, ...]:
    """All profiles, or those of one company, in the order of their keys."""
    return _rows(connection, true() if of_company is None else _table.company == of_company)


def _rows(
    connection: "Connection", which: "ColumnElement[bool]", parameters: Mapping[str, str] | None = None
) -> tuple[ProfileRow, ...]:
    state_row = schema.state.c
    with_state = schema.profile.outerjoin(
        schema.state,
        (state_row.company == _table.company)
        & (state_row.operator == _table.operator)
        & (state_row.name == _table.name),
    )
    query = select(schema.profile, state_row.problem, state_row.since, state_row.paused_by)
    query = query.select_from(with_state).order_by(_table.company, _table.operator, _table.name).where(which)
    names = select(schema.secret.c.owner, schema.secret.c.field)
    names = names.join(schema.profile, schema.secret.c.owner == _table.id).where(which)
    fields: dict[str, list[str]] = {}
    for owner, field in connection.execute(names, parameters):
        fields.setdefault(owner, []).append(field)
    found = ((_profile(row), row) for row in connection.execute(query, parameters))
    return tuple(
        ProfileRow(each.key, each, state_of(row), str(row.revision), tuple(sorted(fields.get(row.id, ()))))
        for each, row in found
    )


def save(database: "Database", secrets: "SecretTable", items: Iterable[Save], *, by: str) -> list[str]:
    """Save all of them or none; their revisions.

    Raises Misconfigured: PROFILE-CHANGED, SETTINGS-INVALID for what no database can hold, KEY-…, STORE-….
    """
    wanted = checked(items)

    def work(connection: "Connection") -> list[str]:
        revision = touch(connection)
        for item in wanted:
            save_one(connection, secrets, item, revision, by)
        return [str(revision)] * len(wanted)

    return database.write(work) if wanted else []


def checked(items: Iterable[Save]) -> list[Save]:
    """The items, all of which can be kept; Misconfigured (SETTINGS-INVALID) for what no database can hold."""
    wanted = [Save(*item) for item in items]
    for item in wanted:
        refuse_impossible(item.profile.key)
        refuse_unstorable(item.profile.key, _texts(item))
    return wanted


def remove(database: "Database", secrets: "SecretTable", key: ProfileKey, *, by: str) -> None:
    """Delete the profile with all that hangs on it; NotFound (PROFILE-UNKNOWN) where there is none."""

    def work(connection: "Connection") -> None:
        touch(connection)
        row = connection.execute(_ID, named(key)).first()
        if row is None:
            raise NotFound(problem("PROFILE-UNKNOWN", profile=key, operator=key.operator))
        secrets.remove(connection, row.id)
        grants.forget(connection, secrets, key)
        attempts.forget(connection, secrets, key)
        state.forget(connection, key)
        connection.execute(delete(schema.profile).where(_table.id == row.id))
        audit.write(connection, by=by, action="removed", key=key)

    database.write(work)


def save_one(connection: "Connection", secrets: "SecretTable", item: Save, revision: int, by: str) -> None:
    """Save and audit one of those that :func:`checked` has seen, in a transaction that has touched the store."""
    key = item.profile.key
    row = connection.execute(_ID, named(key)).first()
    present = ABSENT if row is None else str(row.revision)
    if item.expect_revision not in {None, present}:
        raise Misconfigured(problem("PROFILE-CHANGED", profile=key, operator=key.operator))
    values = _values(item.profile) | {"revision": revision}
    if row is None:
        owner = uuid4().hex
        company.ensure(connection, key.company)
        made = {"id": owner, "created": datetime.now(UTC)}
        connection.execute(insert(schema.profile), made | key._asdict() | values)
    else:
        owner = row.id
        connection.execute(update(schema.profile).where(_table.id == owner).values(values))
    secrets.write(connection, owner, item.secrets)
    audit.write(connection, by=by, action=item.action, key=key, fields=tuple(item.fields))
    # What was granted to the transport that it leaves is of no use to the other, and would be a secret left behind.
    moved = row is not None and row.transport != item.profile.transport
    if moved and grants.forget(connection, secrets, key):
        audit.write(connection, by=by, action="signed-out", key=key, fields=("grant",))


def _texts(item: Save) -> dict[str, Any]:
    """What is written as it is: secrets are sealed, but not their names."""
    rest = {f"secrets.{name}": None for name in item.secrets} | {"action": item.action}
    return _values(item.profile) | {"fields": tuple(item.fields)} | rest


def _sealed(rows: Sequence[Any]) -> list[tuple[str, bytes]]:
    return [(row.field, row.sealed) for row in rows if row.field is not None]


def _values(profile: Profile) -> dict[str, Any]:
    return {
        "sender": profile.sender,
        "sender_name": profile.sender_name,
        "aliases": list(profile.aliases),
        "reply_to": profile.reply_to,
        "transport": profile.transport,
        "settings": dict(profile.settings),
        "limits": profile.limits.to_dict(),
        "trusted_host": profile.trusted_host,
    }


def _profile(row: Any) -> Profile:
    return Profile(
        ProfileKey(row.company, row.operator, row.name),
        sender=row.sender,
        transport=row.transport,
        sender_name=row.sender_name,
        aliases=tuple(row.aliases),
        reply_to=row.reply_to,
        settings=row.settings,
        limits=Limits.from_dict(row.limits),
        trusted_host=row.trusted_host,
    )
