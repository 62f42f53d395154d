"""Checks of what goes wrong: each failure has one of the five outcomes, and the right one."""

import asyncio
from datetime import UTC, datetime

from recapito.errors import DeliveryError
from recapito.outcome import Outcome
from recapito.problem import Scope
from recapito.testing.bench import Bench
from recapito.testing.conformance.attempt import (
    Settled,
    attempt,
    eventually,
    mail,
    only_arrival,
    opened,
    scenario,
    send_once,
)

__all__ = ["FailingChecks"]


class FailingChecks:
    """Refused, not sent, held and unknown are told apart."""

    @scenario
    async def test_refused_sender_is_told(self, bench: Bench) -> None:
        """A sender that the server refuses is refused or held, never retried, and nothing arrives."""
        found = bench.found()
        bench.refuse_sender()
        settled = await send_once(bench, found, *mail(bench, found))
        assert settled.outcome in (Outcome.REFUSED, Outcome.HELD), f"{settled.problem}"
        _explained(settled)
        assert not bench.arrived()

    @scenario
    async def test_refused_recipient_does_not_stop_the_others(self, bench: Bench) -> None:
        """The receipt has an outcome for each recipient, and the others get the message."""
        found = bench.found()
        good, bad, *_ = bench.recipients
        bench.refuse_recipient(bad)
        settled = await send_once(bench, found, *mail(bench, found, (good, bad)))
        assert settled.receipt is not None, (
            f"a receipt comes back as soon as recipients differ: {settled.error!r}"
        )
        outcomes = {row.address: row.outcome for row in settled.receipt.recipients}
        assert outcomes == {good: Outcome.ACCEPTED, bad: Outcome.REFUSED}
        assert settled.receipt.partial
        refused = next(row for row in settled.receipt.recipients if row.address == bad)
        assert refused.problem is not None, "a refused recipient has a problem"
        assert only_arrival(bench).recipients == (good,)

    @scenario
    async def test_no_recipient_left_is_refused(self, bench: Bench) -> None:
        """Where every recipient is refused the error is raised, and the session goes on."""
        found = bench.found()
        good, bad, *_ = bench.recipients
        bench.refuse_recipient(bad)
        async with opened(bench, found) as session:
            settled = await attempt(session, *mail(bench, found, (bad,)))
            assert settled.outcome is Outcome.REFUSED, f"{settled.problem}"
            assert isinstance(settled.error, DeliveryError), "one outcome for all is raised, not returned"
            _explained(settled)
            if session.usable:
                after = await attempt(session, *mail(bench, found, (good,), mark="after"))
                assert after.outcome is Outcome.ACCEPTED, f"the next message paid for it: {after.problem}"
        assert all(bad not in row.recipients for row in bench.arrived())

    @scenario
    async def test_too_big_is_refused(self, bench: Bench) -> None:
        """What is over the server's limit is refused for good, and nothing arrives."""
        found = bench.found()
        bench.limit_size(50_000)
        settled = await send_once(bench, found, *mail(bench, found, size=100_000))
        assert settled.outcome is Outcome.REFUSED, f"{settled.problem}"
        _explained(settled)
        assert not bench.arrived()

    @scenario
    async def test_temporary_answer_is_not_sent(self, bench: Bench) -> None:
        """A server that cannot take it for now leaves it safe to try again."""
        found = bench.found()
        bench.answer_temporarily()
        settled = await send_once(bench, found, *mail(bench, found))
        assert settled.outcome is Outcome.NOT_SENT, f"{settled.problem}"
        _explained(settled)
        assert not bench.arrived()

    @scenario
    async def test_lost_sign_in_is_held(self, bench: Bench) -> None:
        """Secrets that are no longer accepted hold the profile until a person acts."""
        found = bench.found()
        bench.lose_sign_in()
        settled = await send_once(bench, found, *mail(bench, found))
        assert settled.outcome is Outcome.HELD, f"{settled.problem}"
        _explained(settled)
        assert settled.problem is not None
        assert settled.problem.pauses, "a lost sign-in is the profile's problem, not one message's"
        assert not bench.arrived()

    @scenario
    async def test_throttled_says_when_to_try_again(self, bench: Bench) -> None:
        """A server that says "slow down" leaves the message not sent, with a time."""
        found = bench.found()
        bench.throttle()
        settled = await send_once(bench, found, *mail(bench, found))
        assert settled.outcome is Outcome.NOT_SENT, f"{settled.problem}"
        assert settled.problem is not None
        assert settled.problem.retry_at is not None, "being throttled comes with retry_at"
        assert settled.problem.retry_at > datetime.now(UTC)
        assert settled.problem.scope is not Scope.MESSAGE, "the whole mailbox sends too fast, not one message"
        assert not bench.arrived()

    @scenario
    async def test_line_lost_before_the_content_is_not_sent(self, bench: Bench) -> None:
        """Nothing can have left: safe to try again, on another session."""
        found = bench.found()
        bench.lose_before_content()
        settled = await send_once(bench, found, *mail(bench, found))
        assert settled.outcome is Outcome.NOT_SENT, f"{settled.problem}"
        _spent(settled)
        assert not bench.arrived()

    @scenario
    async def test_line_lost_after_the_content_is_unknown(self, bench: Bench) -> None:
        """The content was taken whole and nobody answered: it may have left, so nobody may repeat it."""
        found = bench.found()
        bench.lose_after_content()
        settled = await send_once(bench, found, *mail(bench, found))
        assert settled.outcome is Outcome.UNKNOWN, f"{settled.problem}"
        _spent(settled)

    @scenario
    async def test_cancelled_send_spends_its_session(self, bench: Bench) -> None:
        """Cancelled after the content: not called unsent, and no later message reads the answer to this one."""
        found = bench.found()
        async with opened(bench, found) as session:
            with bench.hold():
                sending = asyncio.ensure_future(attempt(session, *mail(bench, found, mark="cancelled")))
                await eventually(lambda: bench.held() == 1, "the far side has the whole content")
                sending.cancel()
                done, _ = await asyncio.wait([sending], timeout=5)
                assert done, "a cancelled send must end"
            assert not sending.cancelled(), "a cancelled send says what became of it (UnknownOutcome)"
            outcome = sending.result().outcome
            assert outcome is Outcome.UNKNOWN, "the content had left when it was cancelled"
            assert not session.usable, "a cancelled send leaves its session in doubt: it must be spent"
            after = await attempt(session, *mail(bench, found, mark="doubtful"))
            assert after.outcome is Outcome.NOT_SENT
        settled = await send_once(bench, found, *mail(bench, found, mark="after"))
        assert settled.outcome is Outcome.ACCEPTED, f"{settled.problem}"
        assert any(b"after@" in row.content for row in bench.arrived())
        assert not any(b"doubtful@" in row.content for row in bench.arrived())

    @scenario
    async def test_cancelled_before_the_content_is_not_sent(self, bench: Bench) -> None:
        """Cancelled while nobody answers, before any content: safe to try again, on another session."""
        found = bench.found()
        async with opened(bench, found) as session:
            bench.let_idle(session)
            bench.drop_idle("silence")
            sending = asyncio.ensure_future(attempt(session, *mail(bench, found)))
            await asyncio.sleep(0.1)  # long enough to begin; it may wait for an answer by now, or not yet
            sending.cancel()
            done, _ = await asyncio.wait([sending], timeout=5)
            assert done, "a cancelled send must end"
            assert not sending.cancelled(), "a cancelled send says what became of it (NotSent)"
            assert sending.result().outcome is Outcome.NOT_SENT, f"{sending.result().problem}"
            assert not session.usable, "a cancelled send leaves its session in doubt: it must be spent"
        assert not bench.arrived()

    @scenario
    async def test_cancelled_on_a_used_session_is_not_sent(self, bench: Bench) -> None:
        """Its line is not taken for one that died idle: whoever cancels it does not want it on another line."""
        found = bench.found()
        async with opened(bench, found) as session:
            warm = await attempt(session, *mail(bench, found, mark="warm"))
            assert warm.outcome is Outcome.ACCEPTED, f"{warm.problem}"
            bench.let_idle(session)
            bench.drop_idle("silence")
            sending = asyncio.ensure_future(attempt(session, *mail(bench, found, mark="cancelled")))
            await asyncio.sleep(0.1)  # long enough to begin; it may wait for an answer by now, or not yet
            sending.cancel()
            done, _ = await asyncio.wait([sending], timeout=5)
            assert done, "a cancelled send must end"
            assert not sending.cancelled(), "a cancelled send says what became of it (NotSent)"
            assert sending.result().outcome is Outcome.NOT_SENT, f"{sending.result().problem}"
            assert not session.usable, "a cancelled send leaves its session in doubt: it must be spent"
        assert not any(b"cancelled@" in row.content for row in bench.arrived()), (
            "it was sent after its caller left"
        )

    @scenario
    async def test_deadline_ends_a_send(self, bench: Bench) -> None:
        """A server that takes the content and never answers leaves it unknown, at the deadline."""
        found = bench.found()
        async with opened(bench, found) as session:
            with bench.hold():
                sending = asyncio.ensure_future(attempt(session, *mail(bench, found), seconds=1.0))
                await eventually(lambda: bench.held() == 1, "the far side has the whole content")
                done, _ = await asyncio.wait([sending], timeout=3)
                sending.cancel()
            assert done, "the deadline passed, and the send went on"
            assert sending.result().outcome is Outcome.UNKNOWN, f"{sending.result().problem}"
            _spent(sending.result())


def _explained(settled: Settled) -> None:
    assert settled.problem is not None, "whatever is not accepted has a problem"
    assert settled.problem.outcome is settled.outcome, "the problem has another outcome than the error"


def _spent(settled: Settled) -> None:
    _explained(settled)
    assert settled.session is None or not settled.session.usable, "a lost line must not carry another message"
