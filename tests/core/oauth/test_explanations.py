"""What token endpoints answer, and what is behind it: OAuth's error decides, and nothing is ever *unknown*."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from web_server import Registration

from recapito.errors import DeliveryError, Held, NotSent
from recapito.oauth import Answer, HttpFailure, explained
from recapito.problem import Scope, Who
from recapito.secret import Secret

HOST = "login.example.com"


@pytest.fixture
def explain(registration: Callable[..., Registration]) -> Callable[..., DeliveryError]:
    def behind(said: Answer | HttpFailure, **more: Any) -> DeliveryError:
        return explained(registration(), said, HOST, "acme", **more)

    return behind


def said(status: int, body: bytes | dict[str, Any], **headers: str) -> Answer:
    import json

    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, octets)


@pytest.mark.parametrize(
    ("error", "kind", "code", "scope"),
    [
        ("invalid_grant", Held, "OAUTH-REVOKED", Scope.PROFILE),
        ("invalid_client", Held, "OAUTH-APP-SECRET", Scope.CLIENT),
        ("unauthorized_client", Held, "OAUTH-APP-WRONG", Scope.CLIENT),
        ("interaction_required", Held, "OAUTH-MFA", Scope.PROFILE),
        ("consent_required", Held, "OAUTH-CONSENT", Scope.PROFILE),
        ("temporarily_unavailable", NotSent, "OAUTH-TEMPORARY", Scope.PROFILE),
        ("slow_down", NotSent, "OAUTH-TEMPORARY", Scope.PROFILE),
        ("never_heard_of", Held, "OAUTH-REFUSED", Scope.PROFILE),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 401, 403])
def test_oauths_error_decides_whatever_the_status(
    error: str,
    kind: type[DeliveryError],
    code: str,
    scope: Scope,
    status: int,
    explain: Callable[..., DeliveryError],
) -> None:
    found = explain(said(status, {"error": error, "error_description": "Its words."}))
    assert type(found) is kind
    problem = found.problem
    assert (problem.code, problem.scope, problem.reply) == (code, scope, "Its words.")
    assert (problem.params["client"], problem.host) == ("acme", HOST)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            "AADSTS50076: Due to a configuration change … you must use multi-factor authentication",
            "OAUTH-MFA",
        ),
        ("AADSTS53003: Access has been blocked by Conditional Access policies.", "OAUTH-CONDITIONAL"),
        ("AADSTS700082: The refresh token has expired due to inactivity.", "OAUTH-IDLE"),
        ("AADSTS50173: The provided grant has expired due to it being revoked", "OAUTH-PWD-CHANGED"),
    ],
)
def test_entras_numbers_refine_the_error(text: str, code: str, explain: Callable[..., DeliveryError]) -> None:
    found = explain(said(400, {"error": "invalid_grant", "error_description": text}))
    assert (type(found), found.problem.code) == (Held, code)


def test_googles_session_control_is_told_by_its_subtype(explain: Callable[..., DeliveryError]) -> None:
    answer = {
        "error": "invalid_grant",
        "error_description": "reauth related error (invalid_rapt)",
        "error_subtype": "invalid_rapt",
    }
    assert explain(said(400, answer)).problem.code == "OAUTH-SESSION"
    del answer["error_description"]
    assert explain(said(400, answer)).problem.code == "OAUTH-SESSION"


@pytest.mark.parametrize(
    "answer",
    [
        said(200, b""),
        said(200, b"<html><body>Sign in to the hotel's network</body></html>", content_type="text/html"),
        said(200, b'{"access_token": "abc'),
        said(200, b"[1]"),
        said(200, b"null"),
        said(200, b"[" * 100_000),
        said(200, {"error": ""}),
        said(200, {"error": 42}),
        said(400, b"Bad request"),
        said(401, b"<html>no</html>"),
        said(403, {"message": "no"}),
        said(302, b"", location="https://evil.example/"),
        said(307, b"", location="https://evil.example/"),
        Answer(200, {}, b'{"error": "invalid_grant"}', whole=False),
    ],
)
def test_what_is_no_answer_of_a_token_endpoint_holds_nobody(
    answer: Answer, explain: Callable[..., DeliveryError]
) -> None:
    found = explain(answer)
    assert (type(found), found.problem.code) == (NotSent, "OAUTH-ANSWER")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", {"error": "internal_failure"}])
def test_a_server_in_trouble_is_a_passing_failure(
    status: int, body: bytes | dict[str, Any], explain: Callable[..., DeliveryError]
) -> None:
    found = explain(said(status, body))
    assert (type(found), found.problem.code) == (NotSent, "OAUTH-TEMPORARY")
    assert found.problem.retry_at is not None


def test_retry_after_says_when_to_ask_again(explain: Callable[..., DeliveryError]) -> None:
    before = datetime.now(UTC)
    for headers in ({"retry_after": "1200"}, {"retry_after": _http_date(before + timedelta(seconds=1200))}):
        found = explain(said(429, {"error": "rate_limited"}, **headers)).problem
        assert found.retry_at is not None
        assert timedelta(seconds=1195) < found.retry_at - before < timedelta(seconds=1300)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), ("5", 5), ("999999999999", 86400), ("-5", None), ("soon", None), ("", None), ("٣", None)],
)
def test_a_wait_is_believed_up_to_a_day(value: str, seconds: float | None) -> None:
    assert Answer(429, {"retry-after": value}).retry_after == seconds


def test_a_date_that_is_over_means_now() -> None:
    assert Answer(503, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}).retry_after == 0
    assert Answer(503, {"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}).retry_after == 86400


@pytest.mark.parametrize(
    ("failure", "kind", "code"),
    [
        (HttpFailure("dns", step="name"), NotSent, "NET-DNS"),
        (HttpFailure("dns-temporary", step="name"), NotSent, "NET-DNS"),
        (HttpFailure("refused", step="port"), NotSent, "NET-BLOCKED"),
        (HttpFailure("timeout", step="port"), NotSent, "NET-BLOCKED"),
        (HttpFailure("timeout", sent=True), NotSent, "OAUTH-TEMPORARY"),
        (HttpFailure("lost", sent=True), NotSent, "NET-LOST"),
        (HttpFailure("untrusted", via="tls", step="encryption"), Held, "TLS-UNTRUSTED"),
        (HttpFailure("failed", via="tls", step="encryption"), NotSent, "TLS-FAILED"),
        (HttpFailure("answer", via="http", sent=True), NotSent, "OAUTH-ANSWER"),
        (HttpFailure("url", via="http"), NotSent, "OAUTH-ANSWER"),
    ],
)
def test_no_answer_is_explained_too(
    failure: HttpFailure, kind: type[DeliveryError], code: str, explain: Callable[..., DeliveryError]
) -> None:
    found = explain(failure)
    assert (type(found), found.problem.code, found.problem.params["client"]) == (kind, code, "acme")


def test_the_servers_words_show_no_secret_and_are_short(explain: Callable[..., DeliveryError]) -> None:
    words = "the secret s3cret+of+the+app and the code 4/c0de \x1b[31m" + "z" * 100_000
    found = explain(
        said(400, {"error": "invalid_client", "error_description": words}), hidden=[Secret("4/c0de")]
    )
    reply = found.problem.reply or ""
    assert reply.startswith("the secret ********** and the code ********** zzz")
    assert len(reply) <= 2001


def test_a_wrong_client_is_the_administrators(explain: Callable[..., DeliveryError]) -> None:
    problem = explain(said(401, {"error": "invalid_client"})).problem
    assert (problem.who, problem.scope, problem.pauses) == (Who.ADMINISTRATOR, Scope.CLIENT, True)


def _http_date(moment: datetime) -> str:
    return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")
