"""What Entra refuses, row by row: the right code, outcome and person, whatever grant it was asked with."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from recapito.errors import DeliveryError, Held, NotSent
from recapito.outcome import Outcome
from recapito.problem import Problem, Scope, Who
from recapito.secret import Secret, Secrets
from recapito.transport import Grant
from recapito_ms365_oauth import entra
from recapito_ms365_oauth.kept import Kept
from recapito_ms365_oauth.microsoft import Microsoft

pytestmark = pytest.mark.anyio

GRANT = Grant(
    account="anna@ditta.example",
    scopes=frozenset({"Mail.Send"}),
    secret=Kept(Secret("0.refresh-token"), False).secret,
)

H, R = Outcome.HELD, Outcome.NOT_SENT
A, N, O = Who.ADMINISTRATOR, Who.NOBODY, Who.OPERATOR  # noqa: E741 - as in the table of errors
P, C = Scope.PROFILE, Scope.CLIENT

#: Entra's ``error``, its numbers, and what we make of them (providers §2.7; reference-error-codes).
ROWS = [
    ("interaction_required", (50076, 50072, 50074, 50078, 50079), "OAUTH-MFA", H, O, P),
    ("invalid_grant", (50076, 50079), "OAUTH-MFA", H, O, P),
    (
        "access_denied",
        (53000, 53001, 53002, 53003, 50131, 530032, 530034, 530035),
        "OAUTH-CONDITIONAL",
        H,
        A,
        P,
    ),
    ("invalid_grant", (53003,), "OAUTH-CONDITIONAL", H, A, P),
    ("invalid_grant", (50173,), "OAUTH-PWD-CHANGED", H, O, P),
    ("invalid_grant", (700082, 70008, 70043), "OAUTH-IDLE", H, O, P),
    ("invalid_grant", (50132, 50133, 700084), "OAUTH-REVOKED", H, O, P),
    ("interaction_required", (50133,), "OAUTH-REVOKED", H, O, P),
    ("invalid_grant", (65001,), "OAUTH-CONSENT", H, A, P),
    ("invalid_grant", (65004,), "OAUTH-POLICY", H, A, P),
    ("access_denied", (90094, 90095), "OAUTH-CONSENT", H, A, P),
    ("unauthorized_client", (700016,), "OAUTH-APP-WRONG", H, A, C),
    ("invalid_request", (90002, 50128, 50194, 9002332), "OAUTH-APP-WRONG", H, A, C),
    ("invalid_grant", (50020, 500208), "OAUTH-ACCOUNT", H, A, P),
    ("invalid_client", (7000215, 70002, 7000222, 700027, 700030), "OAUTH-APP-SECRET", H, A, C),
    ("invalid_client", (700024,), "OAUTH-CLOCK", H, A, C),
    ("invalid_client", (7000218, 700025), "OAUTH-APP-WRONG", H, A, C),
    ("invalid_request", (7000112,), "OAUTH-APP-WRONG", H, A, C),
    ("invalid_grant", (50105, 50057, 50034, 50053, 50055, 50126), "OAUTH-ACCOUNT", H, A, P),
    ("invalid_scope", (70011,), "OAUTH-APP-WRONG", H, A, C),
    ("invalid_resource", (28002, 650052, 650056, 650057), "OAUTH-APP-WRONG", H, A, C),
    ("invalid_request", (50011, 900971), "OAUTH-REDIRECT", H, A, C),
    ("invalid_grant", (501481, 54005), "OAUTH-REVOKED", H, O, P),
    (
        "temporarily_unavailable",
        (50033, 50087, 50088, 90006, 90012, 90024, 90033, 90055, 90090),
        "OAUTH-TEMPORARY",
        R,
        N,
        P,
    ),
    ("invalid_grant", (50196,), "OAUTH-TEMPORARY", R, N, P),
]
CASES = [(error, number, *rest) for error, numbers, *rest in ROWS for number in numbers]
IDS = [f"{number} {error}" for error, number, *_ in CASES]


def said(error: str, number: int) -> dict[str, object]:
    """As Entra writes it."""
    trace = (
        "Trace ID: 7b1c53f2-1d0c-4c3e-8a7e-3a7b90d10000 Correlation ID: 8f0f9f3a-02f8-4a5e-b7e1-0a2d6c0f0000"
    )
    description = f"AADSTS{number}: Something about it. {trace} Timestamp: 2026-11-25 10:15:00Z"
    return {"error": error, "error_description": description, "error_codes": [number]}


def judge(problem: Problem, code: str, outcome: Outcome, who: Who, scope: Scope) -> None:
    assert (problem.code, problem.outcome, problem.who, problem.scope) == (code, outcome, who, scope)
    assert problem.params["client"] == "microsoft"
    if outcome is Outcome.NOT_SENT:
        assert problem.retry_at is not None


@pytest.mark.parametrize(("error", "number", "code", "outcome", "who", "scope"), CASES, ids=IDS)
async def test_a_refused_refresh_is_explained(
    microsoft, registered, error, number, code, outcome, who, scope
) -> None:
    status = 401 if error == "invalid_client" else 400
    microsoft.fail(f"/{microsoft.tenant}/oauth2/v2.0/token", status=status, body=said(error, number))
    with pytest.raises(DeliveryError) as caught:
        await registered.sign_in().refresh(registered.context, GRANT, "graph")
    judge(caught.value.problem, code, outcome, who, scope)
    # Support finds a refused sign-in by these.
    for part in (f"AADSTS{number}", "Trace ID: 7b1c53f2", "Correlation ID: 8f0f9f3a", "2026-11-25 10:15:00Z"):
        assert part in caught.value.problem.reply
    assert len(microsoft.requests) == 1


@pytest.mark.parametrize(("error", "number", "code", "outcome", "who", "scope"), CASES, ids=IDS)
async def test_a_refused_consent_is_explained(
    microsoft, registered, error, number, code, outcome, who, scope
) -> None:
    microsoft.consents(
        "anna@ditta.example", error=error, description=str(said(error, number)["error_description"])
    )
    with pytest.raises(DeliveryError) as caught:
        await registered.signed_in()
    judge(caught.value.problem, code, outcome, who, scope)
    assert microsoft.token_requests == 0


@pytest.mark.parametrize(
    ("tenant", "start"), [("", "/{tenant}/adminconsent"), ("common", "/organizations/adminconsent")]
)
async def test_an_administrator_gets_the_address_at_which_to_approve(
    microsoft, registered, tenant: str, start: str
) -> None:
    if tenant:
        registered.more["tenant"] = tenant
    expected = f"{microsoft.url}{start.format(tenant=microsoft.tenant)}?client_id={microsoft.client_id}"
    for refuse in ("redirect", "code", "refresh"):
        if refuse == "redirect":
            microsoft.consents("anna@ditta.example", error="consent_required", description="AADSTS65001: No.")
        else:
            microsoft.consents("anna@ditta.example")
            body = said("invalid_grant", 65001)
            microsoft.fail(f"/{tenant or microsoft.tenant}/oauth2/v2.0/token", status=400, body=body)
        refresh = registered.sign_in().refresh
        asking = (
            refresh(registered.context, GRANT, "graph") if refuse == "refresh" else registered.signed_in()
        )
        with pytest.raises(Held) as caught:
            await asking
        assert caught.value.problem.code == "OAUTH-CONSENT"
        for language in ("en", "it"):
            assert expected in caught.value.problem.explain(language).do


async def test_a_return_address_that_is_not_registered_is_named(microsoft, registered) -> None:
    body = said("invalid_client", 500112)
    microsoft.fail(f"/{microsoft.tenant}/oauth2/v2.0/token", status=400, body=body)
    with pytest.raises(Held) as caught:
        await registered.signed_in()
    assert caught.value.problem.code == "OAUTH-REDIRECT"
    assert registered.attempt().redirect_uri in caught.value.problem.explain("it").do


#: What comes instead of an answer, and what is made of it.
BROKEN = [
    ("down", {"how": "unread"}, "NET-LOST"),
    ("lost", {"how": "lost"}, "NET-LOST"),
    ("HTML", {"status": 200, "body": "<html>Sign in to the hotel's network</html>"}, "OAUTH-ANSWER"),
    ("empty", {"status": 200, "body": b""}, "OAUTH-ANSWER"),
    (
        "cut",
        {"how": "cut", "status": 200, "body": {"access_token": "a" * 400, "expires_in": 3599}},
        "OAUTH-ANSWER",
    ),
    ("huge", {"status": 200, "body": b"[" * 2_000_000}, "OAUTH-ANSWER"),
    ("a list", {"status": 200, "body": ["access_token"]}, "OAUTH-ANSWER"),
    ("no JSON", {"status": 400, "body": b"Bad Request"}, "OAUTH-ANSWER"),
    ("redirect", {"status": 307, "headers": {"Location": "https://127.0.0.1:1/"}}, "OAUTH-ANSWER"),
    ("500", {"status": 500, "body": "<html>oops</html>"}, "OAUTH-TEMPORARY"),
    ("502", {"status": 502}, "OAUTH-TEMPORARY"),
    ("503", {"status": 503, "headers": {"Retry-After": "120"}}, "OAUTH-TEMPORARY"),
    ("429", {"status": 429, "headers": {"Retry-After": "120"}}, "OAUTH-TEMPORARY"),
    ("empty token", {"status": 200, "body": {"access_token": "", "expires_in": 3599}}, "TOKEN-ILL-FORMED"),
    ("no token", {"status": 200, "body": {"token_type": "Bearer"}}, "TOKEN-ILL-FORMED"),
    (
        "a line end",
        {"status": 200, "body": {"access_token": "a\r\nb", "expires_in": 3599}},
        "TOKEN-ILL-FORMED",
    ),
    (
        "a SASL field",
        {"status": 200, "body": {"access_token": "a\x01b", "expires_in": 3599}},
        "TOKEN-ILL-FORMED",
    ),
    (
        "a long token",
        {"status": 200, "body": {"access_token": "a" * 20_000, "expires_in": 1}},
        "TOKEN-ILL-FORMED",
    ),
    ("over", {"status": 200, "body": {"access_token": "a", "expires_in": 0}}, "TOKEN-ILL-FORMED"),
    ("a number", {"status": 200, "body": {"access_token": 7, "expires_in": 3599}}, "TOKEN-ILL-FORMED"),
]
#: The same, where only a person's grant has it.
ODD = [
    (
        "odd scope",
        {"status": 200, "body": {"access_token": "a", "expires_in": 9, "scope": 5}},
        "OAUTH-ANSWER",
    ),
    (
        "odd id token",
        {"status": 200, "body": {"access_token": "a", "expires_in": 9, "id_token": "x"}},
        "OAUTH-ANSWER",
    ),
    (
        "odd refresh token",
        {"status": 200, "body": {"access_token": "a", "expires_in": 9, "refresh_token": "b\n"}},
        "OAUTH-ANSWER",
    ),
]


@pytest.mark.parametrize(
    ("sign_in", "fault", "code"),
    [("code", *row[1:]) for row in BROKEN + ODD] + [("app", *row[1:]) for row in BROKEN],
    ids=[row[0] for row in BROKEN + ODD] + [f"app: {row[0]}" for row in BROKEN],
)
async def test_what_is_no_answer_is_a_passing_failure(
    microsoft, registered, sign_in: str, fault, code: str
) -> None:
    """Nothing is thrown away for it, and nothing that is no token goes on."""
    microsoft.fail(f"/{microsoft.tenant}/oauth2/v2.0/token", **fault)
    with pytest.raises(NotSent) as caught:
        await registered.sign_in(sign_in).refresh(registered.context, GRANT, "graph")
    problem = caught.value.problem
    assert problem.code == code
    assert not problem.pauses
    assert len(microsoft.requests) <= 1
    if fault.get("headers", {}).get("Retry-After"):
        left = problem.retry_at - datetime.now(UTC)
        assert timedelta(seconds=100) < left <= timedelta(seconds=120)


@pytest.mark.parametrize("how", ["silence", "drip"])
async def test_a_slow_endpoint_is_given_up(microsoft, registered, how: str) -> None:
    body = {"access_token": "a" * 500, "expires_in": 3599}
    microsoft.fail(f"/{microsoft.tenant}/oauth2/v2.0/token", how=how, status=200, body=body)
    with pytest.raises(NotSent) as caught:
        await entra.ask(
            registered.context,
            Microsoft.of(registered.settings),
            lambda app: app.acquire_token_by_refresh_token("0.refresh-token", ["Mail.Send"]),
            public=True,
            patience=0.3,
        )
    assert caught.value.problem.code == "OAUTH-TEMPORARY"
    assert entra.PATIENCE < 25, "what the contract allows a refresh"


async def test_a_grant_that_died_is_asked_for_once(microsoft, registered) -> None:
    for why, code in (
        ("revoked", "OAUTH-REVOKED"),
        ("password", "OAUTH-PWD-CHANGED"),
        ("idle", "OAUTH-IDLE"),
    ):
        grant = await registered.signed_in()
        microsoft.revoke("anna@ditta.example", why)
        before = len(microsoft.requests)
        with pytest.raises(Held) as caught:
            await registered.sign_in().refresh(registered.context, grant, "graph")
        assert caught.value.problem.code == code
        assert len(microsoft.requests) == before + 1


async def test_a_wrong_secret_and_an_unknown_app_are_the_administrators(microsoft, registered) -> None:
    grant = await registered.signed_in()
    registered.secrets = Secrets({"client_secret": "the wrong one"})
    with pytest.raises(Held) as caught:
        await registered.sign_in().refresh(registered.context, grant, "graph")
    assert caught.value.problem.code == "OAUTH-APP-SECRET"
    registered.more["client_id"] = "another-app"
    with pytest.raises(Held) as caught:
        await registered.sign_in().refresh(registered.context, grant, "graph")
    assert (caught.value.problem.code, caught.value.problem.scope) == ("OAUTH-APP-WRONG", Scope.CLIENT)


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_is_an_hour_off(microsoft, registered, hours: int, monkeypatch) -> None:
    """A person's sign-in and its refreshes go on; what a certificate signed says that the clock is wrong."""
    original = microsoft.id_token
    now = int(time.time()) - hours * 3600
    microsoft.id_token = lambda **claims: original(**{**claims, "iat": now, "exp": now + 3600})
    grant = await registered.signed_in()
    assert await registered.sign_in().refresh(registered.context, grant, "graph")
    microsoft.fail(f"/{microsoft.tenant}/oauth2/v2.0/token", status=401, body=said("invalid_client", 700024))
    registered.secrets = Secrets(
        {"certificate": microsoft.identity.private_key + microsoft.identity.certificate}
    )
    with pytest.raises(Held) as caught:
        await registered.sign_in("app").refresh(registered.context, GRANT, "graph")
    assert (caught.value.problem.code, caught.value.problem.who) == ("OAUTH-CLOCK", Who.ADMINISTRATOR)
