"""A database that does not do what it is asked: a clear problem, and nothing lost."""

import os
import resource
import shutil
import signal
import socket
import sqlite3
import stat
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from recapito.errors import Misconfigured
from recapito.ledger.journal import Journal
from recapito.outcome import Outcome
from recapito.profile import Profile
from recapito.receipt import Receipt
from recapito.store import Store
from recapito.store.faults import explained
from recapito.store.files import file_system_in
from recapito.store.where import locate


def problem_of(function: Callable[..., object], *arguments: object, **named: object):  # type: ignore[no-untyped-def]
    with pytest.raises(Misconfigured) as caught:
        function(*arguments, **named)
    for language in ("en", "it"):
        assert caught.value.problem.explain(language).do, "there is no remedy"
    return caught.value.problem


def with_timeout(url: str) -> str:
    return url + ("&" if "?" in url else "?") + "timeout=0.2"


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Another program holds the store's row, and whatever else it can."""
    where = locate(url)
    if where.path:
        with closing(sqlite3.connect(where.path, isolation_level=None)) as connection:
            connection.execute("begin immediate")
            yield
        return
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute("lock table recapito_store, recapito_journal in access exclusive mode")
        yield


def test_a_locked_store_is_said_and_keeps_what_it_has(
    store: Store, anna: Profile, save, database_url: str
) -> None:
    save(store, anna, password="one")
    with Store.open(with_timeout(database_url)) as mine:
        with locked(database_url):
            problem = problem_of(save, mine, anna, password="two")
            assert (problem.code, problem.outcome) == ("STORE-LOCKED", "not_sent")
            assert mine.url in str(problem)
        found = mine.get(anna.key)
        assert found is not None
        assert found.secrets["password"].reveal() == "one"
        save(mine, anna, password="two")


def test_sqlite_is_read_while_another_writes(tmp_path: Path, home: Path, anna: Profile, save) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with Store.create(url) as store:
        save(store, anna, password="one")
        with locked(url):
            assert store.get(anna.key) is not None
            assert store.version()


def test_a_locked_store_fails_the_intent_and_keeps_the_outcome(
    store: Store, database_url: str, entry
) -> None:
    with Store.open(with_timeout(database_url)) as mine:
        journal, first = Journal(mine), entry()
        journal.intend(first).result(10)
        with locked(database_url):
            journal.settle(first.id, Receipt.for_all(("a@x.it",), Outcome.ACCEPTED))
            with pytest.raises(Misconfigured) as caught:
                journal.intend(entry()).result(10)
            assert caught.value.problem.code == "STORE-LOCKED"
            with pytest.raises(Misconfigured):
                journal.flush(10)
        journal.flush(10)
        assert [row.outcome for row in journal.recent()] == ["accepted"]
        journal.close()


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path, home: Path, anna: Profile, save) -> None:
    with Store.create(f"sqlite:///{tmp_path}/a.db") as store:
        save(store, anna, password="one")
        store.close()
        pages = "pragma max_page_count=1"  # SQLite takes the present size where that is more
        event.listen(store.database.engine, "connect", lambda connection, _record: connection.execute(pages))
        problem = problem_of(save, store, anna, password="x" * 100_000)
        assert (problem.code, problem.outcome) == ("STORE-FULL", "not_sent")
        assert "a.db" in str(problem)
        found = store.get(anna.key)
        assert found is not None
        assert found.secrets["password"].reveal() == "one"


def test_a_disk_that_takes_no_more_is_said(
    tmp_path: Path, home: Path, anna: Profile, save, forked, entry
) -> None:
    with Store.create(f"sqlite:///{tmp_path}/a.db") as store:
        save(store, anna, password="one")

        def child() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            size = max(path.stat().st_size for path in tmp_path.glob("a.db*"))
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            code = problem_of(save, store, anna, password="x" * 500_000).code
            assert code in {"STORE-DISK", "STORE-FULL"}
            found = store.get(anna.key)
            assert found is not None
            assert found.secrets["password"].reveal() == "one"
            journal = Journal(store)
            with pytest.raises(Misconfigured) as caught:  # noqa: PT012 - how many it takes is not known
                for _ in range(2000):
                    journal.intend(entry()).result(10)
            assert caught.value.problem.code in {"STORE-DISK", "STORE-FULL"}

        assert forked(child) == 0


def test_a_store_that_may_only_be_read_is_said(home: Path, anna: Profile, save, forked) -> None:
    folder = Path(tempfile.mkdtemp(prefix="recapito-readonly-"))  # where another user may come
    try:
        url = f"sqlite:///{folder}/a.db"
        with Store.create(url) as store:
            save(store, anna)
        # A database whose writers have all gone: no write-ahead log is left beside it.
        assert [path.name for path in folder.iterdir()] == ["a.db"]
        (folder / "a.db").chmod(0o444)
        folder.chmod(0o555)

        def child() -> None:
            if os.geteuid() == 0:
                os.setuid(65534)
            with pytest.raises(Misconfigured) as caught, Store.open(url) as opened:
                save(opened, anna, password="x")
            assert caught.value.problem.code in {"STORE-READONLY", "STORE-CANNOT-OPEN"}
            assert str(folder) in str(caught.value)

        assert forked(child) == 0
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)


@pytest.mark.postgres
def test_a_server_that_may_only_be_read_is_said(postgres_url: str, home: Path, anna: Profile, save) -> None:
    import psycopg

    with Store.create(postgres_url) as store:
        save(store, anna, password="one")
    name = postgres_url.rpartition("/")[2]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"alter database {name} set default_transaction_read_only = on")
        try:
            with Store.open(postgres_url) as store:
                assert problem_of(save, store, anna, password="two").code == "STORE-READONLY"
                assert store.get(anna.key) is not None
        finally:
            connection.execute("set default_transaction_read_only = off")
            connection.execute(f"alter database {name} reset default_transaction_read_only")


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Gentile cliente,\n" * 100)
    for opened in (Store.open, Store.create):
        problem = problem_of(opened, f"sqlite:///{path}")
        assert problem.code == "STORE-NOT-OURS"
        assert "letter.txt" in str(problem)
    assert path.read_text() == "Gentile cliente,\n" * 100


def test_a_damaged_file_is_said(tmp_path: Path, home: Path, save) -> None:
    path = tmp_path / "a.db"
    with Store.create(f"sqlite:///{path}") as store:
        for number in range(50):
            save(store, Profile.of(f"o-{number}", sender="a@b.it", transport="m"), password="x" * 200)
    octets = bytearray(path.read_bytes())
    octets[4096 * 2 :] = os.urandom(len(octets) - 4096 * 2)
    path.write_bytes(octets)
    problem = problem_of(lambda: Store.open(f"sqlite:///{path}").profiles())
    assert problem.code == "STORE-DAMAGED"


def test_a_folder_is_no_store(tmp_path: Path, home: Path) -> None:
    for opened in (Store.open, Store.create):
        assert problem_of(opened, f"sqlite:///{tmp_path}").code in {"STORE-CANNOT-OPEN", "STORE-FOLDER"}


def test_a_file_that_has_gone_is_not_made_anew(tmp_path: Path, home: Path, anna: Profile) -> None:
    with Store.create(f"sqlite:///{tmp_path}/a.db") as store:
        store.close()
        for path in tmp_path.glob("a.db*"):
            path.unlink()
        assert problem_of(store.get, anna.key).code == "STORE-CANNOT-OPEN"
        assert problem_of(store.version).code == "STORE-CANNOT-OPEN"
        assert list(tmp_path.glob("a.db*")) == []


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:40 / /srv rw - nfs4 files.example.it:/srv rw
41 40 8:2 / /srv/local\\040disk rw - xfs /dev/sdb1 rw
42 22 0:41 / /mnt/share rw master:2 - cifs //files/share rw
43 22 0:42 / /mnt/ssh rw - fuse.sshfs anna@host: rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/a.db", "ext4"),
        ("/srv/a.db", "nfs4"),
        ("/srv/local disk/a.db", "xfs"),
        ("/mnt/share/x/a.db", "cifs"),
        ("/mnt/shared/a.db", "ext4"),
        ("/mnt/ssh/a.db", "fuse.sshfs"),
    ],
)
def test_the_file_system_of_a_path_is_known(path: str, kind: str) -> None:
    assert file_system_in(MOUNTS, Path(path)) == kind


def test_a_journal_mode_that_does_not_hold_is_refused(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "a.db"
    # A file system without shared memory answers the same way as this connection that holds the database.
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("create table recapito_x (y)")
        connection.execute("begin exclusive")
        assert problem_of(Store.create, f"sqlite:///{path}?timeout=0.2").code == "STORE-LOCKED"


def test_nobody_at_the_servers_port_is_said_without_the_password() -> None:
    pytest.importorskip("psycopg")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"postgresql://anna:pl4nted@127.0.0.1:{listener.getsockname()[1]}/erp?sslpassword=pl4nted"
        with pytest.raises(Misconfigured) as caught:
            Store.open(url)
    assert caught.value.problem.code == "STORE-UNREACHABLE"
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    del told.stack[0]  # this test's own frame
    assert "pl4nted" not in "".join(told.format())
    assert "127.0.0.1" in str(caught.value)


@pytest.mark.postgres
def test_an_idle_connection_that_died_is_replaced_unseen(
    postgres_url: str, home: Path, anna: Profile, save, entry
) -> None:
    import psycopg

    others = "pid <> pg_backend_pid() and datname = current_database()"
    kill = f"select pg_terminate_backend(pid) from pg_stat_activity where {others}"
    with Store.create(postgres_url) as store, psycopg.connect(postgres_url, autocommit=True) as admin:
        journal = Journal(store)
        for use in (
            lambda: save(store, anna, password="x"),
            lambda: store.get(anna.key),
            store.version,
            lambda: journal.intend(entry()).result(10),
        ):
            use()
            admin.execute(kill)
            use()
        assert len(journal.recent()) == 2
        journal.close()


@contextmanager
def stopped(admin: Any) -> Iterator[None]:
    """The server's processes for everybody else get no time, as on a machine that is out of memory."""
    others = "pid <> pg_backend_pid() and datname = current_database() and backend_type = 'client backend'"
    found = admin.execute(f"select pid from pg_stat_activity where {others}").fetchall()
    pids = [pid for (pid,) in found]
    if not all(Path(f"/proc/{pid}/comm").exists() for pid in pids):
        pytest.skip("PostgreSQL runs on another machine, or not under Linux")
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.postgres
@pytest.mark.timeout(30)
def test_a_server_that_says_nothing_is_given_up(
    postgres_url: str, home: Path, anna: Profile, save, entry
) -> None:
    import psycopg

    with (
        Store.create(with_timeout(postgres_url)) as store,
        psycopg.connect(postgres_url, autocommit=True) as admin,
    ):
        journal = Journal(store)
        for use in (
            lambda: save(store, anna),
            store.version,
        ):
            use()
            with stopped(admin):
                problem = problem_of(use)
                assert (problem.code, problem.outcome) == ("STORE-UNREACHABLE", "not_sent")
            use()
        journal.intend(entry()).result(20)
        with stopped(admin):  # the journal tries once more on a connection of its own, which here has time
            journal.intend(entry()).result(20)
        assert len(journal.recent()) == 2
        journal.close()


@pytest.mark.postgres
def test_an_upgrade_may_take_its_time(postgres_url: str, home: Path) -> None:
    with Store.create(with_timeout(postgres_url)) as store:
        slow = text("select pg_sleep(1.5)")
        assert store.database.write(lambda connection: connection.execute(slow).all(), at_leisure=True)
        problem = problem_of(store.database.write, lambda connection: connection.execute(slow).all())
        assert problem.code == "STORE-UNREACHABLE"


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("53100", "STORE-FULL"),
        ("53300", "STORE-UNREACHABLE"),
        ("25006", "STORE-READONLY"),
        ("40001", "STORE-LOCKED"),
        ("57P01", "STORE-UNREACHABLE"),
        ("28P01", "STORE-UNREACHABLE"),
        ("42601", "STORE-FAILED"),
        ("XX001", "STORE-DAMAGED"),
    ],
)
def test_what_a_server_says_is_told_apart_by_its_state(state: str, code: str) -> None:
    errors = pytest.importorskip("psycopg.errors")
    found = explained(errors.lookup(state)("what the server said\nand more"), locate("postgresql://a:b@c/d"))
    assert found.problem.code == code
    assert found.problem.params["reason"] == "what the server said"


def test_psycopg_that_is_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Misconfigured, match=r"recapito\[postgres\]"):
        Store.open("postgresql://anna@127.0.0.1/erp")


def test_a_silent_server_ends_in_bounded_time() -> None:
    pytest.importorskip("psycopg")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"postgresql://anna@127.0.0.1:{listener.getsockname()[1]}/erp?connect_timeout=2"
        assert problem_of(Store.open, url).code == "STORE-UNREACHABLE"


def test_the_file_of_a_store_keeps_the_rights_that_it_has(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "a.db"
    Store.create(f"sqlite:///{path}").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o660)  # an administrator shares it with a group
    with Store.open(f"sqlite:///{path}") as store:
        store.told("a", "b")
        assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.glob("a.db*")} == {0o660}
