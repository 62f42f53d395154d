"""Sign-ins that were begun, so that any process can finish them: each once, and for some minutes only."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import delete, func, insert, select

from recapito.profile import ProfileKey
from recapito.secret import Secrets
from recapito.store import schema
from recapito.store.names import is_possible, refuse_impossible, storable
from recapito.store.state import matches, named
from recapito.store.turn import lock

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from recapito.store.database import Database
    from recapito.store.sealed import SecretTable

__all__ = ["MOST", "NewAttempt", "StoredAttempt", "begin", "count", "forget", "get", "take"]

#: Open attempts of one profile: who begins without end must not fill the table.
MOST = 20

_table = schema.attempt.c


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAttempt:
    """A sign-in that begins: for whom, by what, until when (``expires``, with time zone), and what finishes it.

    ``session`` tells one browser from another; ``draft`` are changes of the profile that are saved with the grant.
    """

    key: ProfileKey
    transport: str
    sign_in: str
    client: str
    kind: str
    redirect_uri: str
    hint: str
    session: str = field(repr=False)
    by: str
    expires: datetime
    draft: Mapping[str, Any] | None = None
    interval: float = 5.0
    secrets: Secrets = field(default_factory=Secrets)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAttempt:
    """A sign-in that was begun and has not ended."""

    id: str
    key: ProfileKey
    transport: str
    sign_in: str
    client: str
    kind: str
    redirect_uri: str
    hint: str
    by: str
    expires: datetime
    draft: Mapping[str, Any] | None
    interval: float
    secrets: Secrets
    session_hash: str = field(repr=False)

    def matches_session(self, session: str) -> bool:
        """Whether it was begun in the browser that ``session`` tells."""
        return hmac.compare_digest(self.session_hash, _hashed(session))

    def again(self, session: str) -> NewAttempt:
        """The same, to be begun again under its state."""
        return NewAttempt(
            key=self.key,
            transport=self.transport,
            sign_in=self.sign_in,
            client=self.client,
            kind=self.kind,
            redirect_uri=self.redirect_uri,
            hint=self.hint,
            session=session,
            by=self.by,
            expires=self.expires,
            draft=self.draft,
            interval=self.interval,
            secrets=self.secrets,
        )


def begin(database: "Database", secrets: "SecretTable", state: str, new: NewAttempt) -> None:
    """Keep it under ``state``, of which only the hash is kept. What has expired goes, and the oldest above MOST."""
    refuse_impossible(new.key)
    row = {
        "id": uuid4().hex,
        "state_hash": _hashed(state),
        "transport": new.transport,
        "sign_in": new.sign_in,
        "client": new.client,
        "kind": new.kind,
        "redirect_uri": new.redirect_uri,
        "hint": storable(new.hint),
        "session_hash": _hashed(new.session),
        "begun_by": storable(new.by),
        "draft": None if new.draft is None else dict(new.draft),
        "interval": new.interval,
        "begun": datetime.now(UTC),
        "expires": new.expires,
    }

    def work(connection: "Connection") -> None:
        lock(connection)
        _tidy(connection, secrets, new.key)
        connection.execute(insert(schema.attempt), row | new.key._asdict())
        secrets.write(connection, str(row["id"]), new.secrets)

    database.write(work)


def get(database: "Database", secrets: "SecretTable", state: str) -> StoredAttempt | None:
    """The attempt under ``state``; None where there is none, or its time is over."""
    return database.read(lambda connection: _read(connection, secrets, state))


def take(database: "Database", secrets: "SecretTable", state: str) -> StoredAttempt | None:
    """As :func:`get`, and it is gone: of many who ask, one gets it."""

    def work(connection: "Connection") -> StoredAttempt | None:
        found = _read(connection, secrets, state)
        if found is None or not _delete(connection, secrets, [found.id]):
            return None
        return found

    return database.write(work)


def count(connection: "Connection", key: ProfileKey) -> int:
    """How many of a profile are open."""
    open_ones = select(func.count()).select_from(schema.attempt)
    open_ones = open_ones.where(matches(schema.attempt) & (_table.expires > datetime.now(UTC)))
    return int(connection.execute(open_ones, named(key)).scalar_one()) if is_possible(key) else 0


def forget(connection: "Connection", secrets: "SecretTable", key: ProfileKey) -> None:
    """The profile is removed: nobody finishes what was begun for it."""
    ids = connection.execute(select(_table.id).where(matches(schema.attempt)), named(key)).scalars().all()
    _delete(connection, secrets, list(ids))


def _tidy(connection: "Connection", secrets: "SecretTable", key: ProfileKey) -> None:
    over = connection.execute(select(_table.id).where(_table.expires <= datetime.now(UTC))).scalars().all()
    mine = select(_table.id).where(matches(schema.attempt)).order_by(_table.begun.desc()).offset(MOST - 1)
    oldest = connection.execute(mine, named(key)).scalars().all()
    _delete(connection, secrets, [*over, *oldest])


def _delete(connection: "Connection", secrets: "SecretTable", ids: list[str]) -> int:
    gone = 0
    for each in dict.fromkeys(ids):
        gone += connection.execute(delete(schema.attempt).where(_table.id == each)).rowcount
        secrets.remove(connection, each)
    return gone


def _read(connection: "Connection", secrets: "SecretTable", state: str) -> StoredAttempt | None:
    query = select(schema.attempt).where(_table.state_hash == _hashed(state))
    row = connection.execute(query.where(_table.expires > datetime.now(UTC))).first()
    found = secrets.of(connection, row.id) if row is not None else Secrets()
    if row is None or "verifier" not in found:  # somebody else takes it in this very moment
        return None
    return StoredAttempt(
        id=row.id,
        key=ProfileKey(row.company, row.operator, row.name),
        transport=row.transport,
        sign_in=row.sign_in,
        client=row.client,
        kind=row.kind,
        redirect_uri=row.redirect_uri,
        hint=row.hint,
        by=row.begun_by,
        expires=row.expires,
        draft=row.draft,
        interval=row.interval,
        secrets=found,
        session_hash=row.session_hash,
    )


def _hashed(text: str) -> str:
    # States have 128 bits or more: nothing is gained by a slow hash.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
