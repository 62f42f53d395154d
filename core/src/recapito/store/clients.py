"""Clients: a company's OAuth registrations, saved with their audit in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import delete, insert, select, true, update

from recapito.catalogue import problem
from recapito.errors import Misconfigured, NotFound
from recapito.profile import ProfileKey
from recapito.secret import Secret, Secrets
from recapito.store import audit, company, schema
from recapito.store.names import is_possible, refuse_impossible, refuse_unstorable
from recapito.store.profiles import ABSENT
from recapito.store.turn import touch

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from recapito.store.database import Database
    from recapito.store.sealed import SecretTable

__all__ = ["ClientRow", "StoredClient", "get", "listed", "remove", "save"]

_table = schema.client.c


@dataclass(frozen=True, slots=True)
class ClientRow:
    """A client as lists show it: which secrets are set, never what they are."""

    company: str
    name: str
    settings: Mapping[str, Any]
    secret_fields: tuple[str, ...]
    revision: str
    created: datetime


@dataclass(frozen=True, slots=True)
class StoredClient:
    """A client with its secrets."""

    company: str
    name: str
    settings: Mapping[str, Any]
    secrets: Secrets = field(default_factory=Secrets)
    revision: str = ""


def get(database: "Database", secrets: "SecretTable", of_company: str, name: str) -> StoredClient | None:
    """The client as it is now; None where the company has none of that name."""

    def work(connection: "Connection") -> StoredClient | None:
        row = _row(connection, of_company, name)
        if row is None:
            return None
        found = secrets.of(connection, row.id)
        return StoredClient(row.company, row.name, row.settings, found, str(row.revision))

    return database.read(work) if is_possible(_as_key(of_company, name)) else None


def listed(connection: "Connection", of_company: str | None) -> tuple[ClientRow, ...]:
    """All clients, or those of one company, by company and name."""
    which = true() if of_company is None else _table.company == of_company
    names = select(schema.secret.c.owner, schema.secret.c.field)
    names = names.join(schema.client, schema.secret.c.owner == _table.id).where(which)
    fields: dict[str, list[str]] = {}
    for owner, name in connection.execute(names):
        fields.setdefault(owner, []).append(name)
    query = select(schema.client).where(which).order_by(_table.company, _table.name)
    return tuple(
        ClientRow(
            row.company,
            row.name,
            row.settings,
            tuple(sorted(fields.get(row.id, ()))),
            str(row.revision),
            row.created,
        )
        for row in connection.execute(query)
    )


def save(
    database: "Database",
    secrets: "SecretTable",
    of_company: str,
    name: str,
    settings: Mapping[str, Any],
    changes: Mapping[str, Secret | None],
    *,
    by: str,
    fields: Sequence[str],
    expect_revision: str | None,
) -> str:
    """Save it; the new revision. Misconfigured: CLIENT-CHANGED, SETTINGS-INVALID for what no database can hold."""
    key = _as_key(of_company, name)
    refuse_impossible(key)
    written = {"settings": dict(settings), "fields": tuple(fields)}
    refuse_unstorable(key, written | {f"secrets.{each}": None for each in changes})

    def work(connection: "Connection") -> str:
        revision = touch(connection)
        row = _row(connection, of_company, name)
        present = ABSENT if row is None else str(row.revision)
        if expect_revision not in {None, present}:
            raise Misconfigured(problem("CLIENT-CHANGED", client=name, company=of_company))
        values = {"settings": dict(settings), "revision": revision}
        owner = uuid4().hex if row is None else row.id
        if row is None:
            company.ensure(connection, of_company)
            made = {"id": owner, "company": of_company, "name": name, "created": datetime.now(UTC)}
            connection.execute(insert(schema.client), made | values)
        else:
            connection.execute(update(schema.client).where(_table.id == owner).values(values))
        secrets.write(connection, owner, changes)
        action = "client-edited" if row else "client-created"
        _audit(connection, by, action, of_company, name, fields)
        return str(revision)

    return database.write(work)


def remove(database: "Database", secrets: "SecretTable", of_company: str, name: str, *, by: str) -> None:
    """Delete a client and its secrets; NotFound (CLIENT-UNKNOWN) where there is none."""

    def work(connection: "Connection") -> None:
        touch(connection)
        row = _row(connection, of_company, name) if is_possible(_as_key(of_company, name)) else None
        if row is None:
            raise NotFound(problem("CLIENT-UNKNOWN", client=name, company=of_company))
        secrets.remove(connection, row.id)
        connection.execute(delete(schema.client).where(_table.id == row.id))
        _audit(connection, by, "client-removed", of_company, name, ())

    database.write(work)


def _row(connection: "Connection", of_company: str, name: str) -> Any:
    return connection.execute(select(schema.client).where(_is(of_company, name))).first()


def _is(of_company: str, name: str) -> "ColumnElement[bool]":
    return (_table.company == of_company) & (_table.name == name)


def _audit(
    connection: "Connection", by: str, action: str, of_company: str, name: str, fields: Sequence[str]
) -> None:
    detail = {"client": name}
    audit.write(connection, by=by, action=action, company=of_company, fields=fields, detail=detail)


def _as_key(of_company: str, name: str) -> ProfileKey:
    """What is looked at for characters that cannot be stored."""
    return ProfileKey(of_company, name)
