"""send_many: receipts in order, one message never stops the others, and nothing is read or sent too early."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from recapito import (
    AsyncMailer,
    Found,
    Item,
    Mailer,
    Message,
    NotFound,
    Outcome,
    Profile,
    Refused,
    Store,
    hookimpl,
)
from recapito.catalogue import problem
from recapito.errors import Held, Misconfigured, NotSent
from recapito.limits import Limits, Rate
from recapito.message import AnyMessage
from recapito.operators import Changes, Operators
from recapito.profile import ProfileKey
from recapito.receipt import Receipt
from recapito.testing import MemoryTransport, memory_info
from recapito.transport import Context, Session

pytestmark = pytest.mark.anyio


def mails(number: int, first: int = 0) -> Iterator[Item]:
    for each in range(first, first + number):
        message = Message(to=[f"c{each}@example.com"], subject=f"Fattura {each}", text="In allegato.")
        yield Item(message, reference=f"invoice:{each}")


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def outcomes(receipts: list[Receipt]) -> set[str]:
    return {receipt.outcome.value for receipt in receipts}


class Counted(MemoryTransport):
    """It counts how often somebody signed in, or tried to."""

    opened = 0

    async def open(self, profile: Profile, context: Context) -> Session:
        self.opened += 1
        return await super().open(profile, context)


@pytest.fixture
def memory() -> Counted:
    return Counted()


@pytest.fixture
def mailer(memory: MemoryTransport, anna: Profile) -> AsyncMailer:
    return AsyncMailer({"anna": anna}, transports=[memory_info(memory)])


@pytest.fixture
def blocking(memory: MemoryTransport, anna: Profile) -> Iterator[Mailer]:
    with Mailer({"anna": anna}, transports=[memory_info(memory)]) as mailer:
        yield mailer


async def test_receipts_come_in_the_order_of_the_messages(mailer, memory) -> None:
    async with mailer:
        batch = mailer.send_many("anna", mails(250))
        receipts = [receipt async for receipt in batch]
    assert [receipt.reference for receipt in receipts] == [f"invoice:{each}" for each in range(250)]
    assert outcomes(receipts) == {"accepted"}
    assert len(memory.sent) == 250
    assert (batch.progress.done, batch.progress.accepted) == (250, 250)


def test_the_blocking_mailer_gives_the_same(blocking, memory) -> None:
    receipts = list(blocking.send_many("anna", mails(250)))
    assert [receipt.reference for receipt in receipts] == [f"invoice:{each}" for each in range(250)]
    assert len(memory.sent) == 250


async def test_one_bad_message_stops_no_other(mailer, memory) -> None:
    given: list[AnyMessage | Item] = [
        Message(to=["a@example.com"], text="1"),
        Message(to=["no address"], text="2"),
        5,  # type: ignore[list-item]
        Item(Message(to=["a@example.com"], text="3"), reference="x" * 5000),
        Message(to=["b@example.com"], attachments=["missing.pdf"]),
        b"From: anna@example.it\r\nTo: c@example.com\r\nSubject: x\r\n\r\nx\r\n",
    ]
    async with mailer:
        receipts = [receipt async for receipt in mailer.send_many("anna", given)]
    assert [receipt.problem and receipt.problem.code for receipt in receipts] == [
        None,
        "ADDR-SYNTAX",
        "MSG-TYPE",
        "MSG-REFERENCE-LONG",
        "FILE-MISSING",
        None,
    ]
    assert [receipt.outcome.value for receipt in receipts[1:5]] == ["refused"] * 4
    assert len(memory.sent) == 2


async def test_messages_may_come_one_by_one(mailer, memory) -> None:
    async def slowly() -> AsyncIterator[Item]:
        for item in mails(3):
            await asyncio.sleep(0)
            yield item

    async with mailer:
        receipts = [receipt async for receipt in mailer.send_many("anna", slowly())]
    assert len(receipts) == len(memory.sent) == 3


async def test_no_messages_are_no_receipts(mailer) -> None:
    async with mailer:
        assert [receipt async for receipt in mailer.send_many("anna", [])] == []


async def test_nothing_is_read_before_the_first_receipt_is_asked_for(mailer) -> None:
    read = []
    async with mailer:
        mailer.send_many("anna", (read.append(item) or item for item in mails(3)))  # type: ignore[func-returns-value]
        await asyncio.sleep(0.01)
        assert read == []


async def test_messages_are_read_only_as_receipts_are_taken(mailer, memory) -> None:
    read = []

    def counted() -> Iterator[Item]:
        for item in mails(2_000):
            read.append(item)
            yield item

    async with mailer:
        batch = mailer.send_many("anna", counted())
        await anext(batch)
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(read) <= 201
        await batch.close()
        assert len(memory.sent) <= len(read)


def test_the_blocking_one_reads_and_calls_hooks_in_the_callers_thread(memory, anna) -> None:
    threads = set()

    class Hooks:
        @hookimpl
        def recapito_prepare_message(self, message: AnyMessage) -> AnyMessage:
            threads.add(threading.get_ident())
            return message

        @hookimpl
        def recapito_record_receipt(self, receipt: Receipt) -> None:
            threads.add(threading.get_ident())

    def read() -> Iterator[Item]:
        for item in mails(30):
            threads.add(threading.get_ident())
            yield item

    with Mailer({"anna": anna}, hooks=[Hooks()], transports=[memory_info(memory)]) as mailer:
        assert len(list(mailer.send_many("anna", read()))) == 30
    assert threads == {threading.get_ident()}


async def test_hooks_see_every_message_and_every_receipt(memory, anna) -> None:
    told: list[Receipt] = []

    class Hooks:
        @hookimpl
        def recapito_prepare_message(self, message: Message) -> Message:
            if message.subject == "Fattura 1":
                raise Refused("not this one")
            return message.with_(subject=message.subject + "!")

        @hookimpl
        def recapito_record_receipt(self, receipt: Receipt) -> None:
            told.append(receipt)

    async with AsyncMailer({"anna": anna}, hooks=[Hooks()], transports=[memory_info(memory)]) as mailer:
        receipts = [receipt async for receipt in mailer.send_many("anna", mails(3))]
    assert [receipt.outcome.value for receipt in receipts] == ["accepted", "refused", "accepted"]
    assert told == receipts
    assert b"Subject: Fattura 0!" in memory.sent[0].content


async def test_a_message_that_waits_while_its_profile_is_edited_keeps_what_hooks_made_of_it(
    memory, anna
) -> None:
    class Hooks:
        @hookimpl
        def recapito_prepare_message(self, message: Message) -> Message:
            return message.with_(text="with the footer")

    profiles = {"anna": anna.with_(limits=Limits(rates=(Rate(1, 0.3),)))}
    async with AsyncMailer(profiles, hooks=[Hooks()], transports=[memory_info(memory)]) as mailer:
        async for _ in mailer.send_many("anna", mails(2)):
            profiles["anna"] = profiles["anna"].with_(sender_name="Anna Verdi")
    assert b"Anna Verdi" in memory.sent[1].content
    assert [b"with the footer" in sent.content for sent in memory.sent] == [True, True]


async def test_the_profile_is_read_once_for_a_group(memory, anna) -> None:
    class Source:
        reads = 0

        def get(self, key: ProfileKey) -> Found:
            self.reads += 1
            return Found(anna, revision="1")

    source = Source()
    async with AsyncMailer(source, transports=[memory_info(memory)]) as mailer:
        assert len([receipt async for receipt in mailer.send_many("anna", mails(300))]) == 300
    assert source.reads <= 30


async def test_a_profile_that_is_not_there_is_raised(mailer) -> None:
    async with mailer:
        with pytest.raises(NotFound):
            await anext(mailer.send_many("nobody", mails(1)))


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "5"], ids=repr)
async def test_a_number_of_connections_that_is_none_is_refused(mailer, wrong: object) -> None:
    async with mailer:
        with pytest.raises(Misconfigured) as raised:
            mailer.send_many("anna", mails(1), connections=wrong)
    assert raised.value.problem.code == "CONNECTIONS-INVALID"


@pytest.mark.parametrize("connections", [1, 2, None])
async def test_no_more_sessions_than_allowed(mailer, memory, connections: int | None) -> None:
    async with mailer:
        receipts = [r async for r in mailer.send_many("anna", mails(300), connections=connections)]
    assert outcomes(receipts) == {"accepted"}
    assert memory.opened <= (connections or 5)


async def test_what_is_wrong_with_the_profile_is_met_once(memory, tmp_path) -> None:
    memory.fail_open = Held(problem("AUTH-FAILED", account="anna", host="x"))
    with Store.create(f"sqlite:///{tmp_path}/store.db") as store:
        mailer = AsyncMailer(store, transports=[memory_info(memory)])
        Operators(store, mailer.plugins).save(
            ProfileKey("", "anna"), Changes(sender="anna@example.it", transport="memory"), by="admin"
        )
        async with mailer:
            receipts = [receipt async for receipt in mailer.send_many("anna", mails(120))]
    assert outcomes(receipts) == {"held"}
    assert len(receipts) == 120
    assert memory.opened == 1


async def test_where_no_server_is_met_the_rest_is_not_tried(memory, anna) -> None:
    memory.fail_open = NotSent(problem("NET-LOST", host="mail.example.it", port=465))
    async with AsyncMailer({"anna": anna}, transports=[memory_info(memory)]) as mailer:
        receipts = [receipt async for receipt in mailer.send_many("anna", mails(120))]
    assert outcomes(receipts) == {"not_sent"}
    assert {receipt.problem.code for receipt in receipts} == {"NET-LOST"}
    assert memory.opened <= 8


async def test_what_the_messages_iterator_raises_comes_after_the_receipts_before_it(mailer, memory) -> None:
    def read() -> Iterator[Item]:
        yield from mails(25)
        raise LookupError("no more rows")

    receipts = []
    async with mailer:
        with pytest.raises(LookupError):  # noqa: PT012 - what came before it counts
            async for receipt in mailer.send_many("anna", read()):
                receipts.append(receipt)  # noqa: PERF401
    assert len(receipts) == len(memory.sent) == 25


async def test_a_transport_that_is_set_up_wrongly_ends_it(memory, anna) -> None:
    class Wrong(Counted):
        async def open(self, profile: Profile, context: Context) -> Session:
            raise Misconfigured(problem("HOOKS-BROKEN", plugin="x", reason="y"))

    receipts = []
    async with AsyncMailer({"anna": anna}, transports=[memory_info(Wrong())]) as mailer:
        with pytest.raises(Misconfigured):  # noqa: PT012 - what came before it counts
            async for receipt in mailer.send_many("anna", mails(2_000)):
                receipts.append(receipt)  # noqa: PERF401
    assert outcomes(receipts) <= {"not_sent", "held"}
    assert len(receipts) <= 200


async def test_a_journal_that_cannot_be_written_ends_it_with_nothing_sent(memory, tmp_path) -> None:
    with Store.create(f"sqlite:///{tmp_path}/store.db") as store:
        mailer = AsyncMailer(store, transports=[memory_info(memory)])
        Operators(store, mailer.plugins).save(
            ProfileKey("", "anna"), Changes(sender="anna@example.it", transport="memory"), by="admin"
        )
        store.database.write(lambda connection: connection.execute(text("drop table recapito_journal")))
        async with mailer:
            with pytest.raises(Misconfigured):  # noqa: PT012 - what came before it counts
                async for receipt in mailer.send_many("anna", mails(2_000)):
                    assert receipt.outcome is Outcome.NOT_SENT
    assert memory.sent == []


async def test_left_early_nothing_more_is_sent_and_the_mailer_goes_on(mailer, memory) -> None:
    async with mailer:
        async with mailer.send_many("anna", mails(2_000)) as batch:
            async for _ in batch:
                break
        sent = len(memory.sent)
        await asyncio.sleep(0.02)
        assert len(memory.sent) == sent < 300
        assert (await mailer.send("anna", next(mails(1)).message)).accepted


def test_the_blocking_one_left_early_sends_nothing_more(blocking, memory) -> None:
    with blocking.send_many("anna", mails(2_000)) as batch:
        next(batch)
    sent = len(memory.sent)
    assert sent < 300
    assert blocking.send("anna", next(mails(1)).message).accepted
    assert len(memory.sent) == sent + 1


def test_ctrl_c_in_the_callers_code_ends_it_in_order(blocking, memory) -> None:
    def read() -> Iterator[Item]:
        yield from mails(60)
        raise KeyboardInterrupt

    batch = blocking.send_many("anna", read())
    with pytest.raises(KeyboardInterrupt):
        list(batch)
    batch.close()
    assert batch.progress.done == batch.progress.accepted + batch.progress.not_sent
    assert blocking.send("anna", next(mails(1)).message).accepted


async def test_closing_the_mailer_ends_it_with_an_outcome_for_what_was_read(mailer, memory) -> None:
    batch = mailer.send_many("anna", mails(2_000))
    receipts = [await anext(batch)]
    await mailer.close()
    with pytest.raises(Misconfigured) as raised:  # noqa: PT012 - what came before it counts
        async for receipt in batch:
            receipts.append(receipt)  # noqa: PERF401
    assert raised.value.problem.code == "MAILER-CLOSED"
    assert outcomes(receipts) <= {"accepted", "not_sent", "unknown"}
    assert [receipt.outcome.value for receipt in receipts].count("unknown") <= 5
    assert [receipt.reference for receipt in receipts] == [f"invoice:{each}" for each in range(len(receipts))]


async def test_a_time_that_is_over_leaves_the_rest_not_sent(memory, anna) -> None:
    limits = Limits(rates=(Rate(5, 3600.0),))
    async with AsyncMailer({"anna": anna.with_(limits=limits)}, transports=[memory_info(memory)]) as mailer:
        receipts = [receipt async for receipt in mailer.send_many("anna", mails(12), timeout=0.3)]
    assert [receipt.outcome.value for receipt in receipts] == ["accepted"] * 5 + ["not_sent"] * 7
    assert len(memory.sent) == 5


async def test_limits_are_waited_for_and_kept(memory, anna) -> None:
    limits = Limits(concurrency=2, rates=(Rate(4, 0.2),))
    waited = set()
    async with AsyncMailer({"anna": anna.with_(limits=limits)}, transports=[memory_info(memory)]) as mailer:
        batch = mailer.send_many("anna", mails(12))
        receipts = []
        async for receipt in batch:
            receipts.append(receipt)
            waited.add(batch.progress.waiting_until)
    assert len(waited) > 1
    assert batch.progress.waiting_until is None
    assert outcomes(receipts) == {"accepted"}
    assert memory.opened <= 2
    seconds = [receipt.ended.timestamp() for receipt in receipts]
    assert all(later - first >= 0.2 for first, later in zip(seconds, seconds[4:], strict=False))


async def test_the_journal_has_every_message_and_nothing_left_open(memory, tmp_path) -> None:
    with Store.create(f"sqlite:///{tmp_path}/store.db") as store:
        mailer = AsyncMailer(store, transports=[memory_info(memory)])
        Operators(store, mailer.plugins).save(
            ProfileKey("", "anna"), Changes(sender="anna@example.it", transport="memory"), by="admin"
        )
        async with mailer:
            async with mailer.send_many("anna", mails(1_000)) as batch:
                async for _ in batch:
                    if batch.progress.done > 150:
                        break
            journal = mailer._engine.journal
        from recapito.ledger.journal import Journal

        rows = Journal(store).recent(limit=2_000)
    assert journal is not None
    assert {row.outcome for row in rows} <= {Outcome.ACCEPTED, Outcome.NOT_SENT}
    assert sum(row.outcome is Outcome.ACCEPTED for row in rows) == len(memory.sent)


async def test_a_file_is_closed_whatever_becomes_of_its_message(mailer, memory, tmp_path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF")
    before = descriptors()
    messages = [Message(to=["a@example.com"], text="x", attachments=[path]) for _ in range(50)]
    async with mailer:
        async with mailer.send_many("anna", messages) as batch:
            async for _ in batch:
                break
        assert descriptors() <= before + 4
