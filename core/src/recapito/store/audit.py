"""Who changed what: written in the transaction of the change itself, and never a secret's value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from recapito.profile import ProfileKey
from recapito.store import schema
from recapito.store.names import storable

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["AuditRow", "read", "write"]

_table = schema.audit.c


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One change. ``key`` is None where it concerns the whole store; ``fields`` are names, never values."""

    at: datetime
    by: str
    action: str
    key: ProfileKey | None = None
    fields: tuple[str, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)


def write(
    connection: "Connection",
    *,
    by: str,
    action: str,
    key: ProfileKey | None = None,
    company: str | None = None,
    fields: Sequence[str] = (),
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Add a row to the transaction of ``connection``; ``company`` is whose it is where no profile is concerned."""
    company, operator, name = key or (company, None, None)
    row = {
        "at": datetime.now(UTC),
        "done_by": storable(by),
        "action": action,
        "company": company,
        "operator": operator,
        "name": name,
        "fields": list(fields),
        "detail": dict(detail or {}),
    }
    connection.execute(insert(schema.audit), row)


def read(
    connection: "Connection", *, company: str | None, operator: str | None, limit: int
) -> tuple[AuditRow, ...]:
    """The newest rows, newest first."""
    query = select(schema.audit).order_by(_table.id.desc()).limit(limit)
    if company is not None:
        query = query.where(_table.company == company)
    if operator is not None:
        query = query.where(_table.operator == operator)
    return tuple(
        AuditRow(
            row.at,
            row.done_by,
            row.action,
            ProfileKey(row.company, row.operator, row.name) if row.operator is not None else None,
            tuple(row.fields),
            row.detail,
        )
        for row in connection.execute(query)
    )
