"""What follows a receipt never takes its place, and is not lost when the time is over."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from recapito import (
    AsyncMailer,
    Found,
    Held,
    Mailer,
    Message,
    Outcome,
    Problem,
    Profile,
    ProfileKey,
    Receipt,
    Store,
    hookimpl,
)
from recapito.envelope import Envelope
from recapito.hookspecs import Change, Subject
from recapito.ledger.journal import Journal
from recapito.problem import Scope, Who
from recapito.receipt import RecipientReceipt
from recapito.testing import MemoryTransport, memory_info
from recapito.transport import CheckStep

WRONG = Problem("AUTH-FAILED", Outcome.HELD, Who.OPERATOR, Scope.PROFILE)


class FailsLater:
    """A host's own source, whose database is gone once a profile was read."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.asked = 0

    def get(self, key: ProfileKey) -> Found:
        self.asked += 1
        if self.asked > 1:
            raise ConnectionError("the host's database is gone")
        return self.found


class Listening:
    """Hooks that keep what they are told."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.changes: list[str] = []

    @hookimpl
    def recapito_request_attention(self, subject: Subject, problem: Problem) -> None:
        self.asked.append(problem.code)

    @hookimpl
    def recapito_record_change(self, change: Change) -> None:
        self.changes.append(change.action)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECAPITO_HOME", str(tmp_path))
    monkeypatch.delenv("RECAPITO_KEYS", raising=False)
    return tmp_path / "recapito.db"


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    with Store.create(f"sqlite:///{database}") as made:
        yield made


def partly(envelope: Envelope) -> Receipt:
    """One accepted, and a sign-in that ended meanwhile for the others."""
    first, *others = envelope.recipients
    rows = [RecipientReceipt(first, Outcome.ACCEPTED)]
    rows += [RecipientReceipt(address, Outcome.HELD, problem=WRONG) for address in others]
    return Receipt(tuple(rows), problem=WRONG)


@pytest.mark.parametrize("count", [1, 2])
def test_a_source_that_fails_afterwards_replaces_no_outcome(
    store: Store, found_for: Callable[..., Found], told_session: Any, count: int
) -> None:
    class Told(MemoryTransport):
        async def open(self, profile: object, context: object) -> Any:
            session = told_session()
            session.answer = partly if count > 1 else session.answer
            if count == 1:
                raise Held(WRONG)
            return session

    source = FailsLater(found_for("anna"))
    message = Message(to=["a@example.com", "b@example.com"][:count], subject="s", text="t")
    with Mailer(source, store=store, transports=[memory_info(Told())]) as mailer:
        receipt = mailer.send("anna", message, check=False)
    assert source.asked > 1
    assert receipt.outcome is (Outcome.HELD if count == 1 else Outcome.ACCEPTED)
    assert receipt.problem == WRONG


@pytest.mark.anyio
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OSError])
@pytest.mark.parametrize("hook", ["recapito_prepare_message", "recapito_record_receipt"])
async def test_a_hook_that_raises_whatever_it_likes_changes_no_outcome(
    memory: MemoryTransport, anna: Profile, message: Message, error: type[BaseException], hook: str
) -> None:
    class Hooks:
        @hookimpl
        def recapito_prepare_message(self) -> None:
            if hook == "recapito_prepare_message":
                raise error

        @hookimpl
        def recapito_record_receipt(self) -> None:
            if hook == "recapito_record_receipt":
                raise error

    async with AsyncMailer({"anna": anna}, hooks=[Hooks()], transports=[memory_info(memory)]) as mailer:
        assert (await mailer.send("anna", message)).outcome is Outcome.ACCEPTED


def test_ctrl_c_in_a_hook_comes_when_the_receipt_is_written_down(
    memory: MemoryTransport, anna: Profile, message: Message, store: Store
) -> None:
    class Impatient:
        @hookimpl
        def recapito_record_receipt(self) -> None:
            raise KeyboardInterrupt

    made = Mailer({"anna": anna}, store=store, hooks=[Impatient()], transports=[memory_info(memory)])
    with made as mailer, pytest.raises(KeyboardInterrupt):
        mailer.send("anna", message)
    assert [row.outcome for row in Journal(store).recent()] == [Outcome.ACCEPTED]


def test_a_session_that_cannot_say_whether_it_is_usable_costs_no_receipt(
    anna: Profile, message: Message, told_session: Any
) -> None:
    class Mute(told_session):  # type: ignore[misc]
        @property
        def usable(self) -> bool:
            if self.sent:
                raise RuntimeError("a plugin's fault")
            return True

        @usable.setter
        def usable(self, value: bool) -> None:
            self.sent = False

        async def deliver(self, envelope: Envelope, content: object, *, deadline: float) -> Receipt:
            receipt: Receipt = await super().deliver(envelope, content, deadline=deadline)
            self.sent = True
            return receipt

    class Transport(MemoryTransport):
        async def open(self, profile: object, context: object) -> Any:
            return Mute()

    with Mailer({"anna": anna}, transports=[memory_info(Transport())]) as mailer:
        assert mailer.send("anna", message).outcome is Outcome.ACCEPTED
        assert mailer.send("anna", message).outcome is Outcome.ACCEPTED


class Locking(MemoryTransport):
    """A sign-in that fails, and a database that somebody else has locked meanwhile."""

    def __init__(self, database: Path) -> None:
        super().__init__()
        self.lock = sqlite3.connect(database, isolation_level=None, check_same_thread=False)

    async def open(self, profile: object, context: object) -> Any:
        self.lock.execute("begin immediate")
        raise Held(WRONG)


@pytest.mark.parametrize("blocking", [True, False])
def test_a_store_that_is_locked_holds_no_send_and_is_told_later(
    store: Store, database: Path, anna: Profile, message: Message, blocking: bool
) -> None:
    hooks = Listening()
    locking = Locking(database)
    info = memory_info(locking)
    store.save(anna, {}, by="test", action="edited", fields=())

    def settled() -> bool:
        return store.state(anna.key).paused and hooks.asked == ["AUTH-FAILED"] and hooks.changes == ["paused"]

    async def asynchronous() -> None:
        async with AsyncMailer(store, hooks=[hooks], transports=[info]) as mailer:
            async with asyncio.timeout(3):  # the database waits longer for the lock
                receipt = await mailer.send("anna", message, timeout=0.1, check=False)
            assert receipt.problem == WRONG
            assert not hooks.asked
            locking.lock.execute("rollback")
            async with asyncio.timeout(10):
                while not settled():  # noqa: ASYNC110 - it signals nothing
                    await asyncio.sleep(0.01)

    with closing(locking.lock):
        if not blocking:
            asyncio.run(asynchronous())
            return
        with Mailer(store, hooks=[hooks], transports=[info]) as mailer:
            receipt = mailer.send("anna", message, timeout=0.1, check=False)
            assert receipt.problem == WRONG
            assert not hooks.asked, "the send waited for the lock"
            locking.lock.execute("rollback")
            for _ in range(1000):
                if settled():
                    break
                asyncio.run(asyncio.sleep(0.01))
            assert settled()


@pytest.mark.anyio
async def test_a_pause_is_told_though_the_caller_was_cancelled_meanwhile(
    store: Store, database: Path, anna: Profile, message: Message
) -> None:
    hooks = Listening()
    locking = Locking(database)
    store.save(anna, {}, by="test", action="edited", fields=())
    with closing(locking.lock):
        async with AsyncMailer(store, hooks=[hooks], transports=[memory_info(locking)]) as mailer:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await mailer.send("anna", message)
            locking.lock.execute("rollback")
        assert hooks.asked == ["AUTH-FAILED"]
        assert hooks.changes == ["paused"]


def test_without_a_store_a_problem_that_comes_back_is_told_again(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    hooks = Listening()
    with Mailer({"anna": anna}, hooks=[hooks], transports=[memory_info(memory)]) as mailer:
        for works in (False, False, True, False):
            memory.fail_with = None if works else Held(WRONG)
            mailer.send("anna", message, check=False)
    assert hooks.asked == ["AUTH-FAILED"] * 2


@pytest.mark.anyio
async def test_a_check_is_not_held_by_a_locked_store_and_resumes_later(
    store: Store, database: Path, anna: Profile
) -> None:
    class SignsIn(Locking):
        async def check(self, profile: object, context: object, send_to: object = None) -> Any:
            self.lock.execute("begin immediate")
            yield CheckStep("sign-in")

    hooks, locking = Listening(), SignsIn(database)
    store.save(anna, {}, by="test", action="edited", fields=())
    store.pause(anna.key, WRONG, by="recapito")
    with closing(locking.lock):
        async with AsyncMailer(store, hooks=[hooks], transports=[memory_info(locking)]) as mailer:
            async with asyncio.timeout(3):  # the database waits longer for the lock
                steps = [step async for step in mailer.check("anna", timeout=0.1)]
            assert [step.problem for step in steps] == [None]
            assert not hooks.changes
            locking.lock.execute("rollback")
        assert hooks.changes == ["resumed"]
        assert not store.state(anna.key).paused
