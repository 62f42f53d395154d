"""The store: profiles with their secrets and states, who changed them, and what was said to whom."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from sqlalchemy import select

from recapito.errors import Misconfigured
from recapito.limits import Limits
from recapito.problem import Problem
from recapito.profile import Found, Profile, ProfileKey
from recapito.secret import Secret
from recapito.store import audit, company, lowered, memory, migration, profiles, rotation, schema, state
from recapito.store.audit import AuditRow
from recapito.store.box import Box
from recapito.store.database import Database
from recapito.store.files import find_file
from recapito.store.keys import Keyring, KeySource, NewKey, key_source, keys_new
from recapito.store.profiles import Opened, ProfileRow, Save
from recapito.store.rotation import Rotated
from recapito.store.sealed import SecretTable
from recapito.store.sign_ins import SignIns
from recapito.store.state import State
from recapito.store.version import Version
from recapito.store.where import Where, located

__all__ = ["Store"]


class Store(SignIns):
    """recapito's own tables in one database. Any thread may use it; after a fork the child opens its own
    connections. It is a :class:`~recapito.profile.ProfileSource`.

    Every method may raise Misconfigured: ``STORE-…`` where the database does not do what it is asked,
    ``KEY-…`` where a key does not fit. Nothing is then half written.
    """

    def __init__(self, database: Database, keys: KeySource | None, *, may_make_key: bool) -> None:
        self.database = database
        self.id: str = database.read(
            lambda connection: connection.execute(select(schema.store.c.id)).scalar_one()
        )
        self._secrets = SecretTable(Box(self.id, Keyring(keys or key_source())), may_make_key=may_make_key)
        self._version = Version(database)

    @classmethod
    def open(
        cls, url: str | None = None, *, keys: KeySource | None = None, schema: str | None = None
    ) -> Self:
        """The store at ``url``, at ``RECAPITO_DATABASE``, or the one in the user's data folder.

        It must exist: Misconfigured names what to do where it does not. ``schema`` is PostgreSQL's.
        """
        # A traceback that shows locals must find no password in them: it is parsed, and the text let go.
        where, url = located(url, schema, create=False), None
        return cls._ready(where, keys, create=False)

    @classmethod
    def create(
        cls,
        url: str | None = None,
        *,
        keys: KeySource | None = None,
        schema: str | None = None,
        upgrade: bool = False,
    ) -> Self:
        """As :meth:`open`; makes what does not exist, and a first key when a secret is first stored.

        ``upgrade`` brings older tables to this version wherever they are (``recapito db upgrade``).
        """
        where, url = located(url, schema, create=True), None
        return cls._ready(where, keys, create=True, upgrade=upgrade)

    @classmethod
    def _ready(
        cls,
        where: Where | Misconfigured,
        keys: KeySource | None,
        *,
        create: bool,
        upgrade: bool = False,
    ) -> Self:
        if isinstance(where, Misconfigured):
            raise where
        if where.is_sqlite:
            find_file(where, create=create)
        database = Database(where)
        try:
            migration.ready(database, create_it=create, upgrade_it=upgrade)
            return cls(database, keys, may_make_key=create)
        except BaseException:
            database.close()
            raise

    @property
    def url(self) -> str:
        """The database's URL without its password: safe to show."""
        return self.database.where.shown

    def close(self) -> None:
        """Close every connection. The store may be used again, and opens new ones."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.url})"

    def upgrade(self) -> None:
        """Bring the tables to this version; nothing happens where they are."""
        migration.upgrade(self.database)

    def version(self) -> int:
        """A number that differs once any profile, client, state or limit has changed, or somebody has signed in or
        out, by whatever process.

        The journal's writes, what was told, a begun sign-in and a renewed grant do not change it.
        """
        return self._version.read()

    def version_at_once(self) -> int | None:
        """As :meth:`version`, for an event loop: None where it would have to wait (a server, a locked file)."""
        return self._version.read_at_once()

    # Profiles

    def get(self, key: ProfileKey) -> Found | None:
        """The profile with its secrets as it is now; None where there is none."""
        return profiles.get(self.database, self._secrets, key)

    def opened(self, key: ProfileKey) -> Opened | None:
        """As :meth:`get`, with those secrets that open; the others' problems by field (a lost key, say)."""
        return profiles.opened(self.database, self._secrets, key)

    def row(self, key: ProfileKey) -> ProfileRow | None:
        """The profile, its state and which secrets it has, without opening any; None where there is none."""
        return self.database.read(lambda connection: profiles.row(connection, key))

    def profiles(self, company: str | None = None) -> tuple[ProfileRow, ...]:
        """All profiles, or those of one company, by key; their secrets stay sealed."""
        return self.database.read(lambda connection: profiles.listed(connection, company))

    def save(
        self,
        profile: Profile,
        secrets: Mapping[str, Secret | None],
        *,
        by: str,
        action: str,
        fields: Sequence[str],
        expect_revision: str | None = None,
    ) -> str:
        """Save a profile and audit it (``action`` on ``fields``); the new revision.

        A secret that is None is deleted, one that is absent stays; a grant for another transport goes. Misconfigured
        (PROFILE-CHANGED) where the profile is no longer of ``expect_revision``, or exists although that is
        :data:`recapito.store.ABSENT`.
        """
        item = Save(profile, secrets, action, fields, expect_revision)
        return profiles.save(self.database, self._secrets, [item], by=by)[0]

    def save_many(self, items: Iterable[Save | tuple[Any, ...]], *, by: str) -> list[str]:
        """Save all of them, or none; their revisions, in order."""
        return profiles.save(self.database, self._secrets, (Save(*item) for item in items), by=by)

    def remove(self, key: ProfileKey, *, by: str) -> None:
        """Delete a profile, its secrets, state, grant and open sign-ins; NotFound where there is none."""
        profiles.remove(self.database, self._secrets, key, by=by)

    def companies(self) -> tuple[str, ...]:
        """The names of all companies; one exists from its first profile on."""
        return self.database.read(company.names)

    def audit(
        self, company: str | None = None, operator: str | None = None, limit: int = 100
    ) -> tuple[AuditRow, ...]:
        """The newest changes, newest first."""
        return self.database.read(
            lambda connection: audit.read(connection, company=company, operator=operator, limit=limit)
        )

    # States and limits, of a host's own profiles too

    def state(self, key: ProfileKey) -> State:
        """Whether the profile may send."""
        return self.database.read(lambda connection: state.read(connection, key))

    def pause(self, key: ProfileKey, problem: Problem, *, by: str) -> bool:
        """Stop the profile; True only if it was not already paused with this code."""
        return bool(state.pause(self.database, [key], problem, by=by))

    def pause_mailbox(
        self, keys: Iterable[ProfileKey], problem: Problem, *, by: str
    ) -> tuple[ProfileKey, ...]:
        """Stop every profile of one mailbox at once; those that were not already paused with this code."""
        return state.pause(self.database, tuple(keys), problem, by=by)

    def resume(self, key: ProfileKey, *, by: str) -> bool:
        """Let the profile send again; True where it was paused."""
        return state.resume(self.database, key, by=by)

    def lower_limit(self, mailbox: str, until: datetime, limits: Limits) -> None:
        """Hold a mailbox to ``limits`` until then, beside what it is held to already."""
        lowered.lower(self.database, mailbox, until, limits)

    def lowered(self, mailbox: str) -> lowered.Lowered | None:
        """The lowered limits of a mailbox and until when they hold; None where there are none now."""
        return self.database.read(lambda connection: lowered.read(connection, mailbox))

    # What people were told

    def told(self, subject_key: str, code: str) -> bool:
        """Remember that the subject was told of this code; True where that is new."""
        return memory.told(self.database, subject_key, code)

    def solved(self, subject_key: str) -> None:
        """Forget what the subject was told, so that it is told again."""
        memory.solved(self.database, subject_key)

    # Keys

    def keys_new(self) -> NewKey:
        """Add a key that only decrypts until :meth:`keys_rotate`; see :func:`recapito.store.keys.keys_new`."""
        return keys_new(self._secrets.box.keyring.source)

    def keys_rotate(
        self,
        progress: Callable[[int, int], None] | None = None,
        *,
        by: str = "keys rotate",
        leave_lost: bool = False,
    ) -> Rotated:
        """Make the newest key the writing key, and seal every secret with it again while others run; how many.

        Every process must have the key by now: one that reads ``RECAPITO_KEYS`` only at its start has it from
        its deployment on. Where an older key is missing nothing is changed, and Misconfigured (KEY-UNKNOWN) is
        raised; with ``leave_lost`` its secrets are left as they are, to be typed again.
        """
        return rotation.rotate(self.database, self._secrets, by, progress, leave_lost=leave_lost)
