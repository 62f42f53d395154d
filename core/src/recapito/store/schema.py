"""The tables, as they are at the newest revision; ``migrations/`` tells how older ones get there."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from recapito.store.columns import Json, Moment

__all__ = [
    "HEAD",
    "REVISIONS",
    "attempt",
    "attention",
    "audit",
    "client",
    "company",
    "grant",
    "journal",
    "key",
    "lowered",
    "metadata",
    "profile",
    "secret",
    "state",
    "store",
    "version_table",
]

#: Every revision that this version knows, in order: what a database says is compared with them without Alembic.
REVISIONS = ("0001", "0002", "0003")
HEAD = REVISIONS[-1]

metadata = MetaData()

# PostgreSQL counts with BIGSERIAL; only an INTEGER PRIMARY KEY counts by itself on SQLite.
_Serial = BigInteger().with_variant(Integer, "sqlite")


def _key_columns(*, primary_key: bool = False, nullable: bool = False) -> list[Column[Any]]:
    return [
        Column(name, Text, primary_key=primary_key, nullable=nullable)
        for name in ("company", "operator", "name")
    ]


#: One row. Every change of what a send depends on counts ``version`` up, and so takes turns on this row.
store = Table(
    "recapito_store",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    Column("created", Moment, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("writing_key", Text),
)

#: Each key that ever wrote here, with a sealed constant by which a wrong key of the same id is known.
key = Table(
    "recapito_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("checked", LargeBinary, nullable=False),
    Column("created", Moment, nullable=False),
)

company = Table(
    "recapito_company",
    metadata,
    Column("name", Text, primary_key=True),
    Column("created", Moment, nullable=False),
)

profile = Table(
    "recapito_profile",
    metadata,
    Column("id", Text, primary_key=True),
    *_key_columns(),
    Column("revision", BigInteger, nullable=False),
    Column("sender", Text, nullable=False),
    Column("sender_name", Text, nullable=False),
    Column("aliases", Json, nullable=False),
    Column("reply_to", Text),
    Column("transport", Text, nullable=False),
    Column("settings", Json, nullable=False),
    Column("limits", Json, nullable=False),
    Column("trusted_host", Boolean, nullable=False),
    Column("created", Moment, nullable=False),
    UniqueConstraint("company", "operator", "name", name="recapito_profile_key"),
)

#: ``owner`` is the immutable id of the row that the secret belongs to: a profile's, client's, grant's or attempt's.
secret = Table(
    "recapito_secret",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("key_id", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

#: A row is a pause. By key and not by profile: a host may keep the profiles itself.
state = Table(
    "recapito_state",
    metadata,
    *_key_columns(primary_key=True),
    Column("problem", Json, nullable=False),
    Column("since", Moment, nullable=False),
    Column("paused_by", Text, nullable=False),
)

audit = Table(
    "recapito_audit",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("done_by", Text, nullable=False),
    Column("action", Text, nullable=False),
    *_key_columns(nullable=True),
    Column("fields", Json, nullable=False),
    Column("detail", Json, nullable=False),
    Index("recapito_audit_operator", "company", "operator"),
)

attention = Table(
    "recapito_attention",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("told", Moment, nullable=False),
)

lowered = Table(
    "recapito_lowered",
    metadata,
    Column("mailbox", Text, primary_key=True),
    Column("until", Moment, nullable=False),
    Column("limits", Json, nullable=False),
)

#: Direct sends. Times are plain numbers: the journal writes past SQLAlchemy's types. Ids begin with the time,
#: so that rows are added at one end of each index: on SQLite every page that is touched is written and synced.
journal = Table(
    "recapito_journal",
    metadata,
    Column("id", Text, primary_key=True),
    *_key_columns(),
    Column("transport", Text, nullable=False),
    Column("reference", Text),
    Column("message_id", Text, nullable=False),
    Column("recipients", Text, nullable=False),
    Column("size", BigInteger),
    Column("started", Double, nullable=False),
    Column("deadline", Double),
    Column("process", Text, nullable=False),
    Column("ended", Double),
    Column("outcome", Text),
    Column("result", Text),
    Index("recapito_journal_operator", "company", "operator", "name", "id"),
    Index("recapito_journal_reference", "reference"),
    sqlite_with_rowid=False,
)

#: A company's OAuth registrations, by the name of their kind.
client = Table(
    "recapito_client",
    metadata,
    Column("id", Text, primary_key=True),
    Column("company", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("settings", Json, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("created", Moment, nullable=False),
    UniqueConstraint("company", "name", name="recapito_client_key"),
)

#: By the profile's key, since a host may keep the profiles itself. ``id`` is new with each sign-in; ``generation``
#: counts what was saved since. ``problem`` is why it gives no tokens, met with the client's ``client_revision``.
grant = Table(
    "recapito_grant",
    metadata,
    *_key_columns(primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("transport", Text, nullable=False),
    Column("sign_in", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("scopes", Json, nullable=False),
    Column("idle_until", Moment),
    Column("generation", BigInteger, nullable=False),
    Column("granted", Moment, nullable=False),
    Column("refreshed", Moment),
    Column("problem", Json),
    Column("client_revision", Text, nullable=False),
    Column("lease_owner", Text),
    Column("lease_until", Moment),
)

#: Sign-ins that were begun. States and sessions are kept as SHA-256: what is read here finishes none.
attempt = Table(
    "recapito_attempt",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state_hash", Text, nullable=False, unique=True),
    *_key_columns(),
    Column("transport", Text, nullable=False),
    Column("sign_in", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("session_hash", Text, nullable=False),
    Column("begun_by", Text, nullable=False),
    Column("draft", Json),
    Column("interval", Double, nullable=False),
    Column("begun", Moment, nullable=False),
    Column("expires", Moment, nullable=False),
    Index("recapito_attempt_profile", "company", "operator", "name"),
    Index("recapito_attempt_expires", "expires"),
)

#: As Alembic makes it; apart from ``metadata``, since it is Alembic's own.
version_table = Table(
    "recapito_alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="recapito_alembic_version_pkc"),
)
