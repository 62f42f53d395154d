"""timeout= bounds the whole call, and what it cuts short has an honest outcome."""

import asyncio
from typing import Any

import pytest

from recapito import (
    AsyncMailer,
    Limits,
    Mailer,
    Message,
    Misconfigured,
    NotSent,
    Outcome,
    Profile,
    Rate,
    Receipt,
    UnknownOutcome,
)
from recapito.testing import MemoryTransport, SmtpServer, memory_info

pytestmark = pytest.mark.anyio

USERS = {"anna@example.it": "segreto"}


async def test_an_answer_that_does_not_come_leaves_the_outcome_unknown(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    async with AsyncMailer({"anna": anna}, transports=[memory_info(memory)]) as mailer:
        with memory.hold(), pytest.raises(UnknownOutcome):
            await mailer.send("anna", message, timeout=0.05)
    assert not memory.sessions[0].usable


async def test_a_session_that_ignores_its_deadline_is_cancelled_and_its_outcome_unknown(
    anna: Profile, message: Message, told_session: Any
) -> None:
    class Deaf(told_session):  # type: ignore[misc]
        async def deliver(self, envelope: object, content: object, *, deadline: float) -> Receipt:
            await asyncio.sleep(3600)
            raise AssertionError

    class Transport(MemoryTransport):
        async def open(self, profile: object, context: object) -> Any:
            self.told = Deaf()
            return self.told

    memory = Transport()
    async with AsyncMailer({"anna": anna}, transports=[memory_info(memory)]) as mailer:
        async with asyncio.timeout(10):
            with pytest.raises(UnknownOutcome) as caught:
                await mailer.send("anna", message, timeout=0.05)
        assert caught.value.problem.code == "UNCERTAIN"
        await asyncio.sleep(0.01)
        assert memory.told.closed == 1


async def test_a_server_that_does_not_greet_is_left_in_time(
    smtp_info: Any, found_at: Any, message: Message
) -> None:
    with SmtpServer(tls="plain", users=USERS) as server, server.hold("ehlo"):
        async with AsyncMailer({"anna": found_at(server, "anna")}, transports=[smtp_info()]) as mailer:
            async with asyncio.timeout(10):
                with pytest.raises(NotSent) as caught:
                    await mailer.send("anna", message, timeout=0.2)
    assert caught.value.receipt.outcome is Outcome.NOT_SENT


async def test_waiting_for_a_permit_counts(memory: MemoryTransport, anna: Profile, message: Message) -> None:
    narrow = anna.with_(limits=Limits(concurrency=1))
    async with AsyncMailer({"anna": narrow}, transports=[memory_info(memory)]) as mailer:
        with memory.hold():
            first = asyncio.create_task(mailer.send("anna", message))
            while not memory.waiting:  # noqa: ASYNC110 - it counts, it signals nothing
                await asyncio.sleep(0)
            async with asyncio.timeout(10):
                with pytest.raises(NotSent) as caught:
                    await mailer.send("anna", message, timeout=0.05)
        await first
    assert caught.value.problem.code == "LIMIT-WAIT"
    assert len(memory.sent) == 1


async def test_a_full_window_is_told_at_once_with_the_time_to_try_again(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    narrow = anna.with_(limits=Limits(rates=(Rate(2, 3600),)))
    async with AsyncMailer({"anna": narrow}, transports=[memory_info(memory)]) as mailer:
        for _ in range(2):
            await mailer.send("anna", message)
        async with asyncio.timeout(10):
            with pytest.raises(NotSent) as caught:
                await mailer.send("anna", message)
    assert caught.value.receipt.retry_at is not None
    assert len(memory.sent) == 2


async def test_a_send_that_opened_no_session_does_not_count(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    from recapito import Problem

    narrow = anna.with_(limits=Limits(rates=(Rate(1, 3600),)))
    memory.fail_open = NotSent(Problem("NET-LOST", Outcome.NOT_SENT))
    async with AsyncMailer({"anna": narrow}, transports=[memory_info(memory)]) as mailer:
        for _ in range(3):
            assert (await mailer.send("anna", message, check=False)).problem.code == "NET-LOST"  # type: ignore[union-attr]
        memory.fail_open = None
        await mailer.send("anna", message)


async def test_a_server_that_says_slow_down_is_obeyed_by_all_profiles_of_the_mailbox(
    memory: MemoryTransport, message: Message
) -> None:
    from datetime import UTC, datetime, timedelta

    from recapito import Problem
    from recapito.problem import Scope, Who

    later = datetime.now(UTC) + timedelta(hours=1)
    memory.fail_with = [
        NotSent(Problem("SLOW-DOWN", Outcome.NOT_SENT, Who.NOBODY, Scope.PROFILE, retry_at=later))
    ]
    shared = {
        name: Profile.of(name, sender="ufficio@example.it", transport="memory") for name in ("anna", "bruno")
    }
    async with AsyncMailer(shared, transports=[memory_info(memory)]) as mailer:
        assert (await mailer.send("anna", message, check=False)).retry_at == later
        receipt = await mailer.send("bruno", message, check=False)
    assert receipt.problem is not None
    assert receipt.problem.code == "LIMIT-WAIT"
    assert abs((receipt.retry_at or later) - later) < timedelta(seconds=5)
    assert memory.sent == []


async def test_cancelling_the_caller_cancels_the_send(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    async with AsyncMailer({"anna": anna}, transports=[memory_info(memory)]) as mailer:
        with memory.hold():
            sending = asyncio.create_task(mailer.send("anna", message))
            while not memory.waiting:  # noqa: ASYNC110 - it counts, it signals nothing
                await asyncio.sleep(0)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
        assert not memory.sessions[0].usable
        await mailer.send("anna", message)


def test_the_blocking_call_is_bounded_too(memory: MemoryTransport, anna: Profile, message: Message) -> None:
    made = Mailer({"anna": anna}, transports=[memory_info(memory)])
    with made as mailer, memory.hold(), pytest.raises(UnknownOutcome):
        mailer.send("anna", message, timeout=0.05)


def test_closing_is_bounded_while_a_send_hangs(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    from threading import Thread

    mailer = Mailer({"anna": anna}, transports=[memory_info(memory)])
    errors: list[BaseException] = []

    def send() -> None:
        try:
            mailer.send("anna", message)
        except BaseException as exc:
            errors.append(exc)

    with memory.hold():
        thread = Thread(target=send)
        thread.start()
        while not memory.waiting:
            pass
        mailer.close(timeout=0.2)
        thread.join(10)
        assert not thread.is_alive()
    assert len(errors) == 1


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "5", True, b"5"])
async def test_what_is_no_time_is_told_before_anything_is_done(
    timeout: Any, memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    info = memory_info(memory)
    async with AsyncMailer({"anna": anna}, transports=[info]) as mailer:
        with pytest.raises(Misconfigured) as caught:
            await mailer.send("anna", message, timeout=timeout)
        assert caught.value.problem.code == "TIMEOUT-INVALID"
        with pytest.raises(Misconfigured):
            _ = [step async for step in mailer.check("anna", timeout=timeout)]
    with Mailer({"anna": anna}, transports=[info]) as blocking:
        with pytest.raises(Misconfigured):
            blocking.send("anna", message, timeout=timeout)
        with pytest.raises(Misconfigured):
            list(blocking.check("anna", timeout=timeout))
    assert not memory.sent
    assert not memory.sessions


async def test_any_number_of_seconds_is_a_time(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    async with AsyncMailer({"anna": anna}, transports=[memory_info(memory)]) as mailer:
        assert (await mailer.send("anna", message, timeout=1e300)).accepted
        assert not (await mailer.send("anna", message, timeout=1e-9, check=False)).accepted
