"""Checks of what goes well: the right bytes, for the right recipients, once."""

from recapito.outcome import Outcome
from recapito.testing.bench import Bench
from recapito.testing.conformance.attempt import attempt, mail, only_arrival, opened, scenario, send_once

__all__ = ["SendingChecks"]


class SendingChecks:
    """What is accepted arrives as it was, and is told as it was."""

    @scenario
    async def test_accepted_message_arrives_as_it_is(self, bench: Bench) -> None:
        """Every byte arrives, for every recipient, and the receipt says accepted in the server's own words."""
        found = bench.found()
        envelope, content = mail(bench, found, bench.recipients)
        settled = await send_once(bench, found, envelope, content)
        assert settled.outcome is Outcome.ACCEPTED, f"{settled.problem}"
        assert settled.receipt is not None
        assert not settled.receipt.partial
        assert settled.receipt.problem is None
        assert settled.receipt.server_reply or settled.receipt.provider_id, (
            "nothing shows that a server said so"
        )
        arrived = only_arrival(bench)
        assert bench.same(await content.whole(), arrived.content), "what arrived is not what was sent"
        assert set(arrived.recipients) == set(envelope.recipients)
        assert arrived.sender == envelope.sender

    @scenario
    async def test_one_session_carries_many_messages(self, bench: Bench) -> None:
        """Each of three messages on one session gets its own receipt, and arrives."""
        found = bench.found()
        async with opened(bench, found) as session:
            for number in range(3):
                settled = await attempt(session, *mail(bench, found, mark=f"turn-{number}"))
                assert settled.outcome is Outcome.ACCEPTED, f"{settled.problem}"
                assert session.usable, "a session was spent by a message that was accepted"
        arrived = [row.content for row in bench.arrived()]
        assert [f"turn-{number}".encode() in content for number, content in enumerate(arrived)] == [True] * 3

    @scenario
    async def test_bcc_is_not_in_the_content(self, bench: Bench) -> None:
        """A recipient that only the envelope names gets the message, and nobody can read of them."""
        found = bench.found()
        envelope, content = mail(bench, found, bench.recipients[:1])
        hidden = bench.recipients[1]
        envelope = type(envelope)(envelope.sender, (*envelope.recipients, hidden))
        settled = await send_once(bench, found, envelope, content)
        assert settled.outcome is Outcome.ACCEPTED, f"{settled.problem}"
        reached = {address for row in bench.arrived() for address in row.recipients}
        assert hidden in reached, "a Bcc recipient got nothing"
        for row in bench.arrived():
            head = row.content.lower().partition(b"\r\n\r\n")[0]
            assert b"\nbcc:" not in b"\n" + head, "the content has a Bcc field"
            assert hidden.lower().encode() not in row.content.lower(), "the content names a Bcc recipient"

    @scenario
    async def test_retried_content_is_identical(self, bench: Bench) -> None:
        """After a temporary refusal the same content goes again from its first byte."""
        found = bench.found()
        envelope, content = mail(bench, found, size=200_000)
        bench.answer_temporarily()
        first = await send_once(bench, found, envelope, content)
        assert first.outcome is Outcome.NOT_SENT, f"{first.problem}"
        bench.behave()
        second = await send_once(bench, found, envelope, content)
        assert second.outcome is Outcome.ACCEPTED, f"{second.problem}"
        assert bench.same(await content.whole(), only_arrival(bench).content), "the retry sent other bytes"

    @scenario
    async def test_changed_file_is_not_sent(self, bench: Bench) -> None:
        """Content that breaks off never arrives cut short, and its session carries nothing more."""
        found = bench.found()
        envelope, content = mail(bench, found, size=200_000, changes_after=100_000)
        async with opened(bench, found) as session:
            settled = await attempt(session, envelope, content)
            assert settled.outcome is Outcome.NOT_SENT
            assert settled.problem is not None
            assert settled.problem.code == "MSG-CHANGED"
            after = await attempt(session, *mail(bench, found, mark="after"))
            expected = Outcome.ACCEPTED if session.usable else Outcome.NOT_SENT
            assert after.outcome is expected, "a session that broke off must end, or be as good as new"
        for row in bench.arrived():
            assert b"after@" in row.content, "a message that broke off was completed"
