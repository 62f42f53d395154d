"""Sign in with Google: what is asked for, what comes back, and what is left."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from gmail_stage import ACCOUNTS, REDIRECT, Stage, attempt, signed_in

from recapito.errors import DeliveryError, Held, NotSent
from recapito.outcome import Outcome
from recapito.problem import Scope, Who
from recapito.secret import Secret
from recapito_gmail_oauth.google import MAIL, SEND
from recapito_gmail_oauth.kept import IDLE, Kept
from recapito_gmail_oauth.signin import GoogleSignIn

pytestmark = pytest.mark.anyio
API = GoogleSignIn("google", "api")


async def test_the_address_asks_for_the_least_and_for_what_lasts(stage: Stage) -> None:
    trying = attempt("anna@example.com")
    step = await API.begin(stage.signin_context(), trying)
    place = urlsplit(step.url)
    asked = dict(parse_qsl(place.query))
    assert f"{place.scheme}://{place.netloc}{place.path}" == stage.settings()["auth_uri"]
    assert set(asked.pop("scope").split()) == {SEND, "openid", "email"}
    assert len(asked.pop("code_challenge")) == 43
    assert asked.pop("nonce") == step.private["nonce"].reveal()
    assert asked == {
        "client_id": stage.google.client_id,
        "redirect_uri": REDIRECT,
        "response_type": "code",
        "access_type": "offline",
        "prompt": "consent",
        "login_hint": "anna@example.com",
        "state": trying.state,
        "code_challenge_method": "S256",
    }
    assert trying.verifier.reveal() not in step.url
    assert stage.google.client_secret not in step.url


async def test_smtp_asks_for_the_one_scope_that_works_there(stage: Stage) -> None:
    step = await GoogleSignIn("google", "smtp").begin(stage.signin_context(), attempt())
    assert set(dict(parse_qsl(urlsplit(step.url).query))["scope"].split()) == {MAIL, "openid", "email"}


async def test_an_endpoint_with_a_query_keeps_it(stage: Stage) -> None:
    context = stage.signin_context(auth_uri=f"{stage.google.url}/o/oauth2/v2/auth?hd=example.com")
    step = await API.begin(context, attempt())
    assert "auth?hd=example.com&client_id=" in step.url


async def test_a_consent_leaves_account_scopes_and_what_renews_it(stage: Stage) -> None:
    before = datetime.now(UTC)
    grant = await signed_in(stage, API, hint=ACCOUNTS[0])
    assert grant.account == "anna@example.com"
    assert grant.scopes == API.scopes
    assert grant.idle_until is not None
    assert before + IDLE <= grant.idle_until <= datetime.now(UTC) + IDLE
    left = kept(grant.secret)
    assert left.refresh_token.reveal() in stage.google.grants
    assert left.since == left.used


async def test_who_consents_again_still_leaves_what_renews_it(stage: Stage) -> None:
    await signed_in(stage, API)
    again = await signed_in(stage, API)
    assert kept(again.secret).refresh_token.reveal() in stage.google.grants


async def test_what_was_unticked_is_not_granted(stage: Stage) -> None:
    stage.google.consents(ACCOUNTS[0], untick=[SEND])
    grant = await signed_in(stage, API)
    assert grant.scopes == {"openid", "email"}


async def test_whoever_consents_is_named_as_google_spells_it(stage: Stage) -> None:
    stage.google.consents("Anna.Verdi@Example.com")
    assert (await signed_in(stage, API, hint=ACCOUNTS[0])).account == "Anna.Verdi@Example.com"


async def test_without_an_id_token_the_address_is_asked_for(stage: Stage) -> None:
    data = stage.google.token_answer(ACCOUNTS[1], ("openid", "email", SEND))
    stage.google.fail("/token", status=200, body={**data, "refresh_token": "1//r"})
    grant = await signed_in(stage, API)
    assert grant.account == ACCOUNTS[1]
    assert stage.google.requests[-1].path == "/v1/userinfo"


async def test_a_grant_is_renewed_and_moves_the_day_of_its_end(stage: Stage) -> None:
    grant = stage.grant()
    refreshed = await API.refresh(stage.signin_context(), grant, SEND)
    access = stage.google.access(refreshed.token.value.reveal())
    assert access is not None
    assert access.account == ACCOUNTS[0]
    assert timedelta(minutes=50) < refreshed.token.expires_at - datetime.now(UTC) < timedelta(hours=1)
    assert refreshed.grant is not None
    assert refreshed.grant.scopes == grant.scopes
    assert refreshed.grant.idle_until is not None
    assert kept(refreshed.grant.secret).refresh_token == kept(grant.secret).refresh_token
    assert stage.google.token_requests == 1


async def test_a_rotated_token_is_handed_over_to_be_saved(stage: Stage) -> None:
    stage.google.rotates = True
    grant = stage.grant()
    refreshed = await API.refresh(stage.signin_context(), grant, SEND)
    assert refreshed.grant is not None
    assert kept(refreshed.grant.secret).refresh_token != kept(grant.secret).refresh_token
    again = await API.refresh(stage.signin_context(), refreshed.grant, SEND)
    assert stage.google.access(again.token.value.reveal()) is not None


async def test_fewer_scopes_after_a_refresh_are_told(stage: Stage) -> None:
    data = stage.google.token_answer(ACCOUNTS[0], ("openid", "email"))
    stage.google.fail("/token", status=200, body=data)
    refreshed = await API.refresh(stage.signin_context(), stage.grant(), SEND)
    assert refreshed.grant is not None
    assert refreshed.grant.scopes == {"openid", "email"}


async def test_a_sign_out_ends_the_grant_and_its_tokens(stage: Stage) -> None:
    context, grant = stage.signin_context(), stage.grant()
    token = (await API.refresh(context, grant, SEND)).token
    await API.revoke(context, grant)
    assert stage.google.access(token.value.reveal()) is None
    with pytest.raises(Held) as caught:
        await API.refresh(context, grant, SEND)
    assert caught.value.problem.code == "OAUTH-REVOKED"


async def test_a_grant_that_is_dead_already_is_given_back(stage: Stage) -> None:
    grant = stage.grant()
    stage.google.revoke(ACCOUNTS[0])
    await API.revoke(stage.signin_context(), grant)


async def test_a_revocation_that_was_not_heard_is_told(stage: Stage) -> None:
    stage.google.fail("/revoke", status=503)
    with pytest.raises(NotSent):
        await API.revoke(stage.signin_context(), stage.grant())


def kept(secret: Secret) -> Kept:
    found = Kept.of(secret)
    assert found is not None
    return found


# What comes back from the browser


def another_issuer(query: dict[str, str]) -> None:
    query["iss"] = "https://evil.example"


def no_code(query: dict[str, str]) -> None:
    del query["code"]


def another_code(query: dict[str, str]) -> None:
    query["code"] = "4/another"


@pytest.mark.parametrize(
    ("change", "code", "redeems"),
    [
        (another_issuer, "SIGN-IN-ISSUER", 0),
        (no_code, "OAUTH-REFUSED", 0),
        (another_code, "OAUTH-REFUSED", 1),
    ],
)
async def test_a_redirect_that_does_not_fit_is_refused(
    stage: Stage, change: object, code: str, redeems: int
) -> None:
    with pytest.raises(Held) as caught:
        await signed_in(stage, API, change=change)  # type: ignore[arg-type]
    assert caught.value.problem.code == code
    assert stage.google.token_requests == redeems, "a code went where nothing should go"


async def test_a_code_is_redeemed_once(stage: Stage) -> None:
    context, trying = stage.signin_context(), attempt()
    step = await API.begin(context, trying)
    query = await asyncio.to_thread(stage.google.visit, step.url)
    await API.finish(context, trying, query)
    with pytest.raises(Held):
        await API.finish(context, trying, query)


async def test_an_answer_to_another_question_is_refused(stage: Stage) -> None:
    context, trying = stage.signin_context(), attempt()
    step = await API.begin(context, trying)
    query = await asyncio.to_thread(stage.google.visit, step.url)
    other = attempt(private=(await API.begin(context, attempt())).private)
    mixed = type(trying)(
        redirect_uri=trying.redirect_uri,
        hint="",
        state=trying.state,
        verifier=trying.verifier,
        private=other.private,
    )
    with pytest.raises(Held) as caught:
        await API.finish(context, mixed, query)
    assert caught.value.problem.code == "SIGN-IN-ISSUER"


async def test_a_code_is_worth_nothing_without_its_verifier(stage: Stage) -> None:
    context, trying = stage.signin_context(), attempt()
    step = await API.begin(context, trying)
    query = await asyncio.to_thread(stage.google.visit, step.url)
    with pytest.raises(Held):
        await API.finish(context, attempt(private=step.private), query)


REFUSALS = [
    ("access_denied", "OAUTH-POLICY", Who.ADMINISTRATOR, Scope.PROFILE),
    ("admin_policy_enforced", "OAUTH-POLICY", Who.ADMINISTRATOR, Scope.PROFILE),
    ("org_internal", "OAUTH-POLICY", Who.ADMINISTRATOR, Scope.PROFILE),
    ("disallowed_useragent", "OAUTH-WEBVIEW", Who.OPERATOR, Scope.PROFILE),
    ("redirect_uri_mismatch", "OAUTH-REDIRECT", Who.ADMINISTRATOR, Scope.CLIENT),
    ("deleted_client", "OAUTH-APP-WRONG", Who.ADMINISTRATOR, Scope.CLIENT),
    ("disabled_client", "OAUTH-APP-WRONG", Who.ADMINISTRATOR, Scope.CLIENT),
    ("invalid_scope", "OAUTH-APP-WRONG", Who.ADMINISTRATOR, Scope.CLIENT),
    ("invalid_client", "OAUTH-APP-SECRET", Who.ADMINISTRATOR, Scope.CLIENT),
]


@pytest.mark.parametrize(("error", "code", "who", "scope"), REFUSALS)
@pytest.mark.parametrize("where", ["redirect", "token endpoint"])
async def test_what_google_refuses_is_explained_wherever_it_says_so(
    stage: Stage, error: str, code: str, who: Who, scope: Scope, where: str
) -> None:
    def refused(query: dict[str, str]) -> None:
        del query["code"]
        query["error"] = error

    if where == "token endpoint":
        stage.google.fail("/token", status=400, body={"error": error})
    change = refused if where == "redirect" else None
    with pytest.raises(Held) as caught:
        await signed_in(stage, API, change=change)
    problem = caught.value.problem
    assert (problem.code, problem.who, problem.scope) == (code, who, scope)
    assert problem.params["client"] == "google"


async def test_a_return_address_that_is_not_registered_is_named(stage: Stage) -> None:
    stage.google.fail("/token", status=400, body={"error": "redirect_uri_mismatch"})
    with pytest.raises(Held) as caught:
        await signed_in(stage, API)
    assert REDIRECT in caught.value.problem.explain("en").do


async def test_a_person_who_declines_is_told_apart_from_a_failure(stage: Stage) -> None:
    stage.google.consents(ACCOUNTS[0], deny=True)
    with pytest.raises(Held) as caught:
        await signed_in(stage, API)
    assert caught.value.problem.code == "OAUTH-POLICY"


@pytest.mark.parametrize(
    ("missing", "code", "outcome"),
    [
        ("refresh_token", "OAUTH-SCOPE", Outcome.HELD),
        ("access_token and id_token", "TOKEN-ILL-FORMED", Outcome.NOT_SENT),
        ("email", "OAUTH-REFUSED", Outcome.HELD),
        ("email_verified", "OAUTH-REFUSED", Outcome.HELD),
    ],
)
async def test_what_google_leaves_out_is_explained(
    stage: Stage, missing: str, code: str, outcome: Outcome
) -> None:
    google = stage.google
    claims = {"iss": google.url, "aud": google.client_id, "email": ACCOUNTS[0], "email_verified": True}
    claims.pop(missing, None)
    data = {**google.token_answer(ACCOUNTS[0], tuple(API.scopes)), "refresh_token": "1//r"}
    for name in missing.split(" and "):
        data.pop(name, None)
    if missing != "access_token and id_token":
        context, trying = stage.signin_context(), attempt()
        step = await API.begin(context, trying)
        data["id_token"] = google.id_token(**claims, nonce=step.private["nonce"].reveal())
        trying = type(trying)(
            redirect_uri=REDIRECT, hint="", state="s", verifier=trying.verifier, private=step.private
        )
    else:
        context, trying = stage.signin_context(), attempt()
    google.fail("/token", status=200, body=data)
    with pytest.raises(DeliveryError) as caught:
        await API.finish(context, trying, {"code": "4/x", "state": "s"})
    assert (caught.value.problem.code, caught.value.outcome) == (code, outcome)


@pytest.mark.parametrize("bare", [True, False])
async def test_google_names_itself_with_or_without_the_scheme(stage: Stage, bare: bool) -> None:
    google, context, trying = stage.google, stage.signin_context(), attempt()
    step = await API.begin(context, trying)
    issuer = google.url.removeprefix("https://") if bare else google.url
    claims = {"iss": issuer, "aud": google.client_id, "email": ACCOUNTS[0], "email_verified": True}
    raw = google.id_token(**claims, nonce=step.private["nonce"].reveal())
    data = {**google.token_answer(ACCOUNTS[0], tuple(API.scopes)), "refresh_token": "1//r", "id_token": raw}
    google.fail("/token", status=200, body=data)
    trying = type(trying)(
        redirect_uri=REDIRECT, hint="", state="s", verifier=trying.verifier, private=step.private
    )
    assert (await API.finish(context, trying, {"code": "4/x"})).account == ACCOUNTS[0]


@pytest.mark.parametrize("value", ["1//with\nnewline", "x" * 5000, "1//é"])
async def test_a_refresh_token_that_cannot_be_one_is_not_kept(stage: Stage, value: str) -> None:
    data = {**stage.google.token_answer(ACCOUNTS[0], tuple(API.scopes)), "refresh_token": value}
    stage.google.fail("/token", status=200, body=data)
    with pytest.raises(DeliveryError) as caught:
        await signed_in(stage, API)
    assert value not in json.dumps(caught.value.problem.to_dict())


async def test_a_grant_that_was_not_ours_is_refused_without_showing_it(stage: Stage) -> None:
    grant = stage.grant()
    broken = type(grant)(account="", scopes=grant.scopes, secret=Secret("m4rker"))
    with pytest.raises(Held) as caught:
        await API.refresh(stage.signin_context(), broken, SEND)
    assert caught.value.problem.code == "OAUTH-REVOKED"
    assert "m4rker" not in str(caught.value)
    await API.revoke(stage.signin_context(), broken)
    assert stage.google.requests == []
