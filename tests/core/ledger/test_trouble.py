"""What the journal cannot write is given up or kept, and never in the way of what it can."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from recapito import Misconfigured, Outcome, Problem, ProfileKey, Receipt, Store
from recapito.ledger.journal import Journal, JournalEntry

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
