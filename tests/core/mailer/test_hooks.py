"""Hooks run where the contract says, once each, and change no outcome by failing."""

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

import pytest

from recapito import AsyncMailer, Mailer, Message, Outcome, Problem, Profile, Receipt, Refused, hookimpl
from recapito.errors import NotSent
from recapito.problem import Scope, Who
from recapito.testing import MemoryTransport, memory_info

request: ContextVar[str] = ContextVar("request", default="none")


class Host:
    """Notes each call, its thread and the context variable."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, threading.Thread, str]] = []
        self.receipts: list[Receipt] = []
        self.problems: list[Problem] = []

    def note(self, name: str) -> None:
        self.calls.append((name, threading.current_thread(), request.get()))

    @hookimpl
    def recapito_prepare_message(self, profile: Profile, message: Any) -> Any:
        self.note("prepare")
        if isinstance(message, Message) and message.subject == "no":
            raise Refused("the order number is missing")
        return message.with_(text=f"{message.text}\n-- \n{profile.sender}") if message.subject else None

    @hookimpl
    def recapito_record_receipt(self, receipt: Receipt) -> None:
        self.note("receipt")
        self.receipts.append(receipt)

    @hookimpl
    def recapito_request_attention(self, problem: Problem) -> None:
        self.note("attention")
        self.problems.append(problem)


@pytest.fixture
def host() -> Host:
    return Host()


def test_with_mailer_they_run_in_the_callers_thread(
    host: Host, memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    request.set("request 7")
    with Mailer({"anna": anna}, hooks=[host], transports=[memory_info(memory)]) as mailer:
        mailer.send("anna", message)
        worker = threading.Thread(target=mailer.send, args=("anna", message))
        worker.start()
        worker.join()
    mine = threading.current_thread()
    assert host.calls[:2] == [("prepare", mine, "request 7"), ("receipt", mine, "request 7")]
    assert [call[1] for call in host.calls[2:]] == [worker, worker]


def test_work_on_the_loop_sees_the_callers_context(anna: Profile, message: Message) -> None:
    seen: list[str] = []

    class Transport(MemoryTransport):
        async def open(self, profile: Any, context: Any) -> Any:
            seen.append(request.get())
            seen.append(await context.in_thread(request.get))
            return await super().open(profile, context)

    request.set("request 8")
    with Mailer({"anna": anna}, transports=[memory_info(Transport())]) as mailer:
        mailer.send("anna", message)
    assert seen == ["request 8", "request 8"]


@pytest.mark.anyio
async def test_with_async_mailer_they_run_in_one_worker_that_sees_the_context(
    host: Host, memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    async def send(number: int) -> None:
        request.set(f"request {number}")
        await mailer.send("anna", message)

    async with AsyncMailer({"anna": anna}, hooks=[host], transports=[memory_info(memory)]) as mailer:
        await asyncio.gather(*(send(number) for number in range(5)))
    threads = {call[1] for call in host.calls}
    assert len(threads) == 1
    assert threads.isdisjoint({threading.current_thread()})
    assert sorted(call[2] for call in host.calls) == sorted(
        f"request {n}" for n in range(5) for _ in range(2)
    )


def test_a_message_is_sent_as_the_hooks_left_it(
    host: Host, memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    with Mailer({"anna": anna}, hooks=[host], transports=[memory_info(memory)]) as mailer:
        mailer.send("anna", message)
    assert b"-- \r\nanna@example.it" in memory.sent[0].content


def test_a_hooks_refusal_is_the_outcome_and_is_recorded(
    host: Host, memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    made = Mailer({"anna": anna}, hooks=[host], transports=[memory_info(memory)])
    with made as mailer, pytest.raises(Refused) as caught:
        mailer.send("anna", message.with_(subject="no"))
    assert "the order number is missing" in str(caught.value)
    assert [row.address for row in caught.value.receipt.recipients] == ["cliente@example.com"]
    assert host.receipts == [caught.value.receipt]
    assert memory.sessions == []


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.NOT_SENT, Outcome.UNKNOWN])
def test_every_attempt_is_recorded_whatever_became_of_it(
    outcome: Outcome, host: Host, memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    from recapito.errors import delivery_error

    memory.fail_with = delivery_error(Problem("NET-LOST", outcome))
    with Mailer({"anna": anna}, hooks=[host], transports=[memory_info(memory)]) as mailer:
        mailer.send("anna", message, check=False)
    assert [receipt.outcome for receipt in host.receipts] == [outcome]


def test_a_hook_that_raises_changes_no_outcome(
    memory: MemoryTransport, anna: Profile, message: Message, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        @hookimpl
        def recapito_prepare_message(self) -> None:
            raise SystemExit(3)

        @hookimpl
        def recapito_record_receipt(self) -> None:
            raise RuntimeError("disk full")

    with Mailer({"anna": anna}, hooks=[Broken()], transports=[memory_info(memory)]) as mailer:
        assert mailer.send("anna", message).outcome is Outcome.ACCEPTED
    assert "Broken" in caplog.text
    assert "disk full" in caplog.text


def test_attention_is_asked_once_for_a_problem(
    host: Host, memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    from recapito.errors import Held

    memory.fail_with = Held(Problem("AUTH-FAILED", Outcome.HELD, Who.OPERATOR, Scope.PROFILE))
    with Mailer({"anna": anna}, hooks=[host], transports=[memory_info(memory)]) as mailer:
        for _ in range(3):
            mailer.send("anna", message, check=False)
    assert [problem.code for problem in host.problems] == ["AUTH-FAILED"]


def test_a_hook_may_send_through_the_same_mailer(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    class Copy:
        @hookimpl
        def recapito_record_receipt(self, receipt: Receipt) -> None:
            if receipt.reference != "copy":
                mailer.send("anna", message, reference="copy")

    with Mailer({"anna": anna}, hooks=[Copy()], transports=[memory_info(memory)]) as mailer:
        mailer.send("anna", message)
    assert len(memory.sent) == 2


def test_ctrl_c_in_a_hook_ends_the_send_and_not_the_mailer(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    class Impatient:
        armed = True

        @hookimpl
        def recapito_prepare_message(self) -> None:
            if self.armed:
                self.armed = False
                raise KeyboardInterrupt

    with Mailer({"anna": anna}, hooks=[Impatient()], transports=[memory_info(memory)]) as mailer:
        with pytest.raises(KeyboardInterrupt):
            mailer.send("anna", message)
        mailer.send("anna", message)
    assert len(memory.sent) == 1


def test_a_hook_that_outlives_the_timeout_does_not_hold_the_call(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    release = threading.Event()

    class Slow:
        @hookimpl
        def recapito_prepare_message(self) -> None:
            release.wait(20)

    async def main() -> None:
        async with AsyncMailer({"anna": anna}, hooks=[Slow()], transports=[memory_info(memory)]) as mailer:
            try:
                async with asyncio.timeout(10):
                    with pytest.raises(NotSent) as caught:
                        await mailer.send("anna", message, timeout=0.05)
            finally:
                release.set()
            assert caught.value.problem.code == "SEND-TIMEOUT"

    asyncio.run(main())
    assert memory.sent == []
