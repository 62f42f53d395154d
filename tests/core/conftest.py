"""The databases that the store is tested on: SQLite, and a PostgreSQL of our own; the same tests run on both."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recapito.store import Store

#: Where Debian keeps the server's own programs, the newest last.
_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server in which databases may be made."""
    if url := os.environ.get("RECAPITO_TEST_POSTGRES"):
        yield url
        return
    binaries = _BINARIES[-1] if _BINARIES else None
    if binaries is None and (found := shutil.which("initdb")):
        binaries = Path(found).parent
    if binaries is None:
        reason = "PostgreSQL: no server programs (initdb) here, and RECAPITO_TEST_POSTGRES is not set"
        if os.environ.get("RECAPITO_REQUIRE_SERVERS"):
            pytest.fail(reason)
        pytest.skip(reason)
    with _cluster(binaries) as url:
        yield url


@contextmanager
def _cluster(binaries: Path) -> Iterator[str]:
    """A server in a folder of its own, with its socket there and a port on loopback; no data is synced."""
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="recapito-pg-"))
    if as_user:
        shutil.chown(folder, "postgres", "postgres")

    def run(*command: str) -> None:
        done = subprocess.run(
            [*as_user, *command], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stdout}{_log(folder)}")

    data = str(folder / "data")
    port = _free_port()
    options = f"-k {folder} -h 127.0.0.1 -p {port} -F -c max_connections=100 -c shared_buffers=16MB"
    try:
        run(str(binaries / "initdb"), "--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-D", data)
        control = [str(binaries / "pg_ctl"), "-D", data]
        # With the log in a file: a server that kept our pipe open would never let the command end.
        run(*control, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            run(*control, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _log(folder: Path) -> str:
    log = folder / "log"
    return log.read_text() if log.exists() else ""


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_database(postgres: str) -> Iterator[str]:
    """A database for this run on the server."""
    import psycopg

    name = f"recapito_test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"create database {name} template template0")
    yield postgres.rpartition("/")[0] + f"/{name}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def postgres_url(postgres_database: str) -> str:
    """The database, emptied: much quicker than making one for each test."""
    import psycopg

    others = "datname = current_database() and pid <> pg_backend_pid()"
    schemas = "select nspname from pg_namespace where nspname !~ '^(pg_|information_schema$)'"
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where {others}")
        connection.execute("set client_min_messages = warning")
        for (schema,) in connection.execute(schemas).fetchall():
            connection.execute(f'drop schema "{schema}" cascade')
        connection.execute("create schema public")
    return postgres_database


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of recapito's own, and no keys or database from the environment."""
    for variable in ("RECAPITO_KEYS", "RECAPITO_DATABASE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("RECAPITO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path, home: Path) -> str:
    """The URL of a database that does not have a store yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'recapito.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def open_store(database_url: str) -> Iterator[Callable[..., Store]]:
    """Opens the test's store, as often as it is called; the first call makes it. All are closed at the end."""
    opened: list[Store] = []

    def opens(**options: object) -> Store:
        opened.append(Store.create(database_url, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield opens
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """An empty store."""
    return open_store()
