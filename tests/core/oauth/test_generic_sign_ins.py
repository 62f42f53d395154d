"""The sign-ins for providers that keep to the standards, at one that answers what a test tells it."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from web_server import Registration, WebServer, reply

from recapito.errors import DeliveryError, Held, NotSent
from recapito.oauth import (
    AppSignIn,
    CodeSignIn,
    DeviceSignIn,
    Endpoints,
    OAuthClientSettings,
    challenge,
    new_verifier,
)
from recapito.secret import Secret, Secrets
from recapito.settings import validate
from recapito.signin import Attempt, Grant, Step

pytestmark = pytest.mark.anyio

SEND = frozenset({"mail.send"})
HERE = "http://127.0.0.1:8000/"
TOKENS = {
    "access_token": "access-1",
    "token_type": "Bearer",
    "expires_in": 3600,
    "refresh_token": "refresh-1",
}

Registrar = Callable[..., Registration]


def endpoints(web: WebServer, issuer: str = "") -> Endpoints:
    return Endpoints(
        authorize=web.url("/authorize?tenant=1"),
        token=web.url("/token"),
        revoke=web.url("/revoke"),
        device=web.url("/device"),
        issuer=issuer,
    )


def attempt(**private: str) -> Attempt:
    return Attempt(
        redirect_uri=HERE,
        hint="anna@example.it",
        state="st4te",
        verifier=new_verifier(),
        private=Secrets(private),
    )


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def granted(secret: str = "refresh-1", scopes: frozenset[str] = SEND) -> Grant:
    return Grant(account="anna@example.it", scopes=scopes, secret=Secret(secret))


def id_token(**claims: Any) -> str:
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{part}.c2ln"


async def error_of(awaited: Any) -> DeliveryError:
    with pytest.raises(DeliveryError) as error:
        await awaited
    return error.value


# code


async def test_a_browser_is_sent_with_state_challenge_and_nothing_secret(
    web: WebServer, registration: Registrar
) -> None:
    sign_in = CodeSignIn(
        "acme", SEND, endpoints(web), also=frozenset({"offline_access"}), parameters={"prompt": "consent"}
    )
    tried = attempt()
    step = await sign_in.begin(registration(), tried)
    assert query_of(step.url) == {
        "tenant": "1",
        "prompt": "consent",
        "client_id": "app 1",
        "redirect_uri": HERE,
        "response_type": "code",
        "scope": "mail.send offline_access",
        "state": "st4te",
        "code_challenge": challenge(tried.verifier),
        "code_challenge_method": "S256",
        "login_hint": "anna@example.it",
    }
    assert (len(step.private), web.connections) == (0, 0)


async def test_a_code_is_redeemed_with_its_verifier(web: WebServer, registration: Registrar) -> None:
    web.then(reply(200, TOKENS))
    sign_in = CodeSignIn("acme", SEND, endpoints(web), idle=timedelta(days=90))
    tried = attempt()
    grant = await sign_in.finish(registration(), tried, {"code": "c0de", "state": "st4te"})
    visit = web.visits[0]
    assert visit.form == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": HERE,
        "code_verifier": tried.verifier.reveal(),
    }
    # RFC 6749 §2.3.1: encoded as in a form, then as Basic.
    proof = base64.b64encode(b"app%201:s3cret%20of%20the%20app").decode()
    assert visit.headers["authorization"] == f"Basic {proof}"
    assert (grant.scopes, grant.secret, grant.account) == (SEND, Secret("refresh-1"), "")
    assert grant.idle_until is not None
    assert grant.idle_until - datetime.now(UTC) > timedelta(days=89)


async def test_a_provider_may_want_the_secret_in_the_form_and_a_public_client_has_none(
    web: WebServer, registration: Registrar
) -> None:
    web.default = reply(200, TOKENS)
    await CodeSignIn("acme", SEND, endpoints(web), auth="post").refresh(registration(), granted(), "")
    await CodeSignIn("acme", SEND, endpoints(web)).refresh(registration({}), granted(), "")
    posted, public = web.visits
    assert (posted.form["client_id"], posted.form["client_secret"]) == ("app 1", "s3cret of the app")
    assert public.form == {"grant_type": "refresh_token", "refresh_token": "refresh-1", "client_id": "app 1"}
    assert "authorization" not in posted.headers
    assert "authorization" not in public.headers


async def test_granted_scopes_are_what_the_answer_says(web: WebServer, registration: Registrar) -> None:
    web.then(reply(200, TOKENS | {"scope": "mail.read  openid"}), reply(200, TOKENS | {"scope": ""}))
    sign_in = CodeSignIn("acme", SEND, endpoints(web))
    told = await sign_in.finish(registration(), attempt(), {"code": "c"})
    untold = await sign_in.finish(registration(), attempt(), {"code": "c"})
    assert (told.scopes, untold.scopes) == ({"mail.read", "openid"}, SEND)


async def test_the_id_token_says_who_signed_in(web: WebServer, registration: Registrar) -> None:
    issuer = "https://login.example.com"
    sign_in = CodeSignIn("acme", SEND, endpoints(web, issuer), also=frozenset({"openid", "email"}))
    given = registration()
    tried = attempt()
    step = await sign_in.begin(given, tried)
    nonce = query_of(step.url)["nonce"]
    claims = {"iss": issuer, "aud": "app 1", "exp": 9999999999, "nonce": nonce, "email": "Anna@Example.it"}
    tried = attempt(**{name: step.private[name].reveal() for name in step.private})

    web.then(reply(200, TOKENS | {"id_token": id_token(**claims, email_verified=True)}))
    assert (await sign_in.finish(given, tried, {"code": "c"})).account == "Anna@Example.it"

    # A name that anybody may choose is nobody's word for an address (OpenID Connect Core §5.7).
    named = {**claims, "preferred_username": "anna@example.it"}
    web.then(reply(200, TOKENS | {"id_token": id_token(**named)}))
    assert (await sign_in.finish(given, tried, {"code": "c"})).account == ""

    web.then(reply(200, TOKENS | {"id_token": id_token(**claims, email_verified=False)}))
    assert (await sign_in.finish(given, tried, {"code": "c"})).account == ""

    for wrong in ({"nonce": "other"}, {"aud": "other"}, {"iss": "https://evil.example"}, {"exp": 1}):
        web.then(reply(200, TOKENS | {"id_token": id_token(**claims | wrong)}))
        error = await error_of(sign_in.finish(given, tried, {"code": "c"}))
        assert (type(error), error.problem.code) == (Held, "SIGN-IN-ISSUER")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"iss": "https://login.evil.example", "code": "c0de"}, "SIGN-IN-ISSUER"),
        ({"iss": "https://login.evil.example", "error": "access_denied"}, "SIGN-IN-ISSUER"),
        ({"error": "access_denied", "code": "c0de"}, "OAUTH-POLICY"),
        ({"error": "server_error"}, "OAUTH-TEMPORARY"),
        ({}, "OAUTH-ANSWER"),
        ({"code": ""}, "OAUTH-ANSWER"),
    ],
)
async def test_what_must_not_be_redeemed_goes_nowhere(
    query: dict[str, str], code: str, web: WebServer, registration: Registrar
) -> None:
    sign_in = CodeSignIn("acme", SEND, endpoints(web, "https://login.example.com"))
    error = await error_of(sign_in.finish(registration(), attempt(), query))
    assert (error.problem.code, web.connections) == (code, 0)


async def test_a_grant_that_would_not_last_is_not_one(web: WebServer, registration: Registrar) -> None:
    web.then(reply(200, {name: value for name, value in TOKENS.items() if name != "refresh_token"}))
    error = await error_of(
        CodeSignIn("acme", SEND, endpoints(web)).finish(registration(), attempt(), {"code": "c"})
    )
    assert (type(error), error.problem.code) == (Held, "OAUTH-SCOPE")


@pytest.mark.parametrize(
    "change",
    [
        {"access_token": ""},
        {"access_token": "a\r\nb"},
        {"access_token": None},
        {"expires_in": 0},
        {"token_type": "mac"},
        {"refresh_token": ""},
        {"refresh_token": "a\r\nb"},
        {"refresh_token": "x" * 20_000},
        {"refresh_token": 7},
    ],
)
@pytest.mark.parametrize("flow", ["finish", "refresh"])
async def test_tokens_that_cannot_be_are_not_kept(
    change: dict[str, Any], flow: str, web: WebServer, registration: Registrar
) -> None:
    web.default = reply(200, TOKENS | change)
    sign_in, given = CodeSignIn("acme", SEND, endpoints(web)), registration()
    if flow == "finish":
        error = await error_of(sign_in.finish(given, attempt(), {"code": "c"}))
    else:
        error = await error_of(sign_in.refresh(given, granted(), ""))
    assert type(error) is NotSent
    assert error.problem.code in ("TOKEN-ILL-FORMED", "OAUTH-ANSWER")


# refresh and revoke


async def test_a_refresh_without_rotation_leaves_the_grant_alone(
    web: WebServer, registration: Registrar
) -> None:
    web.then(reply(200, {"access_token": "access-2", "expires_in": 60}))
    refreshed = await CodeSignIn("acme", SEND, endpoints(web)).refresh(registration(), granted(), "")
    assert (refreshed.token.value, refreshed.grant) == (Secret("access-2"), None)
    assert web.visits[0].form == {"grant_type": "refresh_token", "refresh_token": "refresh-1"}


async def test_a_rotated_refresh_token_comes_back_with_the_grant(
    web: WebServer, registration: Registrar
) -> None:
    web.then(reply(200, TOKENS | {"refresh_token": "refresh-2"}))
    refreshed = await CodeSignIn("acme", SEND, endpoints(web)).refresh(registration(), granted(), "")
    assert refreshed.grant == granted("refresh-2")


async def test_a_use_moves_the_end_of_an_idle_grant(web: WebServer, registration: Registrar) -> None:
    web.then(reply(200, {"access_token": "access-2", "expires_in": 60}))
    sign_in = CodeSignIn("acme", SEND, endpoints(web), idle=timedelta(days=30))
    refreshed = await sign_in.refresh(registration(), granted(), "")
    assert refreshed.grant is not None
    assert refreshed.grant.secret == Secret("refresh-1")
    assert refreshed.grant.idle_until is not None
    assert timedelta(days=29) < refreshed.grant.idle_until - datetime.now(UTC) <= timedelta(days=30)


async def test_a_dead_grant_is_asked_once(web: WebServer, registration: Registrar) -> None:
    web.default = reply(400, {"error": "invalid_grant"})
    error = await error_of(CodeSignIn("acme", SEND, endpoints(web)).refresh(registration(), granted(), ""))
    assert (type(error), error.problem.code, len(web.visits)) == (Held, "OAUTH-REVOKED", 1)


async def test_a_grant_is_given_back(web: WebServer, registration: Registrar) -> None:
    sign_in = CodeSignIn("acme", SEND, endpoints(web))
    await sign_in.revoke(registration(), granted())
    assert (web.visits[0].path, web.visits[0].form["token"]) == ("/revoke", "refresh-1")
    web.then(reply(503, b""))
    assert type(await error_of(sign_in.revoke(registration(), granted()))) is NotSent
    await CodeSignIn("acme", SEND, Endpoints(token=web.url())).revoke(registration(), granted())
    assert len(web.visits) == 2


async def test_a_registration_may_name_other_endpoints(
    web: WebServer, other: WebServer, registration: Registrar
) -> None:
    other.default = reply(200, TOKENS)
    given = registration(token_uri=other.url("/t"), auth_uri=other.url("/a"))
    sign_in = CodeSignIn("acme", SEND, endpoints(web))
    assert (await sign_in.begin(given, attempt())).url.startswith(other.url("/a?"))
    await sign_in.refresh(given, granted(), "")
    assert (web.connections, other.visits[0].path) == (0, "/t")


# device


OFFER = {
    "device_code": "device-1",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://example.com/device",
    "expires_in": 1800,
    "interval": 7,
}


async def begun(web: WebServer, given: Registration, **offer: Any) -> Step:
    web.then(reply(200, OFFER | offer))
    return await DeviceSignIn("acme", SEND, endpoints(web)).begin(given, attempt())


def again(step: Step) -> Attempt:
    return attempt(**{name: step.private[name].reveal() for name in step.private})


async def test_a_code_is_offered_for_another_device(web: WebServer, registration: Registrar) -> None:
    step = await begun(web, registration())
    assert (step.url, step.user_code, step.interval) == ("https://example.com/device", "WDJB-MJHT", 7)
    assert step.expires_at is not None
    assert timedelta(seconds=1790) < step.expires_at - datetime.now(UTC) <= timedelta(seconds=1800)
    assert web.visits[0].form == {"client_id": "app 1", "scope": "mail.send"}
    assert "device-1" not in repr(step)


async def test_whoever_is_not_done_is_waited_for_and_slower_where_asked(
    web: WebServer, registration: Registrar
) -> None:
    given, sign_in = registration(), DeviceSignIn("acme", SEND, endpoints(web))
    first = await begun(web, given)
    web.then(
        reply(400, {"error": "authorization_pending"}),
        reply(400, {"error": "slow_down"}),
        reply(400, {"error": "authorization_pending"}),
        reply(200, TOKENS),
    )
    waited = await sign_in.finish(given, again(first), {})
    assert isinstance(waited, Step)
    assert (waited.url, waited.user_code, waited.interval) == (first.url, first.user_code, 7)
    assert waited.expires_at == first.expires_at
    slower = await sign_in.finish(given, again(waited), {})
    assert isinstance(slower, Step)
    still = await sign_in.finish(given, again(slower), {})
    assert isinstance(still, Step)
    assert (slower.interval, still.interval) == (12, 12)
    grant = await sign_in.finish(given, again(still), {})
    assert isinstance(grant, Grant)
    assert grant.secret == Secret("refresh-1")
    assert [visit.form.get("device_code") for visit in web.visits[1:]] == ["device-1"] * 4


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ("access_denied", Held, "OAUTH-POLICY"),
        ("expired_token", Held, "SIGN-IN-STATE"),
        ("invalid_grant", Held, "OAUTH-REVOKED"),
        ("temporarily_unavailable", NotSent, "OAUTH-TEMPORARY"),
    ],
)
async def test_an_offer_ends(
    error: str, kind: type[DeliveryError], code: str, web: WebServer, registration: Registrar
) -> None:
    given = registration()
    step = await begun(web, given)
    web.then(reply(400, {"error": error}))
    found = await error_of(DeviceSignIn("acme", SEND, endpoints(web)).finish(given, again(step), {}))
    assert (type(found), found.problem.code) == (kind, code)


@pytest.mark.parametrize(
    "offer",
    [
        {"device_code": ""},
        {"device_code": None},
        {"user_code": "A\nB"},
        {"user_code": "A" * 100},
        {"verification_uri": "http://example.com/"},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri": None},
    ],
)
async def test_an_offer_that_nobody_can_be_shown_is_none(
    offer: dict[str, Any], web: WebServer, registration: Registrar
) -> None:
    error = await error_of(begun(web, registration(), **offer))
    assert (type(error), error.problem.code) == (NotSent, "OAUTH-ANSWER")


@pytest.mark.parametrize(
    ("offer", "interval"), [(0, 5), (-1, 5), ("x", 5), (None, 5), (0.01, 1), (9999, 60), (True, 5)]
)
async def test_an_interval_is_a_sensible_one(
    offer: Any, interval: float, web: WebServer, registration: Registrar
) -> None:
    assert (await begun(web, registration(), interval=offer)).interval == interval


async def test_a_whole_address_is_shown_where_there_is_one(web: WebServer, registration: Registrar) -> None:
    whole = "https://example.com/device?user_code=WDJB-MJHT"
    assert (await begun(web, registration(), verification_uri_complete=whole)).url == whole
    step = await begun(web, registration(), verification_uri_complete="javascript:x")
    assert step.url == "https://example.com/device"


# app


async def test_an_application_signs_in_without_a_person(web: WebServer, registration: Registrar) -> None:
    web.default = reply(200, {"access_token": "access-1", "token_type": "bearer", "expires_in": 60})
    sign_in = AppSignIn(
        "acme", SEND, endpoints(web), account="info@example.it", parameters={"audience": "mail"}
    )
    given = registration()
    step = await sign_in.begin(given, attempt())
    grant = await sign_in.finish(given, attempt(), {})
    assert (step.url, grant.account, grant.scopes, bool(grant.secret)) == ("", "info@example.it", SEND, False)
    assert web.connections == 0
    refreshed = await sign_in.refresh(given, grant, sign_in.resource)
    await sign_in.revoke(given, grant)
    assert (refreshed.token.value, refreshed.grant) == (Secret("access-1"), None)
    assert web.visits[0].form == {
        "grant_type": "client_credentials",
        "scope": "mail.send",
        "audience": "mail",
    }
    assert len(web.visits) == 1


# settings


def test_every_wrong_setting_of_a_registration_is_named() -> None:
    _, wrong = validate(
        OAuthClientSettings,
        {
            "token_uri": "http://example.com/token",
            "auth_uri": "https://user:pw@example.com/",
            "revoke_uri": "https://example.com/#x",
            "device_uri": "https://exa mple.com/",
            "issuer": "example.com",
            "redirect_uri": "http://erp.example.it/",
            "proxy": "socks5://proxy",
            "ca": "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n",
            "unknown": "1",
        },
        Secrets(),
        package="recapito",
    )
    assert set(wrong) == {
        "client_id",
        "token_uri",
        "auth_uri",
        "revoke_uri",
        "device_uri",
        "issuer",
        "redirect_uri",
        "proxy",
        "ca",
        "unknown",
    }


@pytest.mark.parametrize(
    "redirect", ["https://erp.example.it/oauth", "http://127.0.0.1:1/", "http://[::1]/", ""]
)
def test_good_settings_pass_and_emptied_ones_are_left_out(redirect: str) -> None:
    found, wrong = validate(
        OAuthClientSettings,
        {"client_id": " app ", "redirect_uri": redirect, "token_uri": "https://example.com/token"},
        Secrets({"client_secret": "s"}),
        package="recapito",
    )
    assert wrong == {}
    assert found is not None
    assert found.settings["client_id"] == "app"
