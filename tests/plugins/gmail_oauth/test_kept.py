"""What a grant of Google's keeps, and when a dead one died of its app's testing."""

from datetime import UTC, datetime, timedelta

import pytest

from recapito.secret import Secret
from recapito_gmail_oauth.kept import Kept

BORN = datetime(2026, 11, 2, 9, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def kept(used: timedelta) -> Kept:
    return Kept(Secret("1//refresh"), BORN, BORN + used)


def test_it_comes_back_as_it_was() -> None:
    assert Kept.of(kept(DAY).secret) == kept(DAY)


def test_a_rotated_token_takes_the_place_of_the_old_one() -> None:
    later = BORN + DAY
    assert kept(DAY).renewed(later, Secret("1//next")) == Kept(Secret("1//next"), BORN, later)
    assert kept(DAY).renewed(later, None).refresh_token == Secret("1//refresh")


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "x",
        "[]",
        "{}",
        '{"refresh_token": "1//r"}',
        '{"refresh_token": "1//r", "since": 1e400, "used": 0}',
    ],
)
def test_what_is_not_a_grant_is_none(broken: str) -> None:
    assert Kept.of(Secret(broken)) is None


@pytest.mark.parametrize(
    ("used", "dead", "testing"),
    [
        # A sender of every hour, and one who is renewed once a day: the seven days ended in between.
        (7 * DAY - HOUR / 2, 7 * DAY + HOUR / 2, True),
        (6.5 * DAY, 7 * DAY + 1 * HOUR, True),
        (6 * DAY, 7.9 * DAY, True),
        # It died young: revoked, or the password was changed.
        (2 * DAY, 3 * DAY, False),
        (6 * DAY, 6.5 * DAY, False),
        # It lived longer once: the app is no test app.
        (7.5 * DAY, 8 * DAY, False),
        (30 * DAY, 31 * DAY, False),
        # Nobody looked for days: it may have died of anything.
        (DAY, 8 * DAY, False),
        (0 * DAY, 200 * DAY, False),
    ],
)
def test_a_dead_token_died_of_testing_only_around_its_seventh_day(
    used: timedelta, dead: timedelta, testing: bool
) -> None:
    assert kept(used).died_of_testing(BORN + dead) is testing


def test_nothing_of_the_token_shows() -> None:
    assert "1//refresh" not in repr(kept(DAY))
