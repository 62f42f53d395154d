"""Id tokens: whose they are, for whom, and until when."""

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recapito.errors import Held, NotSent
from recapito.oauth import id_token_claims

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ISSUER = "https://login.example.com"
GOOD: dict[str, Any] = {
    "iss": ISSUER,
    "aud": "app",
    "exp": int((NOW + timedelta(hours=1)).timestamp()),
    "nonce": "n",
    "email": "anna@example.it",
}


def token(claims: Any) -> str:
    def part(value: Any) -> str:
        return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2lnbmF0dXJl"


def read(claims: Any, **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"issuer": ISSUER, "audience": "app", "nonce": "n", "now": NOW, **more}
    return id_token_claims(claims if isinstance(claims, str) else token(claims), **given)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"aud": ["app"]},
        {"aud": ["app", "other"], "azp": "app"},
        {"azp": "app"},
        {"exp": GOOD["exp"] + 0.5},
        {"email": "perché@example.it"},
    ],
)
def test_a_token_for_us_is_read(change: dict[str, Any]) -> None:
    assert read(GOOD | change) == GOOD | change


def test_a_nonce_that_was_not_sent_is_not_missed() -> None:
    claims = {name: value for name, value in GOOD.items() if name != "nonce"}
    assert read(claims, nonce="") == claims


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://login.evil.example"},
        {"iss": ISSUER + "/"},
        {"iss": None},
        {"aud": "other"},
        {"aud": ["other"]},
        {"aud": ["app", "other"]},
        {"aud": ["app", "other"], "azp": "other"},
        {"aud": None},
        {"azp": "other"},
        {"nonce": "m"},
        {"nonce": None},
        {"nonce": ""},
        {"exp": int((NOW - timedelta(days=1)).timestamp())},
        {"exp": None},
        {"exp": "later"},
        {"exp": True},
    ],
)
def test_a_token_for_somebody_else_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Held) as error:
        read(GOOD | change)
    assert error.value.problem.code == "SIGN-IN-ISSUER"


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_two_hours_off_keeps_nobody_from_signing_in(hours: int) -> None:
    assert read(GOOD, now=NOW + timedelta(hours=hours)) == GOOD


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "a.b",
        "a.b.c.d",
        "a.!!!.c",
        f"a.{urlsafe_b64encode(b'[]').decode()}.c",
        f"a.{urlsafe_b64encode(b'[' * 20_000).decode()}.c",
        "a." + "A" * 100_000 + ".c",
        token("no object"),
        "à.b.c",
    ],
)
def test_what_is_no_id_token_is_a_passing_failure(raw: str) -> None:
    with pytest.raises(NotSent) as error:
        read(raw)
    assert error.value.problem.code == "OAUTH-ANSWER"
