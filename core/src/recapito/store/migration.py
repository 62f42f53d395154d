"""Making the tables, and bringing older ones to this version. Alembic is imported only for the latter."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import insert, text

from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.store import schema
from recapito.store.files import use_wal

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from recapito.store.database import Database

__all__ = ["ADVISORY_LOCK", "create", "ready", "revision", "upgrade"]

#: Any number that others are unlikely to use: it makes processes take turns at creation and upgrade.
ADVISORY_LOCK = 0x72656361


def revision(connection: "Connection", database: "Database") -> str | None:
    """The revision that the tables say they are of; None where there are none."""
    if database.where.is_sqlite:
        there = connection.execute(
            text("select 1 from sqlite_master where name = 'recapito_alembic_version'")
        ).scalar()
    else:
        # Not to_regclass: it answers from this connection's cache, which still says "no such table" to whoever
        # waited for the lock while another process made it.
        there = connection.execute(
            text(
                "select 1 from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace"
                " where c.relname = 'recapito_alembic_version'"
                " and n.nspname = any(case when cast(:schema as text) is null then current_schemas(false)"
                " else array[cast(:schema as name)] end)"
            ),
            {"schema": database.where.schema},
        ).scalar()
    return connection.execute(schema.version_table.select()).scalar() if there else None


def ready(database: "Database", *, create_it: bool, upgrade_it: bool = False) -> None:
    """Have the tables of this version, or raise Misconfigured (STORE-MISSING, STORE-OLD, STORE-NEWER).

    A SQLite file that holds nothing but our tables is ours: it is upgraded when it is opened.
    """
    found = database.read(lambda connection: revision(connection, database))
    if found is None and not create_it:
        raise Misconfigured(problem("STORE-MISSING", database=database.where.shown))
    if database.where.is_sqlite:
        use_wal(database.where)  # only now: somebody else's file is left as it is
    if found == schema.HEAD:
        return
    if found is None:
        create(database)
    elif found not in schema.REVISIONS:
        raise _misfit("STORE-NEWER", database, found)
    elif upgrade_it or (database.where.is_sqlite and database.read(_only_ours)):
        upgrade(database)
    else:
        raise _misfit("STORE-OLD", database, found)


def create(database: "Database") -> None:
    """Make the tables and stamp them, in one transaction. Whoever comes second finds them made."""

    def work(connection: "Connection") -> None:
        _take_turn(connection, database)
        if revision(connection, database) is not None:
            return
        _have_schema(connection, database)
        schema.metadata.create_all(connection)
        schema.version_table.create(connection)
        connection.execute(insert(schema.version_table).values(version_num=schema.HEAD))
        first = {"one": 1, "id": uuid4().hex, "created": datetime.now(UTC), "version": 1}
        connection.execute(insert(schema.store).values(first))

    database.write(work)
    # Another process may have made them with a newer recapito, or an older.
    ready(database, create_it=False)


def upgrade(database: "Database", target: str = schema.HEAD) -> None:
    """Run the migrations that are missing, in one transaction and under a lock; Misconfigured (STORE-NEWER)."""

    def work(connection: "Connection") -> None:
        _take_turn(connection, database)
        found = revision(connection, database)
        if found is not None and found not in schema.REVISIONS:
            raise _misfit("STORE-NEWER", database, found)
        if found != target:
            _have_schema(connection, database)
            _migrate(connection, database, target)

    database.write(work, at_leisure=True)


def _migrate(connection: "Connection", database: "Database", target: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection, "schema": database.where.schema})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, target)


def _take_turn(connection: "Connection", database: "Database") -> None:
    if not database.where.is_sqlite:  # SQLite's transaction began with the only lock there is
        connection.execute(text("select pg_advisory_xact_lock(:number)"), {"number": ADVISORY_LOCK})


def _have_schema(connection: "Connection", database: "Database") -> None:
    name = database.where.schema
    if name is None:
        return
    # "if not exists" would ask for the right to create one even where it exists.
    there = text("select 1 from pg_namespace where nspname = :name")
    if connection.execute(there, {"name": name}).first() is None:
        connection.execute(text(f'create schema if not exists "{name}"'))


def _only_ours(connection: "Connection") -> bool:
    names = connection.execute(text("select name from sqlite_master where type = 'table'")).scalars()
    return all(name.startswith(("recapito_", "sqlite_")) for name in names)


def _misfit(code: str, database: "Database", found: str) -> Misconfigured:
    return Misconfigured(problem(code, database=database.where.shown, revision=found, wanted=schema.HEAD))
