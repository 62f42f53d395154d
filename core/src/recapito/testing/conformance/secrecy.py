"""The check that no secret shows, while everything goes right and everything goes wrong."""

from collections.abc import Callable
from contextlib import suppress

from recapito.errors import RecapitoError
from recapito.profile import Found
from recapito.testing.bench import Bench, UnsupportedByBench
from recapito.testing.conformance.attempt import attempt, mail, opened, scenario
from recapito.testing.leaks import Leaks

__all__ = ["SecrecyChecks"]


class SecrecyChecks:
    """Logs at DEBUG, reprs, and tracebacks with locals."""

    @scenario
    async def test_nothing_secret_is_shown(self, bench: Bench) -> None:
        """No secret of the profile, in any encoding, through success and every failure that the bench can make."""
        found = bench.found()
        wrong = bench.wrong_secrets(found)
        for each in (found, wrong):
            for name, secret in each.secrets.items():
                assert len(secret.reveal()) >= 8, (
                    f"{name} is too short to be searched for: give it 8 characters"
                )
        leaks = Leaks()
        with leaks.listening():
            for what, arrange in _troubles(bench):
                bench.behave()
                try:
                    arrange()
                except UnsupportedByBench:
                    continue  # the check of that failure itself must declare it
                await _try(bench, found, leaks, what)
            bench.behave()
            await _try(bench, wrong, leaks, "wrong secrets")
        assert leaks.shown, "nothing was looked at"
        shown = leaks.found([*found.secrets.items(), *wrong.secrets.items()])
        assert not shown, "secrets show:\n" + "\n".join(shown[:20])


def _troubles(bench: Bench) -> tuple[tuple[str, Callable[[], None]], ...]:
    return (
        ("a send", lambda: None),
        ("a refused sender", bench.refuse_sender),
        ("a refused recipient", lambda: bench.refuse_recipient(bench.recipients[0])),
        ("a temporary answer", bench.answer_temporarily),
        ("a lost sign-in", bench.lose_sign_in),
        ("a throttled send", bench.throttle),
        ("a line lost before the content", bench.lose_before_content),
        ("a line lost after the content", bench.lose_after_content),
    )


async def _try(bench: Bench, found: Found, leaks: Leaks, what: str) -> None:
    context = bench.context(found)
    transport = bench.info.factory()
    try:
        async with opened(bench, found) as session:
            settled = await attempt(session, *mail(bench, found))
            leaks.look_at(f"the session of {what}", session)
            leaks.look_at(f"what became of {what}", settled)
            if settled.error is not None:
                leaks.look_at_error(what, settled.error)
    except RecapitoError as exc:
        leaks.look_at_error(what, exc)
    with suppress(RecapitoError):
        async for step in transport.check(found.profile, context):
            leaks.look_at(f"a step of the check of {what}", step)
    leaks.look_at("the transport", transport)
    leaks.look_at("the profile", found.profile)
