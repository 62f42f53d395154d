"""How the tables come into being, and grow with new versions."""

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from recapito.errors import Misconfigured
from recapito.ledger.journal import Journal
from recapito.store import Store, migration, schema
from recapito.store.database import Database
from recapito.store.files import find_file, use_wal
from recapito.store.where import locate

#: Opens the store that the argument names, saves once, and says whether Alembic was loaded.
FIRST_USE = """
import sys
from recapito.profile import Profile
from recapito.secret import Secret
from recapito.store import Store
with Store.create(sys.argv[1]) as store:
    profile = Profile.of(sys.argv[2], sender="a@example.it", transport="memory")
    store.save(profile, {"password": Secret("x")}, by="test", action="created", fields=())
    print(store.id, "alembic" in sys.modules)
"""


def at(url: str, revision: str) -> Database:
    """A database with the tables of an older revision, as Alembic makes them."""
    where = locate(url)
    if where.is_sqlite:
        find_file(where, create=True)
        use_wal(where)
    database = Database(where)
    migration.upgrade(database, revision)
    return database


def described(database: Database) -> dict[str, object]:
    """All that the database says of our tables."""

    def work(connection) -> dict[str, object]:
        seen = inspect(connection)
        return {
            table: (
                [(c["name"], str(c["type"]), c["nullable"]) for c in seen.get_columns(table)],
                seen.get_pk_constraint(table)["constrained_columns"],
                sorted((i["name"], i["column_names"], i["unique"]) for i in seen.get_indexes(table)),
                sorted(str(u["column_names"]) for u in seen.get_unique_constraints(table)),
                seen.get_table_options(table) if connection.dialect.name == "sqlite" else None,
            )
            for table in sorted(seen.get_table_names())
        }

    return database.read(work)


def test_first_use_by_many_processes_makes_one_store(database_url: str, in_processes) -> None:
    told = in_processes(FIRST_USE, *((database_url, f"operator-{number}") for number in range(3)))
    assert len(set(told)) == 1, "there is one store, and nobody loaded Alembic"
    assert told[0].split()[1] == "False"
    with Store.open(database_url) as store:
        assert [row.key.operator for row in store.profiles()] == [f"operator-{n}" for n in range(3)]
        for row in store.profiles():
            found = store.get(row.key)
            assert found is not None
            assert found.secrets["password"].reveal() == "x"


@pytest.mark.postgres
def test_a_schema_that_exists_needs_no_right_to_create_one(postgres_url: str, home: Path) -> None:
    import psycopg

    role = f"recapito_test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"create role {role}")
        try:
            admin.execute(f"create schema posta authorization {role}")
            as_role = f"{postgres_url}?schema=posta&options=-c%20role%3D{role}"
            with Store.create(as_role, upgrade=True) as store:
                assert store.profiles() == ()
            admin.execute("drop schema posta cascade")
            with pytest.raises(Misconfigured) as caught:
                Store.create(as_role)
            assert caught.value.problem.code == "STORE-READONLY"
        finally:
            admin.execute(f"drop owned by {role}")
            admin.execute(f"drop role {role}")


@pytest.mark.postgres
def test_processes_take_turns_on_a_server(postgres_url: str, home: Path) -> None:
    import psycopg

    with psycopg.connect(postgres_url) as other:
        other.execute(f"select pg_advisory_xact_lock({migration.ADVISORY_LOCK})")
        with pytest.raises(Misconfigured) as caught:
            Store.create(postgres_url + "?timeout=0.2")
        assert caught.value.problem.code == "STORE-LOCKED"
        other.rollback()
        at(postgres_url, "0001").close()
        other.execute(f"select pg_advisory_xact_lock({migration.ADVISORY_LOCK})")
        with pytest.raises(Misconfigured) as caught:
            Store.create(postgres_url + "?timeout=0.2", upgrade=True)
        assert caught.value.problem.code == "STORE-LOCKED"


def test_migrations_and_schema_agree(database_url: str, tmp_path: Path, request) -> None:
    migrated = at(database_url, schema.HEAD)
    by_migrations = described(migrated)
    drop = [f"drop table {name}" for name in by_migrations]
    migrated.write(lambda connection: [connection.exec_driver_sql(each) for each in drop])
    assert described(migrated) == {}
    migration.create(migrated)
    assert described(migrated) == by_migrations
    migrated.close()


def test_alembic_finds_no_difference(database_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    database = at(database_url, schema.HEAD)
    options = {"version_table": "recapito_alembic_version", "compare_type": True}

    def differences(connection) -> list[object]:
        return compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata)

    assert database.read(differences) == []
    database.write(lambda connection: connection.exec_driver_sql("drop index recapito_audit_operator"))
    assert database.read(differences) != [], "a difference would have been found"
    database.close()


def test_the_known_revisions_are_those_of_the_migrations() -> None:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(Path(migration.__file__).parent / "migrations"))
    known = [each.revision for each in script.walk_revisions()]
    assert tuple(reversed(known)) == schema.REVISIONS


def test_every_table_has_our_prefix(store: Store) -> None:
    assert {name.partition("_")[0] for name in described(store.database)} == {"recapito"}


def test_the_documentation_says_what_every_table_holds(store: Store) -> None:
    page = (Path(__file__).parents[3] / "docs/store.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `recapito_")]
    documented = {name for row in rows for name in row.split("|")[1].strip(" `").split("`, `")}
    assert documented == set(tables(store))


def test_an_older_store_is_upgraded_and_keeps_what_it_has(database_url: str) -> None:
    database = at(database_url, "0001")
    state = "insert into recapito_state values ('', 'anna', 'default', '{}', 1, 'x')"
    database.write(lambda connection: connection.execute(text(state)))
    old_id = database.read(
        lambda connection: connection.execute(text("select id from recapito_store")).scalar()
    )
    database.close()
    with Store.create(database_url, upgrade=True) as store:
        assert store.id == old_id
        count = text("select count(*) from recapito_state")
        assert store.database.read(lambda connection: connection.execute(count).scalar()) == 1
        store.upgrade()
    with Store.open(database_url) as store:
        assert store.lowered("mailbox") is None


def test_a_store_from_before_sign_ins_is_upgraded_with_what_it_holds(
    database_url: str, home: Path, anna, save, sign_in, paused, entry
) -> None:
    """Rows of every older table, written by this version's code, which those tables fit as they are."""
    added = ("client", "grant", "attempt")
    with Store.create(database_url) as store:
        save(store, anna, password="x")
        store.pause(anna.key, paused, by="x")
        store.told("a", "b")
        journal = Journal(store)
        journal.intend(entry()).result(10)
        journal.close()
        drop = [*(f"drop table recapito_{name}" for name in added)]
        drop.append("update recapito_alembic_version set version_num = '0002'")
        store.database.write(lambda connection: [connection.exec_driver_sql(each) for each in drop])
        before = {table: held(store, table) for table in tables(store)}
        assert {"recapito_profile", "recapito_secret", "recapito_journal"} <= before.keys()
        assert all(before[f"recapito_{name}"] for name in ("profile", "secret", "state", "audit", "journal"))
    with Store.create(database_url, upgrade=True) as store:
        changed = {"recapito_alembic_version"} | {f"recapito_{name}" for name in added}
        assert set(tables(store)) - changed == before.keys() - changed
        assert all(held(store, table) == before[table] for table in before.keys() - changed)
        found = store.get(anna.key)
        assert found is not None
        assert found.secrets["password"].reveal() == "x"
        row = sign_in(store)
        assert (row.resumed, store.grant(anna.key)) == (True, row)


def tables(store: Store) -> list[str]:
    return store.database.read(lambda connection: inspect(connection).get_table_names())


def held(store: Store, table: str) -> list[object]:
    query = text(f"select * from {table}")
    return store.database.read(lambda connection: sorted(map(repr, connection.execute(query))))


def test_our_own_file_is_upgraded_when_it_is_opened(tmp_path: Path, home: Path) -> None:
    url = f"sqlite:///{tmp_path}/own.db"
    at(url, "0001").close()
    with Store.open(url) as store:
        assert store.told("a", "b")


def test_an_older_file_opened_by_many_processes_is_upgraded_once(
    tmp_path: Path, home: Path, in_processes
) -> None:
    url = f"sqlite:///{tmp_path}/own.db"
    at(url, "0001").close()
    told = in_processes(FIRST_USE, *((url, f"operator-{number}") for number in range(2)))
    assert len({line.split()[0] for line in told}) == 1


def test_a_file_with_a_hosts_tables_too_is_not_upgraded_unasked(tmp_path: Path, home: Path) -> None:
    url = f"sqlite:///{tmp_path}/erp.db"
    at(url, "0001").close()
    with sqlite3.connect(tmp_path / "erp.db") as connection:
        connection.execute("create table invoices (id integer)")
    connection.close()
    for opened in (Store.open, Store.create):
        with pytest.raises(Misconfigured) as caught:
            opened(url)
        assert caught.value.problem.code == "STORE-OLD"
        assert "recapito db upgrade" in str(caught.value)
    Store.create(url, upgrade=True).close()
    Store.open(url).close()


@pytest.mark.postgres
def test_a_server_is_not_upgraded_unasked(postgres_url: str, home: Path) -> None:
    at(postgres_url, "0001").close()
    with pytest.raises(Misconfigured) as caught:
        Store.open(postgres_url)
    assert caught.value.problem.code == "STORE-OLD"


def test_a_newer_store_is_left_alone(store: Store, database_url: str) -> None:
    newer = text("update recapito_alembic_version set version_num = '9999'")
    store.database.write(lambda connection: connection.execute(newer))
    for opened in (Store.open, Store.create, store.upgrade):
        with pytest.raises(Misconfigured) as caught:
            opened(*([] if opened == store.upgrade else [database_url]))
        assert caught.value.problem.code == "STORE-NEWER"
        assert "9999" in str(caught.value)


def test_a_failed_upgrade_changes_nothing(database_url: str) -> None:
    database = at(database_url, "0001")
    # Something else is in the way of the second migration's last table.
    database.write(lambda connection: connection.exec_driver_sql("create table recapito_journal (x integer)"))
    before = described(database)
    with pytest.raises(Misconfigured):
        migration.upgrade(database)
    assert described(database) == before
    database.close()


def test_a_database_without_our_tables_is_not_a_store(database_url: str, home: Path) -> None:
    where = locate(database_url)
    if where.path:
        with closing(sqlite3.connect(where.path)) as connection:
            connection.execute("create table invoices (id integer)")
        before = where.path.read_bytes()
    with pytest.raises(Misconfigured) as caught:
        Store.open(database_url)
    assert caught.value.problem.code == "STORE-MISSING"
    assert not where.path or where.path.read_bytes() == before, "a host's file is not even switched to WAL"


@pytest.mark.postgres
def test_tables_may_lie_in_a_schema_of_their_own(postgres_url: str, home: Path, anna, save) -> None:
    at(postgres_url + "?schema=vecchia", "0001").close()
    with (
        Store.create(postgres_url, schema="posta") as store,
        Store.create(postgres_url) as public,
        Store.create(postgres_url + "?schema=vecchia", upgrade=True) as upgraded,
    ):
        assert len({store.id, public.id, upgraded.id}) == 3
        for each in (store, upgraded):
            save(each, anna, password="one")
            assert each.get(anna.key) is not None
            assert each.version() > 1
        assert public.get(anna.key) is None
        names = store.database.read(lambda connection: inspect(connection).get_table_names(schema="posta"))
        assert names
        assert all(name.startswith("recapito_") for name in names)
        assert described(store.database) == described(public.database)
