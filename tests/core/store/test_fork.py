"""A store that was open before a fork works in both processes, and neither disturbs the other."""

import os
import threading
from pathlib import Path

import pytest

from recapito.ledger.journal import Journal
from recapito.outcome import Outcome
from recapito.profile import Profile
from recapito.receipt import Receipt
from recapito.secret import Secret
from recapito.store import Store

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    # Newer Pythons warn of what is tested here.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]


def open_files() -> set[str]:
    # The descriptor that lists the folder is in the list, and has gone when it is looked at.
    return {str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()}


def test_child_and_parent_read_and_write(store: Store, anna: Profile, save, forked) -> None:
    save(store, anna, password="before")
    version = store.version()

    def child() -> None:
        found = store.get(anna.key)
        assert found is not None
        assert found.secrets["password"].reveal() == "before"
        assert store.version() == version
        save(store, anna, password="by the child")

    assert forked(child) == 0
    assert store.version() != version
    found = store.get(anna.key)
    assert found is not None
    assert found.secrets["password"].reveal() == "by the child"
    save(store, anna, password="by the parent")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="there is no /proc here")
def test_the_child_holds_nothing_of_the_parents_database(
    store: Store, anna: Profile, save, forked, entry
) -> None:
    journal = Journal(store)
    journal.intend(entry()).result(10)
    save(store, anna, password="x")
    store.version()
    name = str(store.database.where.path) if store.database.where.path else "socket:"
    held = {each for each in open_files() if each.startswith(name)}
    assert held or store.database.where.is_sqlite

    def child() -> None:
        if store.database.where.is_sqlite:
            assert not {each for each in open_files() if each.startswith(name)}
        else:
            # Sockets of pytest and its plugins stay; those that lead to the server are gone.
            assert len({each for each in open_files() if each in held}) < len(held)
        assert store.get(anna.key) is not None

    assert forked(child) == 0
    assert store.get(anna.key) is not None
    journal.close()


@pytest.mark.postgres
def test_the_parents_connections_survive_the_child(
    postgres_url: str, home: Path, anna: Profile, save, forked
) -> None:
    with Store.create(postgres_url) as store:
        save(store, anna, password="x")

        def backend() -> int:
            query = "select pg_backend_pid()"
            return int(store.database.read(lambda connection: connection.exec_driver_sql(query).scalar_one()))

        before = backend()

        def child() -> None:
            assert backend() != before
            store.close()

        assert forked(child) == 0
        assert backend() == before, "the very same connection goes on"


def test_forks_in_the_middle_of_other_threads_work(store: Store, anna: Profile, save, forked, entry) -> None:
    save(store, anna, password="0")
    journal, stop = Journal(store), threading.Event()
    faults: list[BaseException] = []

    def work(number: int) -> None:
        profile = Profile.of(f"worker-{number}", sender="w@example.it", transport="memory")
        try:
            while not stop.is_set():
                save(store, profile, password="x")
                store.version()
                journal.intend(entry()).result(10)
        except BaseException as exc:
            faults.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()

    def child() -> None:
        save(store, anna.with_(sender=f"{os.getpid()}@example.it"))
        journal.intend(entry()).result(10)
        assert store.get(anna.key) is not None
        store.version()

    try:
        assert [forked(child) for _ in range(6)] == [0] * 6
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert faults == []
    journal.close()


def test_the_journal_goes_on_in_both(store: Store, forked, entry) -> None:
    journal = Journal(store)
    mine, theirs = entry(), entry()
    journal.intend(mine).result(10)

    def child() -> None:
        journal.settle(mine.id, Receipt.for_all(("a@x.it",), Outcome.REFUSED))
        journal.intend(theirs).result(10)
        journal.close()

    assert forked(child) == 0
    rows = {row.id: row.outcome for row in journal.recent()}
    assert rows[mine.id] is None, "the parent's send is still under way, whatever a child says of it"
    assert rows[theirs.id] == "unknown", "the child ended without an outcome"
    journal.close()


def test_a_child_of_a_child_works_too(store: Store, anna: Profile, forked) -> None:
    def grandchild() -> None:
        store.save(anna, {"password": Secret("x")}, by="x", action="created", fields=())

    def child() -> None:
        assert store.profiles() == ()
        assert forked(grandchild) == 0
        assert store.get(anna.key) is not None

    assert forked(child) == 0
    assert store.get(anna.key) is not None
