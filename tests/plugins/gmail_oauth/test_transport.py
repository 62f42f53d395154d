"""gmail_oauth: what is registered, what each way out is, and how an app password signs in."""

import os
import subprocess
import sys

import pytest

from recapito.errors import Misconfigured
from recapito.plugins import Plugins
from recapito.profile import Found, Profile
from recapito.proposal import propose
from recapito.secret import Secrets
from recapito.testing import SmtpServer, TestContext
from recapito_gmail_oauth.google import MAIL, SEND, Google
from recapito_gmail_oauth.plugin import CLIENT, INFO, SERVICE_ACCOUNT
from recapito_gmail_oauth.settings import MODES
from recapito_gmail_oauth.transport import Gmail

pytestmark = pytest.mark.anyio
PASSWORD = {"sign_in": "app-password"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def anna(**settings: object) -> Profile:
    return Profile.of("anna", sender="anna@gmail.com", transport="gmail_oauth", settings=settings)


async def test_an_app_password_signs_in_as_the_account() -> None:
    users = {"anna@gmail.com": "abcdefghijklmnop", "office@gmail.com": "abcdefghijklmnop"}
    with SmtpServer(tls="ssl", users=users) as server:
        transport = Gmail(Google(smtp_host="localhost", smtp_port=server.port))
        for profile in (anna(**PASSWORD), anna(**PASSWORD, account="office@gmail.com")):
            mine = Found(profile, Secrets({"password": "abcd efgh ijkl mnop"}))
            session = await transport.open(profile, TestContext(mine, trust=server.pem))
            await session.close()
        assert server.logins == ["anna@gmail.com", "office@gmail.com"]


async def test_a_missing_password_is_named() -> None:
    mine = anna(**PASSWORD)
    with pytest.raises(Misconfigured) as caught:
        await INFO.factory().open(mine, TestContext(Found(mine)))
    assert caught.value.fields == {"password": "is missing"}
    [step] = [step async for step in INFO.factory().check(mine, TestContext(Found(mine)))]
    assert step.problem is not None
    assert step.problem.code == "SETTINGS-INVALID"


@pytest.mark.parametrize(
    ("settings", "grant", "resource", "client"),
    [
        ({}, "code", SEND, "google"),
        ({"send_by": "api"}, "code", SEND, "google"),
        ({"send_by": "smtp"}, "code", MAIL, "google"),
        ({"sign_in": "service-account"}, "service-account", SEND, "google-service-account"),
        (
            {"sign_in": "service-account", "send_by": "smtp"},
            "service-account",
            MAIL,
            "google-service-account",
        ),
    ],
)
def test_each_sign_in_asks_for_the_least_that_its_way_needs(
    settings: dict[str, object], grant: str, resource: str, client: str
) -> None:
    profile = anna(**settings)
    assert INFO.sign_in(profile) == grant
    sign_in = INFO.sign_ins[grant](profile)
    assert sign_in.resource == resource
    assert sign_in.client == client
    assert sign_in.kind == grant
    assert sign_in.scopes - {"openid", "email"} == {resource}


@pytest.mark.parametrize("settings", [PASSWORD, {"sign_in": "app-password", "send_by": "smtp"}])
def test_an_app_password_leaves_no_grant(settings: dict[str, object]) -> None:
    assert INFO.sign_in(anna(**settings)) == ""


@pytest.mark.parametrize("settings", [{}, {"sign_in": "service-account"}])
def test_the_api_claims_what_it_can_do(settings: dict[str, object]) -> None:
    info = INFO.for_profile(anna(**settings))
    able = info.capabilities
    assert not able.own_envelope
    assert (able.maximum_size, able.maximum_recipients) == (36_700_160, 100)
    assert able.keeps_sent_copy
    assert able.streams
    assert not able.delivery_notices
    assert info.host(anna(**settings)) == "gmail.googleapis.com"


@pytest.mark.parametrize("settings", [PASSWORD, {"send_by": "smtp"}])
def test_smtp_claims_what_it_can_do(settings: dict[str, object]) -> None:
    info = INFO.for_profile(anna(**settings))
    assert info.capabilities.own_envelope
    assert info.capabilities.maximum_size is None
    assert info.host(anna(**settings)) == "smtp.gmail.com"


def test_the_hosts_of_a_client_are_the_profiles() -> None:
    client = {"api_root": "https://api.example.it:8443", "smtp_host": "smtp.example.it"}
    assert INFO.for_profile(anna(), client).host(anna()) == "api.example.it"
    by_smtp = anna(send_by="smtp")
    assert INFO.for_profile(by_smtp, client).host(by_smtp) == "smtp.example.it"


def test_limits_of_both_ways_are_those_of_one_mailbox() -> None:
    from recapito.catalogue import builtin

    hosts = [INFO.for_profile(each).host(each) for each in (anna(), anna(send_by="smtp"))]
    assert builtin().for_host(hosts[0]) is builtin().for_host(hosts[1]) is builtin().provider("gmail")
    assert INFO.mailbox(anna()) == INFO.mailbox(anna(send_by="smtp")) == "anna@gmail.com"


def test_who_signs_in_is_the_account_or_the_sender() -> None:
    assert INFO.account(anna()) == "anna@gmail.com"
    assert INFO.account(anna(account="Office@gmail.com")) == "office@gmail.com"
    assert INFO.mailbox(anna(account="Office@gmail.com")) == "office@gmail.com"


def test_settings_that_do_not_validate_raise_nothing() -> None:
    odd = anna(sign_in=7, send_by=["x"], account=3)
    assert INFO.for_profile(odd, {"smtp_port": "x", "api_root": 7, "smtp_host": ["x"]}).host(odd)
    assert INFO.sign_in(odd) not in INFO.sign_ins
    assert INFO.account(odd)


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_validates_and_chooses_its_way(mode: str) -> None:
    from recapito.settings import validate

    validated, wrong = validate(INFO.settings, MODES[mode], Secrets())
    assert wrong == {}
    assert validated is not None
    profile = anna(**validated.settings)
    assert INFO.sign_in(profile) == ("" if mode == "gmail-app-password" else MODES[mode]["sign_in"])


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "gmail-app-password"])
def test_a_password_that_was_kept_does_not_stop_a_move_to_a_grant(mode: str) -> None:
    from recapito.settings import validate

    assert validate(INFO.settings, MODES[mode], Secrets({"password": "abcdefghijklmnop"}))[1] == {}


def test_a_password_for_gmail_alone_is_an_app_password() -> None:
    mine = Profile.of("anna", sender="anna@gmail.com", transport="gmail_oauth")
    proposal = propose(mine, Plugins.load(), has_password=True)
    assert proposal is not None
    assert proposal.profile.settings == PASSWORD
    assert proposal.way.note == "app-password"
    without = propose(mine, Plugins.load(), has_password=False)
    assert without is not None
    assert without.profile.settings == {}
    assert without.way.note == "gmail-signin"


def test_what_is_registered() -> None:
    assert (CLIENT.name, SERVICE_ACCOUNT.name) == ("google", "google-service-account")
    assert CLIENT.loopback == "http://127.0.0.1:{port}/"
    assert SERVICE_ACCOUNT.loopback == ""
    assert {"client_id", "client_secret", "redirect_uri"} <= CLIENT.settings.model_fields.keys()


def test_registering_loads_no_network_library() -> None:
    code = (
        "import sys, recapito_gmail_oauth.plugin\n"
        "print({'aiosmtplib', 'httpx2', 'google.auth', 'recapito.oauth.http', 'recapito.smtp'} & sys.modules.keys())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert run.stdout == "set()\n"
