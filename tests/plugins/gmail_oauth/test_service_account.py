"""A service account acts for the mailboxes of its Workspace: with a key, and without one."""

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from gmail_stage import ACCOUNTS, Stage, attempt, key_of

from recapito.errors import Held, NotSent
from recapito.problem import Scope, Who
from recapito.testing import TestSignInContext
from recapito.transport import Grant
from recapito_gmail_oauth.google import MAIL, SEND
from recapito_gmail_oauth.plugin import SERVICE_ACCOUNT
from recapito_gmail_oauth.service_account import ServiceAccountSignIn

pytestmark = pytest.mark.anyio
NAME = SERVICE_ACCOUNT.name


def signing(mailbox: str = ACCOUNTS[0], by: str = "api") -> ServiceAccountSignIn:
    return ServiceAccountSignIn(NAME, by, mailbox)


async def granted(context: TestSignInContext, sign_in: ServiceAccountSignIn) -> Grant:
    trying = attempt()
    step = await sign_in.begin(context, trying)
    assert (step.url, step.user_code) == ("", "")
    return await sign_in.finish(context, trying, {})


@pytest.fixture
def identity(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's own Google identity: another service account, which may sign for the company's."""
    own = key_of(stage) | {"client_email": stage.google.workspace.email}
    place = tmp_path / "identity.json"
    place.write_text(json.dumps(own))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(place))


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a Google identity."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.mark.parametrize(("by", "scope"), [("api", SEND), ("smtp", MAIL)])
async def test_a_token_is_the_mailboxs_with_one_scope(stage: Stage, by: str, scope: str) -> None:
    context, sign_in = stage.signin_context(SERVICE_ACCOUNT), signing(by=by)
    grant = await granted(context, sign_in)
    assert (grant.account, grant.scopes) == (ACCOUNTS[0], {scope})
    assert not grant.secret
    assert stage.google.requests == [], "nobody has to be asked for a grant"
    refreshed = await sign_in.refresh(context, grant, scope)
    access = stage.google.access(refreshed.token.value.reveal())
    assert access is not None
    assert (access.account, access.scopes) == (ACCOUNTS[0], (scope,))
    assert refreshed.grant is None
    assert stage.google.token_requests == 1


async def test_two_mailboxes_get_a_token_each(stage: Stage) -> None:
    context = stage.signin_context(SERVICE_ACCOUNT)
    for account in ACCOUNTS:
        sign_in = signing(account)
        token = (await sign_in.refresh(context, await granted(context, sign_in), SEND)).token
        access = stage.google.access(token.value.reveal())
        assert access is not None
        assert access.account == account


async def test_tokens_are_asked_for_where_the_registration_says_and_not_where_the_key_does(
    stage: Stage,
) -> None:
    elsewhere = key_of(stage) | {"token_uri": "https://evil.example/token"}
    context = stage.signin_context(SERVICE_ACCOUNT, {"key": json.dumps(elsewhere)})
    sign_in = signing()
    await sign_in.refresh(context, await granted(context, sign_in), SEND)
    assert stage.google.token_requests == 1


@pytest.mark.parametrize("given", [None, "4242"])
async def test_missing_delegation_names_client_scope_and_screen(stage: Stage, given: str | None) -> None:
    stage.google.workspace.scopes = {MAIL}
    context, sign_in = stage.signin_context(SERVICE_ACCOUNT, client_id=given), signing()
    with pytest.raises(Held) as caught:
        await sign_in.refresh(context, await granted(context, sign_in), SEND)
    problem = caught.value.problem
    assert (problem.code, problem.who, problem.scope) == (
        "GOOGLE-DELEGATION",
        Who.ADMINISTRATOR,
        Scope.CLIENT,
    )
    assert problem.params["client"] == NAME
    for language in ("en", "it"):
        told = problem.explain(language).do
        assert "admin.google.com" in told
        assert (given or stage.google.workspace.client_id) in told
        assert SEND in told
    assert problem.reply is not None
    assert "unauthorized" in problem.reply


REFUSALS = [
    ("invalid_grant", "Invalid email or User ID", "OAUTH-ACCOUNT", Scope.PROFILE),
    ("invalid_grant", "Invalid JWT Signature.", "OAUTH-APP-SECRET", Scope.CLIENT),
    ("invalid_grant", "Invalid grant: account not found", "OAUTH-APP-SECRET", Scope.CLIENT),
    ("access_denied", "Requested client not authorized.", "GOOGLE-DELEGATION", Scope.CLIENT),
    ("unauthorized_client", "Client is unauthorized", "GOOGLE-DELEGATION", Scope.CLIENT),
    ("disabled_client", "The OAuth client was disabled.", "OAUTH-APP-WRONG", Scope.CLIENT),
    ("invalid_scope", "not a valid audience string", "OAUTH-APP-WRONG", Scope.CLIENT),
    ("admin_policy_enforced", "", "OAUTH-POLICY", Scope.PROFILE),
]


@pytest.mark.parametrize(("error", "said", "code", "scope"), REFUSALS)
async def test_what_google_refuses_is_explained(
    stage: Stage, error: str, said: str, code: str, scope: Scope
) -> None:
    stage.google.fail("/token", status=400, body={"error": error, "error_description": said})
    context, sign_in = stage.signin_context(SERVICE_ACCOUNT), signing()
    with pytest.raises(Held) as caught:
        await sign_in.refresh(context, await granted(context, sign_in), SEND)
    problem = caught.value.problem
    assert (problem.code, problem.who, problem.scope) == (code, Who.ADMINISTRATOR, scope)
    assert problem.params["client"] == NAME
    assert stage.google.token_requests == 1


@pytest.mark.parametrize("hours", [-1.5, 1.5])
async def test_a_clock_that_is_off_by_more_than_an_hour_is_told(stage: Stage, hours: float) -> None:
    stage.google.workspace.ahead = hours * 3600
    context, sign_in = stage.signin_context(SERVICE_ACCOUNT), signing()
    with pytest.raises(Held) as caught:
        await sign_in.refresh(context, await granted(context, sign_in), SEND)
    assert caught.value.problem.code == "OAUTH-CLOCK"
    assert stage.google.token_requests == 1, "asked again, it would be refused again"


async def test_another_accounts_key_is_told(stage: Stage) -> None:
    with Stage(own_key=True) as elsewhere:
        context = stage.signin_context(SERVICE_ACCOUNT, {"key": elsewhere.google.service_account()})
    sign_in = signing()
    with pytest.raises(Held) as caught:
        await sign_in.refresh(context, await granted(context, sign_in), SEND)
    assert caught.value.problem.code == "OAUTH-APP-SECRET"


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_a_stumbling_endpoint_is_not_asked_again(stage: Stage, status: int) -> None:
    stage.google.fail("/token", status=status, times=None)
    context, sign_in = stage.signin_context(SERVICE_ACCOUNT), signing()
    with pytest.raises(NotSent) as caught:
        await sign_in.refresh(context, await granted(context, sign_in), SEND)
    assert caught.value.problem.code == "OAUTH-TEMPORARY"
    assert stage.google.token_requests == 1


async def test_a_sign_out_asks_nobody(stage: Stage) -> None:
    context, sign_in = stage.signin_context(SERVICE_ACCOUNT), signing()
    await sign_in.revoke(context, await granted(context, sign_in))
    assert stage.google.requests == []


# Without a key


def keyless(stage: Stage) -> TestSignInContext:
    return stage.signin_context(SERVICE_ACCOUNT, {}, service_account=stage.google.workspace.email)


@pytest.mark.usefixtures("identity")
async def test_without_a_key_this_machines_identity_signs(stage: Stage) -> None:
    stage.google.fail("/token", status=200, body={"access_token": "ya29.the-machine", "expires_in": 3599})
    context, sign_in = keyless(stage), signing()
    refreshed = await sign_in.refresh(context, await granted(context, sign_in), SEND)
    access = stage.google.access(refreshed.token.value.reveal())
    assert access is not None
    assert (access.account, access.scopes) == (ACCOUNTS[0], (SEND,))
    paths = [asked.path for asked in stage.google.requests]
    assert paths[0] == paths[2] == "/token"
    assert paths[1].endswith(":signJwt")
    assert stage.google.connections == 1


ON_GOOGLES_MACHINE = """
import asyncio, json, sys

from recapito.secret import Secrets
from recapito.testing import TestSignInContext
from recapito.transport import Client, Grant
from recapito.secret import Secret
from recapito_gmail_oauth.plugin import SERVICE_ACCOUNT
from recapito_gmail_oauth.service_account import ServiceAccountSignIn

told = json.loads(sys.stdin.read())
context = TestSignInContext(Client(SERVICE_ACCOUNT, settings=told["settings"]), trust=told["pem"])
sign_in = ServiceAccountSignIn(SERVICE_ACCOUNT.name, "api", told["mailbox"])
grant = Grant(account=told["mailbox"], scopes=sign_in.scopes, secret=Secret(""))
print(asyncio.run(sign_in.refresh(context, grant, sign_in.resource)).token.value.reveal())
"""


class Metadata(BaseHTTPRequestHandler):
    """The metadata server of a machine of Google's."""

    def do_GET(self) -> None:
        said: dict[str, object] = {"email": "machine@project.iam.gserviceaccount.com", "scopes": []}
        if "/token" in self.path:
            said = {"access_token": "ya29.the-machine", "expires_in": 3599, "token_type": "Bearer"}
        body = json.dumps(said).encode()
        self.send_response(200 if self.headers.get("Metadata-Flavor") == "Google" else 403)
        for name, value in (
            ("Metadata-Flavor", "Google"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


def test_on_googles_own_machine_the_metadata_server_says_who_signs(stage: Stage, tmp_path: Path) -> None:
    told = {
        "settings": keyless(stage).client.settings,
        "pem": stage.google.pem,
        "mailbox": ACCOUNTS[0],
    }
    with ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        place = f"127.0.0.1:{server.server_port}"
        own = {"GCE_METADATA_HOST": place, "GCE_METADATA_IP": place, "CLOUDSDK_CONFIG": str(tmp_path)}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GOOGLE_")}
        run = subprocess.run(
            [sys.executable, "-c", ON_GOOGLES_MACHINE],
            input=json.dumps(told),
            capture_output=True,
            text=True,
            check=False,
            env=kept | own,
        )
        server.shutdown()
    assert run.returncode == 0, run.stderr
    access = stage.google.access(run.stdout.strip())
    assert access is not None
    assert access.account == ACCOUNTS[0]
    signing = next(asked for asked in stage.google.requests if asked.path.endswith(":signJwt"))
    assert signing.bearer == "ya29.the-machine"


@pytest.mark.usefixtures("identity")
@pytest.mark.parametrize("status", [403, 404, 400])
async def test_a_machine_that_may_not_sign_is_told_which_role_it_lacks(stage: Stage, status: int) -> None:
    stage.google.fail("/token", status=200, body={"access_token": "ya29.the-machine", "expires_in": 3599})
    said = "Permission 'iam.serviceAccounts.signJwt' denied on resource"
    stage.google.fail("/v1/projects", status=status, body={"error": {"code": status, "message": said}})
    context, sign_in = keyless(stage), signing()
    with pytest.raises(Held) as caught:
        await sign_in.refresh(context, await granted(context, sign_in), SEND)
    problem = caught.value.problem
    assert (problem.code, problem.scope) == ("GOOGLE-KEYLESS", Scope.CLIENT)
    assert "Service Account Token Creator" in problem.explain("en").do
    assert "signJwt" in (problem.reply or "")


@pytest.mark.usefixtures("identity")
async def test_the_machines_own_token_is_never_taken_for_the_mailboxs(stage: Stage) -> None:
    stage.google.fail("/token", status=200, body={"access_token": "ya29.the-machine", "expires_in": 3599})
    stage.google.fail("/v1/projects", status=200, body={"nothing": "signed"})
    context, sign_in = keyless(stage), signing()
    with pytest.raises(NotSent) as caught:
        await sign_in.refresh(context, await granted(context, sign_in), SEND)
    assert caught.value.problem.code == "OAUTH-ANSWER"


@pytest.mark.usefixtures("identity")
async def test_a_signing_service_that_stumbles_is_a_passing_failure(stage: Stage) -> None:
    stage.google.fail("/token", status=200, body={"access_token": "ya29.the-machine", "expires_in": 3599})
    stage.google.fail("/v1/projects", status=503)
    context, sign_in = keyless(stage), signing()
    with pytest.raises(NotSent) as caught:
        await sign_in.refresh(context, await granted(context, sign_in), SEND)
    assert caught.value.problem.code == "OAUTH-TEMPORARY"


@pytest.mark.usefixtures("nobody")
async def test_a_machine_without_an_identity_is_told_so(stage: Stage) -> None:
    context, sign_in = keyless(stage), signing()
    with pytest.raises(Held) as caught:
        await sign_in.refresh(context, await granted(context, sign_in), SEND)
    problem = caught.value.problem
    assert (problem.code, problem.scope) == ("GOOGLE-KEYLESS", Scope.CLIENT)
    assert "GOOGLE_APPLICATION_CREDENTIALS" in problem.explain("it").why
    assert stage.google.requests == []
