"""Checks of idle lines: what the far side did to them meanwhile never makes a message unknown."""

from recapito.outcome import Outcome
from recapito.testing.bench import Bench
from recapito.testing.conformance.attempt import attempt, mail, opened, scenario, send_once
from recapito.testing.stored import Ending

__all__ = ["IdleChecks"]


class IdleChecks:
    """Closed, reset, or silently dropped while nobody was sending."""

    @scenario
    async def test_idle_line_closed_is_not_unknown(self, bench: Bench) -> None:
        """The server closed the line in order."""
        await _survives(bench, "close")

    @scenario
    async def test_idle_line_reset_is_not_unknown(self, bench: Bench) -> None:
        """The line was reset."""
        await _survives(bench, "reset")

    @scenario
    async def test_idle_line_silently_dropped_is_not_unknown(self, bench: Bench) -> None:
        """Nobody answers any more, as behind a firewall that forgot the connection."""
        await _survives(bench, "silence")


async def _survives(bench: Bench, ending: Ending) -> None:
    """Accepted unseen, or not sent and the session spent: then the next session sends it."""
    found = bench.found()
    envelope, content = mail(bench, found, mark="idle")
    async with opened(bench, found) as session:
        warm = await attempt(session, *mail(bench, found, mark="warm"))
        assert warm.outcome is Outcome.ACCEPTED, f"{warm.problem}"
        bench.let_idle(session)
        bench.drop_idle(ending)
        settled = await attempt(session, envelope, content, seconds=0.5)
        if settled.outcome is not Outcome.ACCEPTED:
            assert settled.outcome is Outcome.NOT_SENT, f"{settled.outcome}: {settled.problem}"
            assert not session.usable, "a session that was found dead must say so, to be replaced"
            assert settled.problem is not None
            assert settled.problem.reply is None, "nobody answered: a reply would stop it from being replaced"
    if settled.outcome is Outcome.NOT_SENT:
        again = await send_once(bench, found, envelope, content)
        assert again.outcome is Outcome.ACCEPTED, f"{again.problem}"
    idle = [row for row in bench.arrived() if b"idle@" in row.content]
    assert len(idle) == 1, f"it arrived {len(idle)} times"
