"""Whether a profile may send: active, or paused and why. Kept by key, so for a host's own profiles too."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, insert, select, update

from recapito.problem import Problem, Scope
from recapito.profile import ProfileKey
from recapito.store import audit, schema
from recapito.store.names import is_possible, refuse_impossible, storable
from recapito.store.turn import touch

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from recapito.store.database import Database

__all__ = ["ACTIVE", "State", "matches", "named", "pause", "read", "resume", "resume_client", "state_of"]


@dataclass(frozen=True, slots=True)
class State:
    """Active, or paused: since when, by whom, and the problem that a person must solve."""

    paused: bool = False
    problem: Problem | None = None
    since: datetime | None = None
    by: str | None = None


ACTIVE = State()


def matches(table: Any) -> Any:
    """The condition that a row of ``table`` has the key that :func:`named` binds."""
    return (
        (table.c.company == bindparam("of_company"))
        & (table.c.operator == bindparam("of_operator"))
        & (table.c.name == bindparam("of_name"))
    )


def named(key: ProfileKey) -> dict[str, str]:
    """The parameters of :func:`matches`."""
    return {"of_company": key.company, "of_operator": key.operator, "of_name": key.name}


_GET = select(schema.state).where(matches(schema.state))
_DELETE = delete(schema.state).where(matches(schema.state))


def state_of(row: Any) -> State:
    """The state that a row of the table (or of a join that may have none) says."""
    if row is None or row.problem is None:
        return ACTIVE
    return State(True, Problem.from_dict(row.problem), row.since, row.paused_by)


def read(connection: "Connection", key: ProfileKey) -> State:
    """The state of one profile; active where nothing is known."""
    return state_of(connection.execute(_GET, named(key)).first() if is_possible(key) else None)


def pause(
    database: "Database", keys: Sequence[ProfileKey], problem: Problem, *, by: str
) -> tuple[ProfileKey, ...]:
    """Pause all of ``keys`` together; those that were not already paused with this code."""
    for key in keys:
        refuse_impossible(key)

    def work(connection: "Connection") -> tuple[ProfileKey, ...]:
        touch(connection)
        return tuple(key for key in dict.fromkeys(keys) if _paused_now(connection, key, problem, by))

    def all_are(connection: "Connection") -> bool:
        return all(_has(connection, key, problem) for key in keys)

    # Most often it is paused already: a look takes no lock and tells nobody that something changed.
    if database.read(all_are):
        return ()
    return database.write(work)


def resume(database: "Database", key: ProfileKey, *, by: str) -> bool:
    """Let it send again; True where it was paused."""

    def work(connection: "Connection") -> bool:
        touch(connection)
        if not connection.execute(_DELETE, named(key)).rowcount:
            return False
        audit.write(connection, by=by, action="resumed", key=key)
        return True

    return database.read(lambda connection: read(connection, key)).paused and database.write(work)


def resume_client(database: "Database", company: str, client: str, *, by: str) -> tuple[ProfileKey, ...]:
    """Let the company's profiles run that this client had paused; and forget why its grants gave no tokens."""

    def concerned(problem: "Problem | None") -> bool:
        at_fault = problem is not None and problem.scope is Scope.CLIENT
        return at_fault and problem is not None and problem.params.get("client") == client

    def paused(connection: "Connection") -> list[ProfileKey]:
        rows = connection.execute(select(schema.state).where(schema.state.c.company == company))
        return [
            ProfileKey(row.company, row.operator, row.name)
            for row in rows
            if concerned(Problem.from_dict(row.problem))
        ]

    def work(connection: "Connection") -> tuple[ProfileKey, ...]:
        touch(connection)
        keys = tuple(paused(connection))
        for key in keys:
            forget(connection, key)
            audit.write(connection, by=by, action="resumed", key=key, detail={"client": client})
        table = schema.grant.c
        rows = connection.execute(
            select(table.id, table.problem).where(
                (table.company == company) & (table.client == client) & table.problem.is_not(None)
            )
        ).all()
        for row in rows:
            if concerned(Problem.from_dict(row.problem)):
                connection.execute(update(schema.grant).where(table.id == row.id).values(problem=None))
        return keys

    return database.write(work)


def forget(connection: "Connection", key: ProfileKey) -> None:
    """The profile is removed: so is its state."""
    connection.execute(_DELETE, named(key))


def _has(connection: "Connection", key: ProfileKey, problem: Problem) -> bool:
    found = read(connection, key).problem
    return found is not None and found.code == problem.code


def _paused_now(connection: "Connection", key: ProfileKey, problem: Problem, by: str) -> bool:
    if _has(connection, key, problem):
        return False
    connection.execute(_DELETE, named(key))
    row = {"problem": problem.to_dict(), "since": datetime.now(UTC), "paused_by": storable(by)}
    connection.execute(insert(schema.state), row | key._asdict())
    audit.write(connection, by=by, action="paused", key=key, detail={"code": problem.code})
    return True
