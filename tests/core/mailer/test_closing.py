"""Closing is bounded, and whoever was sending meanwhile learns what became of the message."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from recapito import (
    AsyncMailer,
    DeliveryError,
    Limits,
    Mailer,
    Message,
    Misconfigured,
    NotSent,
    Outcome,
    Profile,
    ProfileKey,
    Receipt,
    Store,
    UnknownOutcome,
    hookimpl,
)
from recapito.ledger.journal import Journal
from recapito.testing import MemoryTransport, SmtpServer, memory_info

USERS = {"anna@example.it": "segreto"}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("RECAPITO_HOME", str(tmp_path))
    monkeypatch.delenv("RECAPITO_KEYS", raising=False)
    with Store.create(f"sqlite:///{tmp_path / 'recapito.db'}") as made:
        yield made


class Caller(threading.Thread):
    """Another thread, that is sending."""

    def __init__(self, send: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._send = send
        self.result: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self._send()
        except BaseException as exc:  # it is looked at by the test
            self.error = exc

    def ended(self) -> "Caller":
        self.join(10)
        assert not self.is_alive(), "a send must end when its mailer is closed"
        return self


def until(happened: Callable[[], object]) -> None:
    pause = threading.Event()
    for _ in range(2000):
        if happened():
            return
        pause.wait(0.005)
    raise AssertionError("it did not happen")


class Opening(MemoryTransport):
    """Opens sessions of one kind."""

    def __init__(self, session: Any) -> None:
        super().__init__()
        self.session = session

    async def open(self, profile: object, context: object) -> Any:
        return self.session


@pytest.mark.parametrize(("phase", "kind"), [("rcpt", NotSent), ("content", UnknownOutcome)])
@pytest.mark.parametrize("reused", [True, False])
def test_a_send_of_another_thread_ends_with_its_outcome(
    phase: Any, kind: type[DeliveryError], reused: bool, smtp_info: Any, found_at: Any, message: Message
) -> None:
    with SmtpServer(tls="plain", users=USERS) as server:
        mailer = Mailer({"anna": found_at(server, "anna")}, transports=[smtp_info()])
        if reused:
            mailer.send("anna", message)
        with server.hold(phase):
            caller = Caller(lambda: mailer.send("anna", message))
            until(lambda: server.waiting[phase])
            mailer.close()
            caller.ended()
        assert type(caller.error) is kind
        assert caller.error.receipt.outcome is kind.outcome
        assert server.connections == 1


def test_what_a_closed_mailer_was_sending_is_in_the_journal(
    memory: MemoryTransport, anna: Profile, message: Message, store: Store
) -> None:
    mailer = Mailer({"anna": anna}, store=store, transports=[memory_info(memory)])
    with memory.hold():
        caller = Caller(lambda: mailer.send("anna", message))
        until(lambda: memory.waiting)
        mailer.close()
        caller.ended()
    assert isinstance(caller.error, UnknownOutcome)
    assert [row.outcome for row in Journal(store).recent()] == [Outcome.UNKNOWN]


def test_a_send_that_waits_for_a_permit_is_not_sent(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    narrow = anna.with_(limits=Limits(concurrency=1))
    mailer = Mailer({"anna": narrow}, transports=[memory_info(memory)])
    with memory.hold():
        first = Caller(lambda: mailer.send("anna", message))
        until(lambda: memory.waiting)
        second = Caller(lambda: mailer.send("anna", message))
        until(lambda: len(mailer._mailer._engine.sends) == 2)  # type: ignore[union-attr]
        mailer.close()
        first.ended()
        second.ended()
    assert isinstance(second.error, NotSent)
    assert second.error.problem.code == "MAILER-CLOSED"
    assert memory.sent == []


def test_a_session_that_does_not_let_go_keeps_nobody(
    anna: Profile, message: Message, told_session: Any
) -> None:
    class Stubborn(told_session):  # type: ignore[misc]
        begun = False
        free = False

        async def deliver(self, envelope: object, content: object, *, deadline: float) -> Receipt:
            self.begun = True
            while not self.free:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(3600)
            raise AssertionError

    session = Stubborn()
    mailer = Mailer({"anna": anna}, transports=[memory_info(Opening(session))])
    caller = Caller(lambda: mailer.send("anna", message))
    until(lambda: session.begun)
    mailer.close(timeout=0.2)
    assert isinstance(caller.ended().error, UnknownOutcome)


def test_a_loop_that_hangs_keeps_nobody(anna: Profile, message: Message, told_session: Any) -> None:
    released = threading.Event()

    class Blocking(told_session):  # type: ignore[misc]
        begun = False

        async def deliver(self, envelope: object, content: object, *, deadline: float) -> Receipt:
            self.begun = True
            released.wait(20)
            raise RuntimeError("it blocked the loop")

    session = Blocking()
    mailer = Mailer({"anna": anna}, transports=[memory_info(Opening(session))])
    caller = Caller(lambda: mailer.send("anna", message))
    until(lambda: session.begun)
    mailer.close(timeout=0.2)
    assert isinstance(caller.ended().error, UnknownOutcome)
    assert not released.is_set()
    released.set()


def test_a_hook_that_closes_its_own_mailer_costs_no_receipt(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    class Closing:
        @hookimpl
        def recapito_record_receipt(self) -> None:
            mailer.close(timeout=0.3)

    mailer = Mailer({"anna": anna}, hooks=[Closing()], transports=[memory_info(memory)])
    caller = Caller(lambda: mailer.send("anna", message)).ended()
    assert caller.error is None
    assert caller.result.outcome is Outcome.ACCEPTED


def test_a_check_of_another_thread_ends(memory: MemoryTransport, anna: Profile) -> None:
    class Waiting(MemoryTransport):
        checking = False

        async def check(self, profile: object, context: object, send_to: object = None) -> Any:
            self.checking = True
            await asyncio.sleep(3600)
            yield

    waiting = Waiting()
    mailer = Mailer({"anna": anna}, transports=[memory_info(waiting)])
    caller = Caller(lambda: list(mailer.check("anna")))
    until(lambda: waiting.checking)
    mailer.close(timeout=0.2)
    assert isinstance(caller.ended().error, NotSent)


@pytest.mark.anyio
async def test_an_async_send_ends_with_its_outcome_and_its_task_goes_on(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    mailer = AsyncMailer({"anna": anna}, transports=[memory_info(memory)])

    async def work() -> str:
        with pytest.raises(UnknownOutcome):
            await mailer.send("anna", message)
        await asyncio.sleep(0)
        return "went on"

    with memory.hold():
        task = asyncio.create_task(work())
        while not memory.waiting:  # noqa: ASYNC110 - it counts, it signals nothing
            await asyncio.sleep(0)
        await mailer.close()
        assert await task == "went on"
    assert task.cancelling() == 0


@pytest.mark.anyio
async def test_a_send_that_was_cancelled_and_closed_at_once_stays_cancelled(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    mailer = AsyncMailer({"anna": anna}, transports=[memory_info(memory)])
    with memory.hold():
        task = asyncio.create_task(mailer.send("anna", message))
        while not memory.waiting:  # noqa: ASYNC110 - it counts, it signals nothing
            await asyncio.sleep(0)
        task.cancel()
        await mailer.close()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.anyio
@pytest.mark.parametrize("late", [True, False])
async def test_a_session_that_opens_meanwhile_carries_nothing_and_is_closed(
    anna: Profile, message: Message, told_session: Any, late: bool
) -> None:
    opened, closed, session = asyncio.Event(), asyncio.Event(), told_session()

    class Slow(MemoryTransport):
        async def open(self, profile: object, context: object) -> Any:
            opened.set()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
            if late:
                await closed.wait()
            return session

    mailer = AsyncMailer({"anna": anna}, transports=[memory_info(Slow())])
    task = asyncio.create_task(mailer.send("anna", message))
    await opened.wait()
    await mailer.close(timeout=0.1)
    closed.set()
    with pytest.raises(NotSent):
        await task
    async with asyncio.timeout(10):
        while not session.closed:  # noqa: ASYNC110 - it counts, it signals nothing
            await asyncio.sleep(0)
    assert not session.most_under_way


@pytest.mark.anyio
async def test_closing_is_bounded_though_every_worker_hangs(store: Store, message: Message) -> None:
    released = threading.Event()

    class Hanging:
        def get(self, key: ProfileKey) -> None:
            released.wait(30)

    mailer = AsyncMailer(Hanging(), store=store)
    sends = [
        asyncio.create_task(mailer.send(f"anna{n}", message, timeout=0.05, check=False)) for n in range(9)
    ]
    try:
        async with asyncio.timeout(10):
            receipts = await asyncio.gather(*sends)
            await mailer.close(timeout=0.5)
    finally:
        released.set()
    assert {receipt.problem.code for receipt in receipts if receipt.problem} == {"SEND-TIMEOUT"}
    with pytest.raises(Misconfigured):
        await mailer.send("anna", message)
