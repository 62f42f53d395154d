"""The journal of a batch: a group is written at once, and found again by its references."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text

from recapito.errors import Misconfigured
from recapito.ledger.entry import intent_values
from recapito.ledger.journal import Journal, JournalEntry
from recapito.outcome import Outcome
from recapito.profile import ProfileKey
from recapito.receipt import Receipt
from recapito.store import Store, schema

ANNA, BRUNO = ProfileKey("acme", "anna", "default"), ProfileKey("acme", "bruno", "default")


def entry(
    reference: str | None = None, *, key: ProfileKey = ANNA, to: tuple[str, ...] = ("a@x.it",)
) -> JournalEntry:
    now = datetime.now(UTC)
    return JournalEntry(
        uuid4().hex, key, "memory", reference, "<1@x.it>", to, 10, now, now + timedelta(minutes=1)
    )


def count(store: Store) -> int:
    query = select(func.count()).select_from(schema.journal)
    return int(store.database.read(lambda connection: connection.execute(query).scalar_one()))


@pytest.fixture
def journal(store: Store) -> Iterator[Journal]:
    made = Journal(store)
    yield made
    made.close()


def test_a_group_is_written_in_one_transaction(journal: Journal, store: Store) -> None:
    groups: list[tuple[int, int]] = []
    write = journal._writer.write

    def counted(intents: list[tuple[object, ...]], outcomes: list[tuple[object, ...]]) -> None:
        groups.append((len(intents), len(outcomes)))
        write(intents, outcomes)

    journal._writer.write = counted  # type: ignore[method-assign,assignment]
    journal.intend_many([entry(str(number)) for number in range(100)]).result(10)
    assert groups == [(100, 0)]
    assert count(store) == 100


def test_a_group_that_is_cancelled_in_time_writes_nothing(journal: Journal, store: Store) -> None:
    journal.flush()
    group = journal.intend_many([entry() for _ in range(5)])
    if group.cancel():
        journal.intend(entry()).result(10)
        assert count(store) == 1


def test_a_group_that_cannot_be_written_leaves_none_of_it(journal: Journal, store: Store) -> None:
    twice = entry()
    store.database.write(lambda connection: connection.execute(text("drop table recapito_journal")))
    with pytest.raises(Misconfigured):
        journal.intend_many([twice, entry()]).result(10)
    journal.settle(twice.id, Receipt.for_all(("a@x.it",), Outcome.ACCEPTED))  # of no row: it must not fail


def test_sends_are_found_by_their_references_newest_first(journal: Journal) -> None:
    first, second = entry("invoice:1"), entry("invoice:1")
    others = [entry(f"invoice:{number}") for number in range(2, 1_202)]
    journal.intend(first).result(10)
    journal.intend_many([second, *others, entry(None), entry("invoice:9", key=BRUNO)]).result(10)
    journal.settle(second.id, Receipt.for_all(("a@x.it",), Outcome.ACCEPTED))
    asked = [f"invoice:{number}" for number in range(2_000)]
    found = journal.by_reference(ANNA, asked)
    assert len(found) == 1_201
    assert [row.id for row in found["invoice:1"]] == [second.id, first.id]
    assert [row.outcome for row in found["invoice:1"]] == [Outcome.ACCEPTED, None]
    assert len(found["invoice:9"]) == 1
    assert journal.by_reference(BRUNO, ["invoice:9", "invoice:1"]).keys() == {"invoice:9"}
    assert journal.by_reference(ANNA, []) == {}


@pytest.mark.parametrize(
    "to",
    [("a@x.it",), ("a@x.it", "b@x.it"), ('"a b"@x.it',), ("però@x.it",), ("a\\b@x.it",), ("",)],
    ids=ascii,
)
def test_addresses_are_written_as_json_whatever_they_are(to: tuple[str, ...]) -> None:
    assert json.loads(intent_values(entry(to=to), "me")[7]) == list(to)
