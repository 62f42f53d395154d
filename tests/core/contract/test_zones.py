"""A moment without a time zone is refused where it is made: compared later, it would fail after a send."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from recapito import Outcome, Problem, Secret
from recapito.signin import Grant, Step, Token

MAKERS: dict[str, Callable[[datetime], object]] = {
    "token": lambda moment: Token(Secret("t"), moment),
    "grant": lambda moment: Grant(account="", scopes=frozenset(), secret=Secret(""), idle_until=moment),
    "step": lambda moment: Step(expires_at=moment),
    "problem": lambda moment: Problem("SLOW-DOWN", Outcome.NOT_SENT, retry_at=moment),
}


@pytest.mark.parametrize("maker", list(MAKERS))
def test_a_moment_needs_a_time_zone(maker: str) -> None:
    make = MAKERS[maker]
    assert make(datetime(2026, 11, 24, tzinfo=UTC))
    with pytest.raises(ValueError, match="needs a time zone"):
        make(datetime(2026, 11, 24))
