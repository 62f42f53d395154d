"""Signing in with Microsoft: by a browser, by a code on another device, and as the company's app."""

import asyncio
import json
import logging
from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from recapito.errors import DeliveryError, Held, NotSent
from recapito.secret import Secret, Secrets
from recapito.testing import MicrosoftServer
from recapito.transport import Grant, Step
from recapito_ms365_oauth.kept import Kept

pytestmark = pytest.mark.anyio

#: What an app signs in with: nothing of a person's.
NOBODYS = Grant(account="", scopes=frozenset(), secret=Secret(""))


def forms(microsoft, path: str = "/oauth2/v2.0/token") -> list[dict[str, str]]:
    return [asked.form for asked in microsoft.requests if asked.path.endswith(path)]


# By a browser


async def test_a_person_consents_and_a_token_can_be_had(microsoft, registered) -> None:
    grant = await registered.signed_in()
    assert (grant.account, grant.scopes) == ("anna@ditta.example", {"Mail.Send"})
    assert timedelta(days=89) < grant.idle_until - datetime.now(UTC) <= timedelta(days=90)
    refreshed = await registered.sign_in().refresh(registered.context, grant, "graph")
    access = microsoft.access(refreshed.token.value.reveal())
    assert (access.account, access.audience) == ("anna@ditta.example", microsoft.url)
    assert access.scopes == ("Mail.Send",)


async def test_the_address_asks_for_the_least_and_holds_nothing_secret(microsoft, registered) -> None:
    step = await registered.sign_in().begin(registered.context, registered.attempt())
    asked = {name: values[0] for name, values in parse_qs(urlsplit(step.url).query).items()}
    assert asked["scope"].split() == sorted(
        ["email", f"{microsoft.url}/Mail.Send", "offline_access", "openid", "profile"]
    )
    assert asked["code_challenge_method"] == "S256"
    assert asked["login_hint"] == "anna@ditta.example"
    secret = [
        registered.attempt().verifier,
        *registered.secrets.values(),
        *(value for name, value in step.private.items() if name == "nonce"),
    ]
    assert not any(each.reveal() in step.url for each in secret)
    assert asked["nonce"]


@pytest.mark.parametrize("rotates", [True, False])
async def test_each_refresh_is_one_request_and_keeps_the_token_that_came(
    microsoft, registered, rotates: bool
) -> None:
    microsoft.rotates = rotates
    grant = await registered.signed_in()
    microsoft.requests.clear()
    first = await registered.sign_in().refresh(registered.context, grant, "graph")
    second = await registered.sign_in().refresh(registered.context, first.grant, "graph")
    assert len(microsoft.requests) == 2
    kept = [Kept.of(each.secret).refresh_token for each in (grant, first.grant, second.grant)]
    assert len(set(kept)) == (3 if rotates else 1)
    assert first.token.value != second.token.value


@pytest.mark.parametrize(
    ("settings", "audience", "scopes"),
    [
        ({"send_by": "smtp"}, "https://outlook.office.com", {"SMTP.Send"}),
        ({"large_attachments": True}, "", {"Mail.Send", "Mail.ReadWrite"}),
    ],
)
async def test_another_way_asks_for_other_permissions(
    microsoft, registered, settings, audience: str, scopes: set[str]
) -> None:
    registered.with_(**settings)
    grant = await registered.signed_in()
    assert grant.scopes == scopes
    sign_in = registered.sign_in()
    token = (await sign_in.refresh(registered.context, grant, sign_in.resource)).token
    access = microsoft.access(token.value.reveal())
    assert (access.audience, set(access.scopes)) == (audience or microsoft.url, scopes)


async def test_what_was_unticked_is_not_said_to_be_granted(microsoft, registered) -> None:
    registered.with_(large_attachments=True)
    microsoft.consents("anna@ditta.example", untick=[f"{microsoft.url}/Mail.ReadWrite"])
    assert (await registered.signed_in()).scopes == {"Mail.Send"}


async def test_another_account_is_named(microsoft, registered) -> None:
    microsoft.consents("carlo@ditta.example")
    assert (await registered.signed_in()).account == "carlo@ditta.example"


async def test_without_a_refresh_token_nothing_lasts(microsoft, registered) -> None:
    microsoft.consents("anna@ditta.example", untick=["offline_access"])
    with pytest.raises(Held) as caught:
        await registered.signed_in()
    assert caught.value.problem.code == "OAUTH-SCOPE"


async def test_a_sign_in_name_is_the_account_and_the_address_where_the_tenant_says_so(
    microsoft, registered
) -> None:
    class Named:
        email = "anna@ditta.example"

    original = microsoft.id_token
    microsoft.id_token = lambda **claims: original(
        **{**claims, "preferred_username": "a.rossi@ditta.onmicrosoft.com", "email": Named.email}
    )
    assert (await registered.signed_in()).account == "anna@ditta.example"
    Named.email = "altro@ditta.example"
    assert (await registered.signed_in()).account == "a.rossi@ditta.onmicrosoft.com"
    # In a tenant of their own anybody may call themselves anything.
    Named.email = "anna@ditta.example"
    registered.more["tenant"] = "common"
    assert (await registered.signed_in()).account == "a.rossi@ditta.onmicrosoft.com"


@pytest.mark.parametrize("tenant", ["common", "organizations", "consumers"])
async def test_an_app_for_every_tenant_takes_each_tenants_own_tokens(microsoft, registered, tenant) -> None:
    registered.more["tenant"] = tenant
    assert (await registered.signed_in()).account == "anna@ditta.example"


@pytest.mark.parametrize(
    ("claim", "value", "code"),
    [
        ("iss", "https://login.example/11111111-2222-3333-4444-555555555555/v2.0", "SIGN-IN-ISSUER"),
        ("tid", "99999999-2222-3333-4444-555555555555", ""),
        ("aud", "another-app", "SIGN-IN-ISSUER"),
        ("nonce", "another nonce", "OAUTH-ANSWER"),
        ("preferred_username", None, ""),
    ],
)
async def test_an_id_token_of_somebody_else_is_refused(microsoft, registered, claim, value, code) -> None:
    original = microsoft.id_token
    microsoft.id_token = lambda **claims: original(**{**claims, claim: value})
    if not code:  # the issuer decides, and the address stands for the name
        assert (await registered.signed_in()).account == "anna@ditta.example"
        return
    with pytest.raises(DeliveryError) as caught:
        await registered.signed_in()
    # msal looks at the nonce itself, and before 1.38 at the audience too.
    assert caught.value.problem.code in (code, "OAUTH-ANSWER")


async def test_a_tenant_of_its_own_is_compared(microsoft, registered) -> None:
    registered.more["tenant"] = "common"
    original = microsoft.id_token
    other = "99999999-2222-3333-4444-555555555555"
    microsoft.id_token = lambda **claims: original(**{**claims, "tid": other})
    with pytest.raises(Held) as caught:
        await registered.signed_in()
    assert caught.value.problem.code == "SIGN-IN-ISSUER"
    microsoft.id_token = lambda **claims: original(**{**claims, "tid": "../../evil"})
    with pytest.raises(NotSent) as caught:
        await registered.signed_in()
    assert caught.value.problem.code == "OAUTH-ANSWER"


@pytest.mark.parametrize("tenant", ["", "common"])
async def test_a_mixed_up_issuer_is_refused_before_the_code_goes_anywhere(
    microsoft, registered, tenant: str
) -> None:
    if tenant:
        registered.more["tenant"] = tenant
    sign_in = registered.sign_in()
    step = await sign_in.begin(registered.context, registered.attempt())
    query = microsoft.visit(step.url)
    for issuer in (
        "https://login.example/v2.0",
        f"{microsoft.url}/x/y/v2.0",
        f"{microsoft.url}.evil.example/t/v2.0",
    ):
        with pytest.raises(Held) as caught:
            await sign_in.finish(registered.context, registered.attempt(step), {**query, "iss": issuer})
        assert caught.value.problem.code == "SIGN-IN-ISSUER"
    assert microsoft.token_requests == 0
    good = f"{microsoft.url}/{microsoft.tenant}/v2.0"
    assert await sign_in.finish(registered.context, registered.attempt(step), {**query, "iss": good})


async def test_a_code_is_worth_something_once(microsoft, registered) -> None:
    sign_in = registered.sign_in()
    step = await sign_in.begin(registered.context, registered.attempt())
    query = microsoft.visit(step.url)
    await sign_in.finish(registered.context, registered.attempt(step), query)
    with pytest.raises(Held):
        await sign_in.finish(registered.context, registered.attempt(step), query)
    for missing in ({}, {"state": query["state"]}, {"code": ""}):
        with pytest.raises(NotSent) as caught:
            await sign_in.finish(registered.context, registered.attempt(step), missing)
        assert caught.value.problem.code == "OAUTH-ANSWER"


async def test_a_tenant_that_is_not_there_is_told_before_anybody_goes_there(microsoft, registered) -> None:
    registered.more["tenant"] = "nowhere.example"
    for name in ("code", "device"):
        with pytest.raises(Held) as caught:
            await registered.sign_in(name).begin(registered.context, registered.attempt())
        problem = caught.value.problem
        assert (problem.code, problem.params["client"]) == ("OAUTH-APP-WRONG", "microsoft")
        assert "nowhere.example" in problem.reply


async def test_a_secret_is_left_out_where_the_redirect_is_a_programs(microsoft, registered) -> None:
    """Entra refuses it: the registration has a web page, which needs it, and a program on this machine."""
    said = {"error": "invalid_client", "error_description": "AADSTS700025: Client is public so neither..."}
    microsoft.fail(f"/{microsoft.tenant}/oauth2/v2.0/token", status=401, body=said)
    grant = await registered.signed_in()
    assert [("client_secret" in form) for form in forms(microsoft)] == [True, False]
    await registered.sign_in().refresh(registered.context, grant, "graph")
    assert "client_secret" not in forms(microsoft)[-1]


async def test_an_app_without_credential_signs_in_persons(microsoft, registered) -> None:
    registered.secrets = Secrets()
    grant = await registered.signed_in()
    await registered.sign_in().refresh(registered.context, grant, "graph")
    assert not any("client_secret" in form for form in forms(microsoft))


async def test_a_certificate_proves_the_app_for_persons_too(microsoft, registered) -> None:
    microsoft.public = False
    pem = microsoft.identity.private_key + microsoft.identity.certificate
    registered.secrets = Secrets({"certificate": pem})
    grant = await registered.signed_in()
    await registered.sign_in().refresh(registered.context, grant, "graph")
    assert all("client_assertion" in form for form in forms(microsoft))


# By a code on another device


async def test_a_device_waits_until_the_person_is_done(microsoft, registered) -> None:
    sign_in = registered.sign_in("device")
    step = await sign_in.begin(registered.context, registered.attempt())
    assert step.url == "https://microsoft.com/devicelogin"
    assert step.interval == 5
    assert step.user_code
    waiting = await sign_in.finish(registered.context, registered.attempt(step), {})
    assert isinstance(waiting, Step)
    assert (waiting.user_code, waiting.url, waiting.expires_at) == (step.user_code, step.url, step.expires_at)
    assert microsoft.token_requests == 1, "it is asked once, and core says when again"
    microsoft.authorize_device(step.user_code)
    grant = await sign_in.finish(registered.context, registered.attempt(waiting), {})
    assert (grant.account, grant.scopes) == ("anna@ditta.example", {"Mail.Send"})
    await sign_in.refresh(registered.context, grant, "graph")
    assert not any("client_secret" in form for form in forms(microsoft)), "the secret is not a device's"
    assert not any("None" in form.values() for form in forms(microsoft, "/devicecode"))


async def test_slow_down_makes_it_slower(microsoft, registered) -> None:
    sign_in = registered.sign_in("device")
    step = await sign_in.begin(registered.context, registered.attempt())
    for expected in (10, 15):
        microsoft.fail(f"/{microsoft.tenant}/oauth2/v2.0/token", status=400, body={"error": "slow_down"})
        step = await sign_in.finish(registered.context, registered.attempt(step), {})
        assert step.interval == expected


async def test_an_interval_of_nothing_does_not_ask_without_end(microsoft, registered) -> None:
    offer = {"device_code": "d", "user_code": "U", "verification_uri": "https://x.example", "interval": 0}
    microsoft.fail(
        f"/{microsoft.tenant}/oauth2/v2.0/devicecode", status=200, body={**offer, "expires_in": 900}
    )
    sign_in = registered.sign_in("device")
    step = await sign_in.begin(registered.context, registered.attempt())
    assert step.interval >= 1
    with pytest.raises(Held):
        await sign_in.finish(registered.context, registered.attempt(step), {})
    assert microsoft.token_requests == 1


@pytest.mark.parametrize("end", ["declined", "expired"])
async def test_a_device_sign_in_that_came_to_nothing_says_why(microsoft, registered, end: str) -> None:
    sign_in = registered.sign_in("device")
    step = await sign_in.begin(registered.context, registered.attempt())
    if end == "declined":
        microsoft.authorize_device(step.user_code, decline=True)
    else:
        for device in microsoft.devices.values():
            device.expires = 0
    with pytest.raises(Held) as caught:
        await sign_in.finish(registered.context, registered.attempt(step), {})
    expected = {"declined": "OAUTH-POLICY", "expired": "SIGN-IN-EXPIRED"}
    assert caught.value.problem.code == expected[end]


@pytest.mark.parametrize(
    "offer",
    [
        {"device_code": "d", "verification_uri": "https://x.example", "expires_in": 900},
        {"device_code": "d", "user_code": "U", "verification_uri": "javascript:alert(1)", "expires_in": 900},
        {"user_code": "U", "verification_uri": "https://x.example", "expires_in": 900},
        {"device_code": "d", "user_code": "U", "verification_uri": "https://x.example", "expires_in": "soon"},
    ],
)
async def test_an_offer_that_nobody_can_take_up_is_none(microsoft, registered, offer) -> None:
    microsoft.fail(f"/{microsoft.tenant}/oauth2/v2.0/devicecode", status=200, body=offer)
    with pytest.raises(NotSent) as caught:
        await registered.sign_in("device").begin(registered.context, registered.attempt())
    assert caught.value.problem.code == "OAUTH-ANSWER"


async def test_a_registration_that_is_no_public_client_cannot_offer_codes(microsoft, registered) -> None:
    microsoft.public = False
    with pytest.raises(Held) as caught:
        await registered.sign_in("device").begin(registered.context, registered.attempt())
    assert caught.value.problem.code == "OAUTH-APP-WRONG"
    assert "public client flows" in caught.value.problem.reply


# As the company's app


def secret(microsoft, registered, tmp_path) -> None:
    registered.secrets = microsoft.client_secrets()


def certificate(microsoft, registered, tmp_path) -> None:
    pem = microsoft.identity.certificate + microsoft.identity.private_key
    registered.secrets = Secrets({"certificate": pem})


def assertion(microsoft, registered, tmp_path) -> None:
    microsoft.identity.assertion = "header.of-the-cluster.signature"
    (tmp_path / "token").write_text("header.of-the-cluster.signature\n")
    registered.secrets = Secrets()
    registered.more["assertion_file"] = str(tmp_path / "token")


@pytest.mark.parametrize("proof", [secret, certificate, assertion])
@pytest.mark.parametrize(("send_by", "audience"), [("graph", ""), ("smtp", "https://outlook.office365.com")])
async def test_an_app_gets_tokens_by_itself(
    microsoft, registered, tmp_path, proof, send_by, audience
) -> None:
    proof(microsoft, registered, tmp_path)
    registered.with_(sign_in="app-only", send_by=send_by)
    sign_in = registered.sign_in("app")
    step = await sign_in.begin(registered.context, registered.attempt())
    assert step == Step()
    grant = await sign_in.finish(registered.context, registered.attempt(step), {})
    assert (grant.account, grant.scopes, grant.idle_until) == ("", frozenset(), None)
    assert microsoft.requests == []
    refreshed = [await sign_in.refresh(registered.context, grant, sign_in.resource) for _ in range(2)]
    assert refreshed[0].token.value != refreshed[1].token.value, "never one from a cache"
    access = microsoft.access(refreshed[1].token.value.reveal())
    assert (access.account, access.audience) == ("", audience or microsoft.url)
    assert len(microsoft.requests) == 2


@pytest.mark.parametrize("tenant", ["common", "organizations", "consumers"])
async def test_an_app_needs_a_tenant_of_its_own(microsoft, registered, tenant: str) -> None:
    registered.more["tenant"] = tenant
    registered.with_(sign_in="app-only")
    with pytest.raises(Held) as caught:
        await registered.sign_in("app").begin(registered.context, registered.attempt())
    assert (caught.value.problem.code, caught.value.problem.params["client"]) == ("M365-TENANT", "microsoft")
    assert microsoft.requests == []


async def test_an_app_needs_something_to_prove_itself(microsoft, registered) -> None:
    registered.secrets = Secrets()
    registered.with_(sign_in="app-only")
    with pytest.raises(Held) as caught:
        await registered.sign_in("app").refresh(registered.context, NOBODYS, "graph")
    assert caught.value.problem.code == "M365-NO-CREDENTIAL"


@pytest.mark.parametrize("text", [None, "", "\xe8"])
async def test_a_file_without_an_assertion_is_named(microsoft, registered, tmp_path, text) -> None:
    assertion(microsoft, registered, tmp_path)
    if text is None:
        (tmp_path / "token").unlink()
    else:
        (tmp_path / "token").write_text(text, encoding="utf-8")
    registered.with_(sign_in="app-only")
    with pytest.raises(Held) as caught:
        await registered.sign_in("app").refresh(registered.context, NOBODYS, "graph")
    assert caught.value.problem.code == "M365-ASSERTION"
    assert caught.value.problem.params["file"] == str(tmp_path / "token")


async def test_an_assertion_is_read_again_each_time(microsoft, registered, tmp_path) -> None:
    assertion(microsoft, registered, tmp_path)
    registered.with_(sign_in="app-only")
    sign_in, grant = registered.sign_in("app"), NOBODYS
    await sign_in.refresh(registered.context, grant, "graph")
    microsoft.identity.assertion = "the.next.one"
    (tmp_path / "token").write_text("the.next.one")
    await sign_in.refresh(registered.context, grant, "graph")


async def test_a_certificate_that_is_not_the_registrations_is_the_administrators(
    microsoft, registered
) -> None:
    other = MicrosoftServer().identity
    registered.secrets = Secrets({"certificate": other.private_key + other.certificate})
    registered.with_(sign_in="app-only")
    with pytest.raises(Held) as caught:
        await registered.sign_in("app").refresh(registered.context, NOBODYS, "graph")
    assert caught.value.problem.code == "OAUTH-APP-SECRET"


# msal


async def test_a_region_of_the_environment_is_not_asked(microsoft, registered, monkeypatch) -> None:
    monkeypatch.setenv("MSAL_FORCE_REGION", "westeurope")
    registered.with_(sign_in="app-only")
    grant = NOBODYS
    assert (await registered.sign_in("app").refresh(registered.context, grant, "graph")).token
    assert [asked.path for asked in microsoft.requests] == [f"/{microsoft.tenant}/oauth2/v2.0/token"]


async def test_a_secret_that_was_put_right_works_at_once(microsoft, registered) -> None:
    registered.with_(sign_in="app-only")
    sign_in, grant = registered.sign_in("app"), NOBODYS
    microsoft.identity.expired = True
    for _ in range(2):
        with pytest.raises(Held):
            await sign_in.refresh(registered.context, grant, "graph")
    assert len(microsoft.requests) == 2, "a refusal is not remembered here: whoever calls decides"
    microsoft.identity.expired = False
    assert await sign_in.refresh(registered.context, grant, "graph")


async def test_refreshes_at_once_do_not_mix(microsoft, registered) -> None:
    grants = []
    for account in ("anna@ditta.example", "bruno@ditta.example"):
        microsoft.consents(account)
        grants.append(await registered.signed_in())
    sign_in = registered.sign_in()
    tokens = await asyncio.gather(
        *(sign_in.refresh(registered.context, grant, "graph") for grant in grants * 4)
    )
    accounts = [microsoft.access(each.token.value.reveal()).account for each in tokens]
    assert accounts == [grant.account for grant in grants] * 4


async def test_the_log_warns_before_a_secret_expires(microsoft, registered, caplog) -> None:
    registered.with_(sign_in="app-only")
    sign_in, grant = registered.sign_in("app"), NOBODYS
    for days, warns in ((60, False), (10, True), (-1, True)):
        caplog.clear()
        registered.more["secret_expires"] = (date.today() + timedelta(days=days)).isoformat()
        with caplog.at_level(logging.WARNING, "recapito"):
            await sign_in.refresh(registered.context, grant, "graph")
        assert bool(caplog.records) is warns


async def test_what_is_no_grant_of_microsofts_is_said_without_showing_it(microsoft, registered) -> None:
    for text in ("not-json-but-secret", json.dumps({"refresh_token": "secret-of-another"})):
        with pytest.raises(ValueError, match="not what a sign-in with Microsoft keeps") as caught:
            Kept.of(Secret(text))
        assert "secret" not in str(caught.value)


async def test_a_cancelled_refresh_ends_at_once(microsoft, registered) -> None:
    grant = await registered.signed_in()
    with microsoft.hold():
        refresh = asyncio.ensure_future(registered.sign_in().refresh(registered.context, grant, "graph"))
        while not microsoft.held():  # noqa: ASYNC110 - the server is in another thread
            await asyncio.sleep(0.005)
        refresh.cancel()
        done, _ = await asyncio.wait([refresh], timeout=5)
        assert done
        assert refresh.cancelled()
