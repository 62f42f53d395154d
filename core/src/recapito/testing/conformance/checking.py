"""Checks of ``check()``, of what is registered, and of a session's end."""

import asyncio

from pydantic import BaseModel

from recapito.outcome import Outcome
from recapito.profile import Found
from recapito.testing.bench import Bench
from recapito.testing.conformance.attempt import PATIENCE, attempt, mail, only_arrival, opened, scenario
from recapito.transport import STEPS, CheckStep

__all__ = ["CheckingChecks"]


class CheckingChecks:
    """A check tells the truth step by step; a registration can be used; a closed session is closed."""

    @scenario
    async def test_check_passes_without_sending(self, bench: Bench) -> None:
        """Good settings pass, steps are named in order, and without an address nothing is sent."""
        steps = await _steps(bench, bench.found())
        for step in steps:
            assert step.problem is None, f"{step.name}: {step.problem}"
        _in_order(steps)
        assert not bench.arrived(), "a check without send_to sent something"
        assert all(step.skipped for step in steps if step.name == "message"), "the last step is skipped aloud"

    @scenario
    async def test_check_sends_where_asked(self, bench: Bench) -> None:
        """With an address the last step is a message that arrives there, and nowhere else."""
        steps = await _steps(bench, bench.found(), bench.recipients[0])
        _in_order(steps)
        for step in steps:
            assert step.problem is None, f"{step.name}: {step.problem}"
        assert steps[-1].name == "message", "with send_to the last step is the message"
        assert not steps[-1].skipped
        assert only_arrival(bench).recipients == (bench.recipients[0],)

    @scenario
    async def test_check_ends_at_the_first_problem(self, bench: Bench) -> None:
        """Secrets that are not accepted end it at the sign-in, held."""
        found = bench.wrong_secrets(bench.found())
        steps = await _steps(bench, found, bench.recipients[0])
        _in_order(steps)
        problems = [step for step in steps if step.problem is not None]
        assert problems, "a check with wrong secrets passed"
        assert problems == [steps[-1]], "a check ends at its first problem"
        assert steps[-1].name == "sign-in"
        assert steps[-1].problem is not None
        assert steps[-1].problem.outcome is Outcome.HELD
        assert not bench.arrived()

    @scenario
    async def test_closed_session_stays_closed(self, bench: Bench) -> None:
        """Closing twice is quiet and quick, and what comes after is not sent."""
        found = bench.found()
        async with opened(bench, found) as session:
            assert session.usable
            until = session.usable_until
            assert until is None or until.tzinfo is not None, "usable_until has a time zone"
            async with asyncio.timeout(PATIENCE):
                await session.close()
                await session.close()
            assert not session.usable, "a closed session is not usable"
            settled = await attempt(session, *mail(bench, found))
            assert settled.outcome is Outcome.NOT_SENT, f"{settled.outcome}: {settled.problem}"
        assert not bench.arrived()

    def test_registration_can_be_used(self, bench: Bench) -> None:
        """What ``TransportInfo`` says is of the right kind, and secrets are not among the settings."""
        info, found = bench.info, bench.found()
        assert info.name.isidentifier(), "a transport's name is an identifier"
        assert info.title
        assert issubclass(info.settings, BaseModel)
        wrong = set(found.profile.settings) - set(info.settings.model_fields)
        assert not wrong, f"the bench's profile has settings that the model does not know: {sorted(wrong)}"
        from recapito.settings import secret_fields

        secret = set(secret_fields(info.settings))
        assert set(found.secrets) <= secret, "each secret is a SecretStr field of the settings model"
        assert not secret & set(found.profile.settings), "a profile never holds a secret"
        small, large = info.hard_timeout(0), info.hard_timeout(30_000_000)
        assert 0 < small <= large, "hard_timeout grows with the size"
        assert info.mailbox(found.profile), "limits hang on a mailbox key"
        assert isinstance(info.host(found.profile), str)
        transport = info.factory()
        assert callable(transport.open)
        assert callable(transport.check)


async def _steps(bench: Bench, found: Found, send_to: str | None = None) -> list[CheckStep]:
    check = bench.info.factory().check(found.profile, bench.context(found), send_to)
    async with asyncio.timeout(PATIENCE * 2):
        return [step async for step in check]


def _in_order(steps: list[CheckStep]) -> None:
    assert steps, "a check has at least one step"
    names = [step.name for step in steps]
    assert all(name in STEPS for name in names), f"steps are named from {STEPS}: {names}"
    assert len(set(names)) == len(names), f"a step came twice: {names}"
    # Encryption may come before the answer (465) or after it (587); everything else has its place.
    places = [STEPS.index("answer") if name == "encryption" else STEPS.index(name) for name in names]
    assert places == sorted(places), f"steps come in the order in which they happen: {names}"
    assert all(step.seconds >= 0 for step in steps)
