"""Checks of capabilities: each one that is claimed is true, and what is not claimed is refused, never dropped."""

import asyncio
from datetime import UTC, datetime, timedelta

from recapito.envelope import Envelope, Notify
from recapito.outcome import Outcome
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
from recapito.transport import Probing, Sought

__all__ = ["ClaimChecks"]

#: More than a server must take (RFC 5321 §4.5.3.1.8: 100), so that a limit of the transport's own would show.
MANY = 120


class ClaimChecks:
    """One check for each field of :class:`recapito.transport.Capabilities`."""

    @scenario
    async def test_claimed_maximum_size_is_kept(self, bench: Bench) -> None:
        """A message of the maximum size goes; one byte more is refused before anything is sent."""
        limit = bench.claims.maximum_size
        if limit is None:
            return  # the server says: test_too_big_is_refused
        found = bench.found()
        over = await send_once(bench, found, *mail(bench, found, size=limit + 1))
        _refused(over, f"{limit + 1} bytes, one more than claimed")
        assert not bench.arrived()
        full = await send_once(bench, found, *mail(bench, found, size=limit))
        assert full.outcome is Outcome.ACCEPTED, f"{limit} bytes are claimed to go: {full.problem}"

    @scenario
    async def test_claimed_maximum_recipients_is_kept(self, bench: Bench) -> None:
        """So many recipients go in one ``deliver``, one more is refused; without a claim, 120 go."""
        limit = bench.claims.maximum_recipients
        found = bench.found()
        addresses = [f"persona{number}@example.com" for number in range((limit or MANY) + 1)]
        if limit is not None:
            over = await send_once(bench, found, *mail(bench, found, addresses))
            _refused(over, f"{limit + 1} recipients, one more than claimed")
            assert not bench.arrived()
        full = await send_once(bench, found, *mail(bench, found, addresses[:-1]))
        assert full.outcome is Outcome.ACCEPTED, f"{len(addresses) - 1} recipients: {full.problem}"
        assert full.receipt is not None
        assert not full.receipt.partial
        reached = [address for row in bench.arrived() for address in row.recipients]
        assert sorted(reached) == sorted(addresses[:-1]), "not everybody got it, or somebody twice"

    @scenario
    async def test_envelope_decides_only_where_claimed(self, bench: Bench) -> None:
        """A recipient of the headers that the envelope leaves out gets nothing; otherwise the message is refused."""
        found = bench.found()
        kept, left_out, *_ = bench.recipients
        _, content = mail(bench, found, (kept, left_out))
        settled = await send_once(bench, found, Envelope(found.profile.sender, (kept,)), content)
        if bench.claims.own_envelope:
            assert settled.outcome is Outcome.ACCEPTED, f"{settled.problem}"
            assert only_arrival(bench).recipients == (kept,)
        else:
            _refused(settled, "an envelope that differs from the headers")
            assert not bench.arrived()

    @scenario
    async def test_delivery_notices_are_asked_for_or_refused(self, bench: Bench) -> None:
        """``Envelope.notify`` is passed on where claimed and offered, and refused where it cannot be."""
        found = bench.found()
        wanted = frozenset({Notify.FAILURE, Notify.DELAY})
        envelope, content = mail(bench, found, notify=wanted)
        if bench.claims.delivery_notices:
            bench.offer_notices(True)
            settled = await send_once(bench, found, envelope, content)
            assert settled.outcome is Outcome.ACCEPTED, f"{settled.problem}"
            assert only_arrival(bench).notify == wanted, "the server was not asked for what was wanted"
            bench.offer_notices(False)
        before = len(bench.arrived())
        settled = await send_once(bench, found, envelope, content)
        _refused(settled, "a delivery notice that nobody will send")
        assert len(bench.arrived()) == before

    @scenario
    async def test_claimed_streaming_waits_for_the_server(self, bench: Bench) -> None:
        """While the far side does not read, the transport soon stops reading the content."""
        if not bench.claims.streams:
            return
        found = bench.found()
        size = min(bench.claims.maximum_size or 40_000_000, 40_000_000)
        envelope, content = mail(bench, found, size=size)
        async with opened(bench, found) as session:
            with bench.stall():
                sending = asyncio.ensure_future(attempt(session, envelope, content, seconds=20))
                await eventually(lambda: content.handed > 0 or sending.done(), "the content is read")
                handed = -1
                while content.handed != handed and not sending.done():
                    handed = content.handed
                    await asyncio.sleep(0.15)
                sending.cancel()
                await asyncio.wait([sending], timeout=5)
        read = content.handed
        assert read < size // 2, f"{read} of {size} bytes were read for a server that reads none"

    @scenario
    async def test_claimed_probing_finds_what_was_sent(self, bench: Bench) -> None:
        """``probe`` is true for a message that left, and false for one that did not; unclaimed there is none."""
        found = bench.found()
        transport = bench.info.factory()
        envelope, content = mail(bench, found, mark="probed")
        settled = await send_once(bench, found, envelope, content)
        assert settled.outcome is Outcome.ACCEPTED, f"{settled.problem}"
        if not bench.claims.probes:
            assert not isinstance(transport, Probing), "it answers to probe without claiming it"
            return
        assert isinstance(transport, Probing), "probing is claimed, and there is no probe"
        context = bench.context(found)
        since = datetime.now(UTC) - timedelta(minutes=1)
        sent = await transport.probe(
            found.profile, context, Sought(message_id=content.message_id, sent_after=since)
        )
        never = await transport.probe(
            found.profile, context, Sought(message_id="<never-sent@example.it>", sent_after=since)
        )
        assert sent.found, "what was sent is not found"
        assert not never.found, "what was never sent is found"

    @scenario
    async def test_claimed_sent_copy_is_kept(self, bench: Bench) -> None:
        """Where the provider is said to file a copy, there is one more after a send."""
        if not bench.claims.keeps_sent_copy:
            return
        found = bench.found()
        before = bench.sent_copies()
        settled = await send_once(bench, found, *mail(bench, found))
        assert settled.outcome is Outcome.ACCEPTED, f"{settled.problem}"
        assert bench.sent_copies() == before + 1, "a copy in the Sent folder is claimed"


def _refused(settled: Settled, what: str) -> None:
    assert settled.outcome is Outcome.REFUSED, f"{what} must be refused, not {settled.outcome}"
    assert settled.problem is not None, f"{what} is refused without a problem"
