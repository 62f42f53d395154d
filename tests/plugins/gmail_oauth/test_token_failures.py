"""Every way in which a refresh fails: the right outcome, code and person, one request, and no bearer after it."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from gmail_stage import ACCOUNTS, AUTHORITY, Stage, anna

from recapito.errors import DeliveryError
from recapito.outcome import Outcome
from recapito.problem import Scope, Who
from recapito.profile import Found
from recapito.secret import Secrets
from recapito.testing import HttpsServer
from recapito_gmail_oauth.google import SEND
from recapito_gmail_oauth.signin import GoogleSignIn
from recapito_gmail_oauth.transport import Gmail

pytestmark = pytest.mark.anyio
HELD, NOT_SENT = Outcome.HELD, Outcome.NOT_SENT
OPERATOR, ADMINISTRATOR, NOBODY = Who.OPERATOR, Who.ADMINISTRATOR, Who.NOBODY
PROFILE, CLIENT = Scope.PROFILE, Scope.CLIENT
DAY = timedelta(days=1)


@dataclass
class Case:
    """What the token endpoint does (or the registration has wrong), and what that must be."""

    name: str
    code: str
    outcome: Outcome
    who: Who
    scope: Scope = PROFILE
    says: dict[str, Any] | None = None
    arrange: Callable[[Stage], None] = lambda _stage: None
    born: timedelta = timedelta()
    used: timedelta = timedelta()
    client: dict[str, Any] = field(default_factory=dict)
    secret: str | None = None
    retry: bool = False
    requests: int = 1


def error(error: str, said: str = "", status: int = 400, **more: Any) -> dict[str, Any]:
    return {"status": status, "body": {"error": error, "error_description": said, **more}}


def token(**fields: Any) -> dict[str, Any]:
    return {"status": 200, "body": {"access_token": "ya29.good", "expires_in": 3599, **fields}}


DEAD = error("invalid_grant", "Token has been expired or revoked.")
REVOKED = ("OAUTH-REVOKED", HELD, OPERATOR)
ANSWER = ("OAUTH-ANSWER", NOT_SENT, NOBODY)
TEMPORARY = ("OAUTH-TEMPORARY", NOT_SENT, NOBODY)
ILL_FORMED = ("TOKEN-ILL-FORMED", NOT_SENT, ADMINISTRATOR)


def revoke(stage: Stage) -> None:
    stage.google.revoke(ACCOUNTS[0])


def ask_again(stage: Stage) -> None:
    stage.google.revoke(ACCOUNTS[0], "invalid_rapt")


CASES = [
    # A grant that is dead
    Case("revoked", *REVOKED, arrange=revoke),
    Case("unused for half a year", *REVOKED, says=DEAD, born=200 * DAY, used=190 * DAY),
    Case("the password was changed", *REVOKED, says=DEAD, born=3 * DAY, used=DAY / 24),
    Case(
        "test app, used hourly",
        "OAUTH-TESTING",
        HELD,
        ADMINISTRATOR,
        CLIENT,
        DEAD,
        born=7.01 * DAY,
        used=DAY / 24,
    ),
    Case(
        "test app, renewed daily",
        "OAUTH-TESTING",
        HELD,
        ADMINISTRATOR,
        CLIENT,
        DEAD,
        born=7.9 * DAY,
        used=DAY,
    ),
    Case("session control", "OAUTH-SESSION", HELD, OPERATOR, arrange=ask_again),
    # A registration that is wrong
    Case("wrong secret", "OAUTH-APP-SECRET", HELD, ADMINISTRATOR, CLIENT, secret="GOCSPX-wrong"),
    Case("wrong client", "OAUTH-APP-SECRET", HELD, ADMINISTRATOR, CLIENT, client={"client_id": "2-b"}),
    Case(
        "deleted client", "OAUTH-APP-WRONG", HELD, ADMINISTRATOR, CLIENT, error("deleted_client", status=401)
    ),
    Case(
        "disabled client",
        "OAUTH-APP-WRONG",
        HELD,
        ADMINISTRATOR,
        CLIENT,
        error("disabled_client", status=401),
    ),
    Case("not for this flow", "OAUTH-APP-WRONG", HELD, ADMINISTRATOR, CLIENT, error("unauthorized_client")),
    Case("wrong scope", "OAUTH-APP-WRONG", HELD, ADMINISTRATOR, CLIENT, error("invalid_scope", "Bad")),
    # A policy
    Case("admin policy", "OAUTH-POLICY", HELD, ADMINISTRATOR, says=error("admin_policy_enforced")),
    Case(
        "internal to another company",
        "OAUTH-POLICY",
        HELD,
        ADMINISTRATOR,
        says=error("org_internal", status=403),
    ),
    Case("access denied", "OAUTH-POLICY", HELD, ADMINISTRATOR, says=error("access_denied", status=403)),
    # An endpoint that stumbles
    *(
        Case(f"status {status}", *TEMPORARY, says={"status": status}, retry=True)
        for status in (500, 502, 503, 504)
    ),
    Case("an error page", *TEMPORARY, says={"status": 502, "body": "<html>Bad Gateway</html>"}, retry=True),
    Case("temporarily", *TEMPORARY, says=error("temporarily_unavailable", status=503), retry=True),
    Case("internal failure", *TEMPORARY, says=error("server_error", status=400), retry=True),
    Case("too many", *TEMPORARY, says={"status": 429, "headers": {"Retry-After": "90"}}, retry=True),
    Case("too many, in JSON", *TEMPORARY, says=error("rate_limit_exceeded", status=429), retry=True),
    # Answers that are none
    Case("HTML", *ANSWER, says={"status": 200, "body": "<html>Welcome to the hotel</html>"}),
    Case("empty", *ANSWER, says={"status": 200, "body": b""}),
    Case("a list", *ANSWER, says={"status": 200, "body": [1]}),
    Case("cut", *ANSWER, says={**token(), "how": "cut"}),
    Case("huge", *ANSWER, says={"status": 200, "body": b'{"access_token": "' + b"x" * 3_000_000}),
    Case("no token in it", *ANSWER, says={"status": 200, "body": {"expires_in": 3599}}),
    Case("a redirect", *ANSWER, says={"status": 307, "headers": {"Location": "https://127.0.0.1:1/token"}}),
    Case("not found", *ANSWER, says={"status": 404, "body": "<html>Not Found</html>"}),
    Case("an error that is none", *ANSWER, says={"status": 400, "body": {"error": 7}}),
    # Tokens that must not be sent
    Case("an empty token", *ILL_FORMED, says=token(access_token="")),
    Case("no text", *ILL_FORMED, says=token(access_token=None)),
    Case("a line end", *ILL_FORMED, says=token(access_token="ya29.a\r\nX: y")),
    Case("a field's end", *ILL_FORMED, says=token(access_token="ya29.a\x01\x01")),
    Case("a space", *ILL_FORMED, says=token(access_token="ya29 a")),
    Case("a very long one", *ILL_FORMED, says=token(access_token="y" * 20_000)),
    Case("over already", *ILL_FORMED, says=token(expires_in=0)),
    Case("below zero", *ILL_FORMED, says=token(expires_in=-5)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_refresh_that_fails_is_explained_and_not_repeated(stage: Stage, case: Case) -> None:
    now = datetime.now(UTC)
    grant = stage.grant(since=now - case.born, used=now - case.used)
    case.arrange(stage)
    if case.says is not None:
        stage.google.fail("/token", times=None, **case.says)
    secrets = {"client_secret": case.secret} if case.secret else None
    context = stage.context(Found(anna(), Secrets()), **case.client)
    context.signs_in = stage.signin_context(secrets=secrets, **case.client)
    context.grant = grant
    with pytest.raises(DeliveryError) as caught:
        await Gmail().open(anna(), context)
    problem = caught.value.problem
    assert (problem.code, caught.value.outcome) == (case.code, case.outcome)
    assert problem.outcome is case.outcome
    assert (problem.who, problem.scope) == (case.who, case.scope)
    if case.scope is CLIENT:
        assert problem.params["client"] == "google"
    if case.retry:
        assert problem.retry_at is not None
        assert problem.retry_at > now
    for language in ("en", "it"):
        told = problem.explain(language)
        assert told.what
        assert told.do
        assert "{" not in str(told)
    assert stage.google.token_requests == case.requests, (
        "asked once; google-auth would have asked three times"
    )
    assert not any(asked.bearer or "authorization" in asked.headers for asked in stage.google.requests)
    steps = [step async for step in Gmail().check(anna(), context)]
    assert [step.name for step in steps if step.problem] == ["sign-in"]
    assert steps[-1].problem is not None
    assert steps[-1].problem.code == case.code


def test_the_moment_of_a_retry_after_is_kept(stage: Stage) -> None:
    stage.google.fail("/token", status=429, headers={"Retry-After": "90"})
    before = datetime.now(UTC)
    with pytest.raises(DeliveryError) as caught:
        asyncio.run(GoogleSignIn("google", "api").refresh(stage.signin_context(), stage.grant(), SEND))
    retry = caught.value.problem.retry_at
    assert retry is not None
    assert before + timedelta(seconds=89) < retry < datetime.now(UTC) + timedelta(seconds=91)


# No answer at all


async def refreshing(stage: Stage, patience: float = 5.0, **client: Any) -> DeliveryError:
    sign_in = GoogleSignIn("google", "api", patience)
    with pytest.raises(DeliveryError) as caught:
        await sign_in.refresh(stage.signin_context(**client), stage.grant(), SEND)
    return caught.value


async def test_an_endpoint_that_is_down_is_a_passing_failure(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    error = await refreshing(stage, token_uri=f"https://127.0.0.1:{port}/token")
    assert (error.problem.code, error.outcome) == ("NET-BLOCKED", NOT_SENT)


async def test_a_name_that_is_not_found_is_a_passing_failure(stage: Stage) -> None:
    error = await refreshing(stage, token_uri="https://nowhere.invalid/token")
    assert (error.problem.code, error.outcome) == ("NET-DNS", NOT_SENT)


@pytest.mark.parametrize("how", ["silence", "drip"])
async def test_an_endpoint_that_is_slow_ends_in_time(stage: Stage, how: Any) -> None:
    stage.google.fail("/token", **token(), how=how)
    error = await refreshing(stage, patience=0.3)
    assert error.outcome is NOT_SENT
    assert error.problem.code == "OAUTH-TEMPORARY"
    assert stage.google.token_requests == 1


@pytest.mark.parametrize("how", ["unread", "lost"])
async def test_a_line_that_is_lost_is_a_passing_failure(stage: Stage, how: Any) -> None:
    stage.google.fail("/token", how=how)
    error = await refreshing(stage)
    assert (error.problem.code, error.outcome) == ("NET-LOST", NOT_SENT)


async def test_nobody_asks_who_is_not_google(stage: Stage) -> None:
    for context, code in ((AUTHORITY.unknown(), "TLS-UNTRUSTED"), (AUTHORITY.wrong_host(), "TLS-NAME")):
        with HttpsServer(context=context) as evil:
            error = await refreshing(stage, token_uri=f"{evil.url}/token")
            assert (error.problem.code, error.outcome) == (code, HELD)
            assert evil.requests == []


async def test_a_redirect_takes_no_secret_to_another_host(stage: Stage) -> None:
    with HttpsServer(authority=AUTHORITY) as elsewhere:
        stage.google.fail("/token", status=307, headers={"Location": f"{elsewhere.url}/token"})
        error = await refreshing(stage)
        assert error.problem.code == "OAUTH-ANSWER"
        assert (elsewhere.connections, elsewhere.requests) == (0, [])


async def test_no_variable_of_the_environment_changes_who_is_trusted_or_asked(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, "/nowhere")
    refreshed = await GoogleSignIn("google", "api").refresh(stage.signin_context(), stage.grant(), SEND)
    assert stage.google.access(refreshed.token.value.reveal()) is not None


@pytest.mark.parametrize("hours", [-2, 2])
async def test_a_clock_that_is_off_changes_nothing_for_a_persons_grant(stage: Stage, hours: int) -> None:
    there = datetime.now(UTC) + timedelta(hours=hours)
    grant = stage.grant(since=there, used=there)
    refreshed = await GoogleSignIn("google", "api").refresh(stage.signin_context(), grant, SEND)
    assert stage.google.access(refreshed.token.value.reveal()) is not None


def test_every_case_has_a_name_of_its_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert ssl.HAS_TLSv1_3
