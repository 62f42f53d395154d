"""What an ending interpreter still does: within one deadline for all, writing what is known."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recapito import Outcome, ProfileKey, Receipt, Store, blocking, exiting
from recapito.ledger import journal as ledger
from recapito.ledger.journal import Journal, JournalEntry

KEY = ProfileKey("", "anna", "default")


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECAPITO_HOME", str(tmp_path))
    monkeypatch.delenv("RECAPITO_KEYS", raising=False)
    return tmp_path / "recapito.db"


@pytest.fixture
def journal(database: Path) -> Iterator[Journal]:
    with Store.create(f"sqlite:///{database}") as store:
        made = Journal(store)
        yield made
        made.close()


def entry(number: int) -> JournalEntry:
    now = datetime.now(UTC)
    return JournalEntry(
        id=f"{number:032x}",
        key=KEY,
        transport="memory",
        reference=None,
        message_id="<1@example.it>",
        recipients=("a@example.com",),
        size=100,
        started=now,
        deadline=now + timedelta(minutes=1),
    )


def test_everything_has_one_deadline_and_a_fault_costs_no_other_its_turn(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[str, float]] = []

    def closer(name: str) -> Callable[[float], None]:
        def close(ends: float) -> None:
            seen.append((name, ends))
            if name == "broken":
                raise RuntimeError("at exit")

        return close

    monkeypatch.setattr(exiting, "_first", [])
    monkeypatch.setattr(exiting, "_last", [])
    exiting.at_exit(closer("journals"), last=True)
    exiting.at_exit(closer("broken"))
    exiting.at_exit(closer("mailers"))
    exiting._exit()
    assert [name for name, _ in seen] == ["broken", "mailers", "journals"]
    assert len({ends for _, ends in seen}) == 1
    assert "at exit" in caplog.text


def test_mailers_close_before_the_journals_that_they_write_to() -> None:
    assert blocking._close_all in exiting._first
    assert ledger._close_all in exiting._last


def test_a_journal_that_is_stuck_with_nothing_to_lose_says_nothing(
    journal: Journal, database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("begin immediate")
        intent = journal.intend(entry(1))
        journal.close(0.05)
        assert not intent.done()
        other.execute("rollback")
    intent.result(10)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_an_outcome_that_is_stuck_is_counted_though_it_is_being_written(
    journal: Journal, database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal.intend(entry(1)).result(10)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("begin immediate")
        journal.settle(entry(1).id, Receipt.for_all(("a@example.com",), Outcome.ACCEPTED))
        intent = journal.intend(entry(2))  # both go in one transaction, which waits for the lock
        journal.close(0.3)
        other.execute("rollback")
    intent.result(10)
    assert "1 outcomes could not be written" in caplog.text
