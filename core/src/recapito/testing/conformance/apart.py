"""Checks that sends do not touch each other: two operators, and many sends on one session."""

import asyncio

from recapito.outcome import Outcome
from recapito.testing.bench import Bench
from recapito.testing.conformance.attempt import Settled, attempt, mail, opened, scenario

__all__ = ["ApartChecks"]


class ApartChecks:
    """Each message goes with its own sign-in, and is settled alone."""

    @scenario
    async def test_two_operators_never_mix(self, bench: Bench) -> None:
        """Sends of two operators through one transport object, at once and in turns, go each by their own sign-in."""
        operators = [bench.found(1), bench.found(2)]
        accounts = [bench.account(found) for found in operators]
        assert accounts[0] != accounts[1], "the bench must give two operators two accounts"
        transport = bench.info.factory()
        sessions = [await transport.open(found.profile, bench.context(found)) for found in operators]
        for turn in range(2):
            settled = await asyncio.gather(
                *(
                    attempt(session, *mail(bench, found, mark=f"operator-{number}-{turn}"))
                    for number, (session, found) in enumerate(zip(sessions, operators, strict=True))
                )
            )
            assert [each.outcome for each in settled] == [Outcome.ACCEPTED] * 2
        for session in sessions:
            await session.close()
        arrived = bench.arrived()
        assert len(arrived) == 4
        for row in arrived:
            number = next(number for number in (0, 1) if f"operator-{number}-".encode() in row.content)
            assert row.account == accounts[number], "a message left by another operator's sign-in"
            assert row.sender == operators[number].profile.sender

    @scenario
    async def test_each_send_is_settled_alone(self, bench: Bench) -> None:
        """As many sends at once as ``depth`` allows (three in turn where it is 1), one of them refused."""
        found = bench.found()
        good, bad, *_ = bench.recipients
        bench.refuse_recipient(bad)
        async with opened(bench, found) as session:
            depth = session.depth
            assert depth >= 1, "a session carries at least one message at a time"
            count = max(3, depth)
            settled: list[Settled] = []
            for start in range(0, count, depth):
                numbers = range(start, min(count, start + depth))
                sends = (
                    attempt(
                        session, *mail(bench, found, (bad if number == 1 else good,), mark=f"many-{number}")
                    )
                    for number in numbers
                )
                settled += await asyncio.gather(*sends)
        expected = [Outcome.REFUSED if number == 1 else Outcome.ACCEPTED for number in range(count)]
        assert [each.outcome for each in settled] == expected, "one send's outcome became another's"
        arrived = b"".join(row.content for row in bench.arrived())
        there = [f"many-{number}@".encode() in arrived for number in range(count)]
        assert there == [outcome is Outcome.ACCEPTED for outcome in expected]
        replies = [each.receipt.provider_id for each in settled if each.receipt and each.receipt.provider_id]
        assert len(set(replies)) == len(replies), "two messages got one id"
