"""Direct sends are written down before and after; what was cut off between reads as unknown."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text

from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.ledger.journal import GROUP, Journal, JournalEntry
from recapito.outcome import Outcome
from recapito.profile import ProfileKey
from recapito.receipt import Receipt, RecipientReceipt
from recapito.store import Store, schema

ANNA = ProfileKey("acme", "anna", "fatture")
NOW = datetime.now(UTC)


def entry(**changes: object) -> JournalEntry:
    values = {
        "id": uuid4().hex,
        "key": ANNA,
        "transport": "memory",
        "reference": "invoice:12",
        "message_id": "<1@example.it>",
        "recipients": ("a@x.it", "b@x.it"),
        "size": 1234,
        "started": datetime.now(UTC),
        "deadline": datetime.now(UTC) + timedelta(minutes=1),
    }
    return JournalEntry(**(values | changes))  # type: ignore[arg-type]


def accepted(*addresses: str) -> Receipt:
    return Receipt.for_all(addresses or ("a@x.it", "b@x.it"), Outcome.ACCEPTED, reply="250 2.0.0 Ok: queued")


@pytest.fixture
def journal(store: Store) -> Iterator[Journal]:
    made = Journal(store)
    yield made
    made.close()


def count(store: Store) -> int:
    query = select(func.count()).select_from(schema.journal)
    return int(store.database.read(lambda connection: connection.execute(query).scalar_one()))


def test_an_intent_is_committed_before_anybody_goes_on(journal: Journal, store: Store) -> None:
    sent = entry()
    journal.intend(sent).result(10)
    assert count(store) == 1
    [row] = journal.recent()
    assert (row.id, row.key, row.transport, row.reference) == (sent.id, ANNA, "memory", "invoice:12")
    assert (row.message_id, row.addresses, row.size) == ("<1@example.it>", ("a@x.it", "b@x.it"), 1234)
    assert (row.started, row.deadline) == (sent.started, sent.deadline)
    assert (row.outcome, row.ended, row.recipients) == (None, None, ()), "it is under way"


def test_an_outcome_is_read_as_the_receipt_says(journal: Journal) -> None:
    sent, why = entry(), problem("RCPT-UNKNOWN", rcpt="b@x.it", reply="550 5.1.1 no such user")
    journal.intend(sent).result(10)
    receipt = Receipt(
        (
            RecipientReceipt("a@x.it", Outcome.ACCEPTED, "250 2.1.5 ok"),
            RecipientReceipt("b@x.it", Outcome.REFUSED, "550 5.1.1 no such user", why),
        ),
        server_reply="250 2.0.0 queued",
        provider_id="123",
        problem=why,
        seconds=0.25,
        ended=NOW,
    )
    journal.settle(sent.id, receipt)
    [row] = journal.recent()
    assert row.outcome is Outcome.ACCEPTED
    assert row.recipients == receipt.recipients
    assert (row.server_reply, row.provider_id, row.problem) == ("250 2.0.0 queued", "123", why)
    assert (row.seconds, row.ended) == (0.25, NOW)


def test_one_answer_for_all_is_kept_once(journal: Journal, store: Store) -> None:
    many = tuple(f"operator-{number}@example.it" for number in range(500))
    sent = entry(recipients=many)
    journal.intend(sent).result(10)
    journal.settle(sent.id, accepted(*many))
    [row] = journal.recent()
    assert row.recipients == accepted(*many).recipients
    query = text("select length(result) from recapito_journal")
    assert store.database.read(lambda connection: connection.execute(query).scalar_one()) < 200


def test_an_outcome_is_written_soon_without_another_send(journal: Journal, store: Store) -> None:
    sent = entry()
    journal.intend(sent).result(10)
    journal.settle(sent.id, accepted())
    ended = select(schema.journal.c.outcome)
    while store.database.read(lambda connection: connection.execute(ended).scalar()) is None:
        time.sleep(0.01)


def test_an_outcome_wakes_a_thread_that_sleeps(journal: Journal, store: Store) -> None:
    sent = entry()
    journal.intend(sent).result(10)
    while not journal._idle:
        time.sleep(0.05)
    journal.settle(sent.id, accepted())
    ended = select(schema.journal.c.outcome)
    while store.database.read(lambda connection: connection.execute(ended).scalar()) is None:
        time.sleep(0.01)


def test_sends_that_come_together_share_commits(tmp_path: Path, home: Path) -> None:
    store = Store.create(f"sqlite:///{tmp_path}/a.db")
    journal = Journal(store)
    commits: list[str] = []
    with journal._writer._connection as connection:
        connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "commit" else None)  # type: ignore[attr-defined]

    async def send(number: int) -> None:
        sent = entry(reference=str(number))
        await asyncio.wrap_future(journal.intend(sent))
        journal.settle(sent.id, accepted())

    async def all_at_once() -> None:
        await asyncio.gather(*(send(number) for number in range(3 * GROUP)))

    asyncio.run(all_at_once())
    journal.flush()
    assert count(store) == 3 * GROUP
    assert 3 <= len(commits) <= 40
    assert {row.outcome for row in journal.recent(limit=1000)} == {Outcome.ACCEPTED}
    journal.close()
    store.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_process_killed_while_sending_leaves_unknown(journal: Journal) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        journal.intend(entry(recipients=("a@x.it",))).result(10)
        os.write(writer, b"intended")
        signal.pause()
    assert os.read(reader, 100) == b"intended"
    assert journal.recent()[0].outcome is None, "it may still be sending"
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    os.close(reader)
    os.close(writer)
    [row] = journal.recent(reference="invoice:12")
    assert row.outcome is Outcome.UNKNOWN
    assert row.problem is not None
    assert row.problem.code == "UNCERTAIN"
    assert [(each.address, each.outcome) for each in row.recipients] == [("a@x.it", Outcome.UNKNOWN)]


def test_a_deadline_that_passed_without_an_outcome_reads_as_unknown(journal: Journal, store: Store) -> None:
    over = datetime.now(UTC) - timedelta(seconds=5)
    sent = entry(deadline=over)
    journal.intend(sent).result(10)
    elsewhere = text("update recapito_journal set process = 'another machine/1/1'")
    store.database.write(lambda connection: connection.execute(elsewhere))
    assert [row.outcome for row in journal.recent()] == [Outcome.UNKNOWN]
    journal.settle(sent.id, accepted())
    assert [row.outcome for row in journal.recent()] == [Outcome.ACCEPTED], (
        "a late outcome is still knowledge"
    )


def test_another_machines_send_is_under_way_until_its_deadline(journal: Journal, store: Store) -> None:
    journal.intend(entry()).result(10)
    elsewhere = text("update recapito_journal set process = 'another machine/1/1'")
    store.database.write(lambda connection: connection.execute(elsewhere))
    assert [row.outcome for row in journal.recent()] == [None]


def test_the_last_sends_come_first_by_profile_or_reference(journal: Journal) -> None:
    other = ProfileKey("acme", "anna")
    for number in range(6):
        key = ANNA if number % 2 else other
        sent = entry(key=key, reference=f"invoice:{number // 2}", started=NOW + timedelta(seconds=number))
        journal.intend(sent).result(10)

    def numbers(**asked: object) -> list[float]:
        return [(row.started - NOW).total_seconds() for row in journal.recent(**asked)]  # type: ignore[arg-type]

    assert numbers() == [5, 4, 3, 2, 1, 0]
    assert numbers(limit=2) == [5, 4]
    assert numbers(key=ANNA) == [5, 3, 1]
    assert numbers(reference="invoice:1") == [3, 2]
    assert numbers(key=other, reference="invoice:1") == [2]


def test_old_rows_are_pruned_and_new_ones_stay(journal: Journal, store: Store) -> None:
    week = timedelta(days=7)
    old = [journal.intend(entry(started=NOW - week - timedelta(hours=n))) for n in range(1, 700)]
    new = entry(started=NOW - week + timedelta(hours=1))
    for future in (*old, journal.intend(new)):
        future.result(10)
    assert journal.prune(week) == 699
    assert [row.id for row in journal.recent()] == [new.id]
    assert journal.prune(week) == 0


def test_a_cancelled_intent_that_was_not_begun_writes_nothing(journal: Journal, store: Store) -> None:
    begun, go = threading.Event(), threading.Event()
    write = journal._writer.write

    def slow(*groups: object) -> None:
        begun.set()
        go.wait(10)
        write(*groups)  # type: ignore[arg-type]

    journal._writer.write = slow  # type: ignore[method-assign]
    first = journal.intend(entry())
    assert begun.wait(10)
    second = entry()
    future = journal.intend(second)
    assert future.cancel()
    journal.settle(second.id, accepted())
    go.set()
    first.result(10)
    journal.flush()
    assert count(store) == 1


def test_an_outcome_of_an_unknown_entry_changes_nothing(journal: Journal, store: Store) -> None:
    journal.settle("nobody's", accepted())
    journal.flush()
    assert count(store) == 0


def test_closing_writes_what_is_left_and_it_can_be_used_again(journal: Journal, store: Store) -> None:
    sent = entry()
    journal.intend(sent).result(10)
    journal.settle(sent.id, accepted())
    journal.close()
    assert journal._thread is None
    assert [row.outcome for row in Journal(store).recent()] == [Outcome.ACCEPTED]
    journal.intend(entry()).result(10)
    assert count(store) == 2
    journal.close()


def test_many_threads_may_write_and_close_at_once(journal: Journal, store: Store) -> None:
    def work() -> None:
        for _ in range(20):
            sent = entry()
            journal.intend(sent).result(10)
            journal.settle(sent.id, accepted())
            journal.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.flush()
    assert {row.outcome for row in journal.recent(limit=100)} == {Outcome.ACCEPTED}
    assert count(store) == 80


ENDING = """
import sys
from datetime import UTC, datetime
from recapito.ledger.journal import Journal, JournalEntry
from recapito.outcome import Outcome
from recapito.profile import ProfileKey
from recapito.receipt import Receipt
from recapito.store import Store
journal = Journal(Store.open(sys.argv[1]))
key = ProfileKey("", "anna")
journal.intend(JournalEntry("1", key, "memory", None, "<1@x.it>", ("a@x.it",), 1, datetime.now(UTC))).result()
journal.settle("1", Receipt.for_all(("a@x.it",), Outcome.ACCEPTED))
"""


def test_an_ending_program_writes_what_is_left(tmp_path: Path, home: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    with Store.create(url) as store:
        subprocess.run([sys.executable, "-c", ENDING, url], check=True)
        assert [row.outcome for row in Journal(store).recent()] == [Outcome.ACCEPTED]


def test_a_reference_that_cannot_be_stored_hurts_no_other_send(journal: Journal) -> None:
    futures = [journal.intend(entry(reference=each)) for each in ("good", "b\0d", "\ud800")]
    for future in futures:
        future.result(10)
    assert sorted(str(row.reference) for row in journal.recent()) == ["?", "b\ufffdd", "good"]


def test_a_missing_table_reaches_the_sender_as_a_problem(journal: Journal, store: Store) -> None:
    store.database.write(lambda connection: connection.exec_driver_sql("drop table recapito_journal"))
    with pytest.raises(Misconfigured) as caught:
        journal.intend(entry()).result(10)
    assert caught.value.problem.code in {"STORE-FAILED", "STORE-MISSING"}
    store.database.write(lambda connection: schema.journal.create(connection))
    journal.intend(entry()).result(10)


def test_nothing_of_the_content_is_kept() -> None:
    names = {column.name for column in schema.journal.columns}
    assert names.isdisjoint({"subject", "content", "body", "message"})
