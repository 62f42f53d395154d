"""Grants: what sign-ins left, by the key of the profile that they are of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import delete, insert, select, true

from recapito.problem import Problem, require_zone
from recapito.profile import ProfileKey
from recapito.secret import Secret
from recapito.store import company, schema
from recapito.store.names import is_possible, storable
from recapito.store.state import matches, named

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from recapito.store.database import Database
    from recapito.store.sealed import SecretTable

__all__ = [
    "SECRET",
    "GrantRow",
    "NewGrant",
    "StoredGrant",
    "StoredToken",
    "add",
    "forget",
    "listed",
    "opened",
    "read",
    "token_field",
    "token_text",
]

#: The field of a grant's secret: what renews it.
SECRET = "grant"  # noqa: S105 - a field's name
_TOKEN = "token "  # noqa: S105 - what stands before a resource

_GET = select(schema.grant).where(matches(schema.grant))
_DELETE = delete(schema.grant).where(matches(schema.grant))


@dataclass(frozen=True, slots=True)
class StoredToken:
    """An access token, and when it expires (with time zone)."""

    value: Secret
    expires_at: datetime

    def __post_init__(self) -> None:
        require_zone(self.expires_at, "StoredToken.expires_at")


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A grant without its secrets. ``id`` is new with each sign-in, ``generation`` with each renewal.

    ``problem`` is why it gives no tokens, met with the client of ``client_revision``; ``lease_until`` when whoever
    renews it has to be done. ``resumed``: the sign-in that made it let the profile run again.
    """

    key: ProfileKey
    id: str
    transport: str
    sign_in: str
    client: str
    account: str
    scopes: frozenset[str]
    idle_until: datetime | None
    generation: int
    granted: datetime
    refreshed: datetime | None = None
    problem: Problem | None = None
    client_revision: str = ""
    lease_until: datetime | None = None
    resumed: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class StoredGrant:
    """A grant with its secret (empty where no person signed in) and its tokens, by resource."""

    row: GrantRow
    secret: Secret
    tokens: Mapping[str, StoredToken]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGrant:
    """What a sign-in left, to be saved."""

    key: ProfileKey
    transport: str
    sign_in: str
    client: str
    account: str = ""
    scopes: frozenset[str] = frozenset()
    secret: Secret = field(default_factory=lambda: Secret(""))
    idle_until: datetime | None = None


def read(connection: "Connection", key: ProfileKey) -> GrantRow | None:
    """The grant of a profile; None where there is none."""
    row = connection.execute(_GET, named(key)).first() if is_possible(key) else None
    return None if row is None else _made(row)


def listed(connection: "Connection", of_company: str | None) -> tuple[GrantRow, ...]:
    """All grants, or those of one company, in the order of their keys."""
    table = schema.grant.c
    query = select(schema.grant).order_by(table.company, table.operator, table.name)
    query = query.where(true() if of_company is None else table.company == of_company)
    return tuple(_made(row) for row in connection.execute(query))


def opened(database: "Database", secrets: "SecretTable", key: ProfileKey) -> StoredGrant | None:
    """The grant with its secrets, as committed now."""

    def work(connection: "Connection") -> StoredGrant | None:
        row = read(connection, key)
        if row is None:
            return None
        found = secrets.of(connection, row.id)
        tokens = {name.removeprefix(_TOKEN): _token(found[name]) for name in found if name.startswith(_TOKEN)}
        return StoredGrant(row, found.get(SECRET, Secret("")), tokens)

    return database.read(work)


def add(connection: "Connection", secrets: "SecretTable", new: NewGrant) -> GrantRow:
    """Keep ``new`` where there is none. The store's row must be locked (``touch``)."""
    company.ensure(connection, new.key.company)
    row = {
        "id": uuid4().hex,
        "transport": new.transport,
        "sign_in": new.sign_in,
        "client": new.client,
        "account": storable(new.account),
        "scopes": sorted(new.scopes),
        "idle_until": new.idle_until,
        "generation": 1,
        "granted": datetime.now(UTC),
        "client_revision": "",
    }
    connection.execute(insert(schema.grant), row | new.key._asdict())
    if new.secret:
        secrets.write(connection, str(row["id"]), {SECRET: new.secret})
    made = read(connection, new.key)
    assert made is not None
    return made


def forget(connection: "Connection", secrets: "SecretTable", key: ProfileKey) -> bool:
    """Delete the grant with its secrets; True where there was one."""
    found = read(connection, key)
    if found is None:
        return False
    secrets.remove(connection, found.id)
    connection.execute(_DELETE, named(key))
    return True


def token_field(resource: str) -> str:
    """The field in which the token for ``resource`` is kept."""
    return _TOKEN + resource


def token_text(token: StoredToken) -> Secret:
    """A token as it is kept."""
    return Secret(json.dumps({"value": token.value.reveal(), "expires_at": token.expires_at.timestamp()}))


def _token(kept: Secret) -> StoredToken:
    found = json.loads(kept.reveal())
    return StoredToken(Secret(found["value"]), datetime.fromtimestamp(found["expires_at"], UTC))


def _made(row: Any) -> GrantRow:
    return GrantRow(
        ProfileKey(row.company, row.operator, row.name),
        row.id,
        row.transport,
        row.sign_in,
        row.client,
        row.account,
        frozenset(row.scopes),
        row.idle_until,
        row.generation,
        row.granted,
        row.refreshed,
        Problem.from_dict(row.problem) if row.problem is not None else None,
        row.client_revision,
        row.lease_until,
    )
