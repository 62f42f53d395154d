"""A lone intent is committed on the caller's own thread where that is quick, and never waits for anybody there."""

import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from recapito import Misconfigured, Outcome, Problem, ProfileKey, Receipt, Store
from recapito.ledger.journal import Journal, JournalEntry
from recapito.ledger.writer import GroupWriter

KEY = ProfileKey("", "anna")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def store(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("RECAPITO_HOME", str(tmp_path))
    with Store.create(f"sqlite:///{file}?timeout=0.2") as store:
        yield store


@pytest.fixture
def journal(store: Store) -> Iterator[Journal]:
    made = Journal(store)
    made._commit = 0.0  # as after commits on a quick disk; which disk a test has is not its business
    made.intend(entry()).result(10)  # opens the connection
    made._commit = 0.0
    yield made
    made.close()


def entry() -> JournalEntry:
    return JournalEntry(
        id=uuid4().hex,
        key=KEY,
        transport="memory",
        reference=None,
        message_id="<1@example.it>",
        recipients=("a@example.com",),
        size=1,
        started=datetime.now(UTC),
        deadline=None,
    )


def test_a_lone_intent_needs_no_other_thread(journal: Journal) -> None:
    done = journal.intend(entry())
    assert done.done(), "it was handed over"
    assert len(journal.recent()) == 2


def test_outcomes_that_wait_go_along_with_it(journal: Journal) -> None:
    first = entry()
    journal.intend(first).result(10)
    journal.settle(first.id, Receipt.for_all(("a@example.com",), Outcome.ACCEPTED))
    journal.intend(entry()).result(10)
    assert Outcome.ACCEPTED in {row.outcome for row in journal.recent()}


def test_on_a_slow_disk_the_thread_writes(journal: Journal) -> None:
    journal._commit = 0.05
    caller = threading.get_ident()
    written_by: list[int] = []
    done = journal.intend(entry())
    done.add_done_callback(lambda _: written_by.append(threading.get_ident()))
    done.result(10)
    assert len(journal.recent()) == 2
    assert caller not in written_by or done.done()


def test_another_process_that_writes_is_not_waited_for_here(journal: Journal, file: Path) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("begin immediate")
    done = journal.intend(entry())
    assert not done.done(), "the caller's thread wrote, or waited for the lock"
    other.execute("rollback")
    other.close()
    done.result(10)
    assert len(journal.recent()) == 2


def test_the_patience_of_the_connection_is_as_before(journal: Journal, store: Store) -> None:
    journal.intend(entry()).result(10)
    with journal._writer._connection as connection:
        assert connection.execute("pragma busy_timeout").fetchone()[0] == 200


def test_a_connection_in_use_is_left_alone(journal: Journal) -> None:
    with journal._writer._connection:
        done = journal.intend(entry())
        assert not done.done()
    done.result(10)


def test_an_error_in_the_middle_gives_the_connection_back_and_loses_no_outcome(store: Store) -> None:
    writer = GroupWriter(store.database)
    writer.write([], [])
    writer._insert = "insert into recapito_no_such_table values (?)"
    assert writer.write_at_once(("x",), []) is False
    writer._patient = "pragma this is no statement"
    with pytest.raises(Misconfigured):
        writer.write_at_once(("x",), [])
    with writer._connection as connection:
        assert connection.execute("select 1").fetchone()[0] == 1
    writer.close()


def test_an_outcome_of_an_intent_that_failed_is_not_kept_for_a_row_that_is_not_there(
    journal: Journal, file: Path
) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("begin immediate")
    failed = entry()
    with pytest.raises(Misconfigured):
        journal.intend(failed).result(10)
    journal.settle(failed.id, Receipt.for_all(("a@example.com",), Outcome.NOT_SENT))
    other.execute("rollback")
    other.close()
    assert not journal._outcomes


def test_a_receipt_is_written_whatever_a_plugin_put_into_its_problem(journal: Journal) -> None:
    sent = entry()
    journal.intend(sent).result(10)
    odd = Problem("ACME", Outcome.REFUSED, params={"when": datetime.now(UTC)})  # type: ignore[dict-item]
    journal.settle(sent.id, Receipt.for_all(("a@example.com",), Outcome.REFUSED, problem=odd))
    assert journal.recent(limit=1)[0].outcome is Outcome.REFUSED
