"""Access tokens: what is taken, and what never reaches a header or a SASL line."""

from datetime import UTC, datetime, timedelta

import pytest

from recapito.errors import NotSent
from recapito.oauth import checked_token

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize("value", ["a", "ya29.a0-_~+/==", "A" * 16_384, "eyJ0.eyJ.sig"])
def test_a_token_of_the_right_letters_is_taken(value: str) -> None:
    token = checked_token(value, 3600, now=NOW)
    assert (token.value.reveal(), token.expires_at) == (value, NOW + timedelta(hours=1))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "abc\r\nX-Injected: 1",
        "abc\n",
        "abc\x01auth=Bearer other",
        "abc\x00",
        "a b",
        "a=b",
        "=",
        "àbc",
        "abc\u2028",
        "A" * 16_385,
        "A" * 1_000_000,
        None,
        42,
        b"abc",
        ["abc"],
    ],
)
def test_anything_else_is_refused_without_being_shown(value: object) -> None:
    with pytest.raises(NotSent) as error:
        checked_token(value, 3600)
    assert error.value.problem.code == "TOKEN-ILL-FORMED"
    assert error.value.problem.retry_at is not None
    assert value in ("", "=", None, 42) or str(value)[:4] not in repr(error.value.problem)


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (1, 1),
        (3599.5, 3599.5),
        ("3600", 3600),
        (None, 300),
        (10**12, 365 * 86400),
        (float("inf"), 365 * 86400),
    ],
)
def test_its_life_is_counted_from_now(expires_in: object, seconds: float) -> None:
    assert checked_token("abc", expires_in, now=NOW).expires_at == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "expires_in", [0, -1, 0.5, "0", "", "soon", "-5", "1e9", True, float("nan"), [], "9" * 11]
)
def test_a_token_that_is_over_is_refused(expires_in: object) -> None:
    with pytest.raises(NotSent) as error:
        checked_token("abc", expires_in)
    assert error.value.problem.code == "TOKEN-ILL-FORMED"
