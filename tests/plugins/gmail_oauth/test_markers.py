"""No token, code, verifier, state, key or secret shows: in logs at DEBUG, errors with their frames, reprs, vars.

Everything succeeds once, and everything fails, with an endpoint that repeats whatever it was told.
"""

import asyncio
import json
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from gmail_stage import ACCOUNTS, REDIRECT, GrantContext, Stage, anna, attempt, key_of

from recapito.envelope import Envelope
from recapito.errors import RecapitoError
from recapito.profile import Found
from recapito.secret import Secret, Secrets
from recapito.testing import Specimen
from recapito.testing.https_asked import Asked, Said, json_said
from recapito.testing.leaks import Leaks
from recapito.transport import Attempt, Token
from recapito_gmail_oauth.google import SEND
from recapito_gmail_oauth.kept import Kept
from recapito_gmail_oauth.plugin import SERVICE_ACCOUNT
from recapito_gmail_oauth.service_account import ServiceAccountSignIn
from recapito_gmail_oauth.signin import GoogleSignIn
from recapito_gmail_oauth.transport import Gmail

pytestmark = pytest.mark.anyio
API = GoogleSignIn("google", "api")


class Watch:
    """Looks at what shows, and knows what must not."""

    def __init__(self) -> None:
        self.leaks = Leaks()
        self.secrets: dict[str, Secret] = {}

    def hide(self, name: str, value: str | Secret) -> None:
        self.secrets[name] = value if isinstance(value, Secret) else Secret(value)

    async def see(self, what: str, work: Awaitable[Any]) -> Any:
        try:
            result = await work
        except RecapitoError as exc:
            self.leaks.look_at_error(what, exc)
            self.leaks.shown.append((f"texts of {what}", json.dumps(exc.problem.to_dict())))
            return None
        self.leaks.look_at(what, result)
        return result

    def found(self) -> list[str]:
        return self.leaks.found(self.secrets.items())


def echoing(asked: Asked) -> Said:
    """An endpoint that repeats what it was told, in its error and beside it."""
    told = asked.body.decode("utf-8", "replace") + " " + " ".join(asked.headers.values())
    plain = " ".join(f"{name}={value}" for name, value in asked.form.items())
    return json_said(400, {"error": "invalid_grant", "error_description": f"{plain} {told}", "message": told})


class Echo(Stage):
    """Its endpoints repeat whatever they are told, once ``on``."""

    on = False

    def __init__(self) -> None:
        super().__init__()
        said = self.google._said
        self.google._said = lambda asked: echoing(asked) if self.on else said(asked)  # type: ignore[method-assign]


async def whole_sign_in(stage: Stage, watch: Watch) -> None:
    context, trying = stage.signin_context(), attempt(ACCOUNTS[0])
    watch.hide("client_secret", stage.google.client_secret)
    watch.hide("state", trying.state)
    watch.hide("verifier", trying.verifier)
    step = await API.begin(context, trying)
    watch.hide("nonce", step.private["nonce"])
    query = await asyncio.to_thread(stage.google.visit, step.url)
    watch.hide("code", query["code"])
    trying = Attempt(
        redirect_uri=REDIRECT, hint="", state=trying.state, verifier=trying.verifier, private=step.private
    )
    watch.leaks.look_at("the attempt's verifier", trying.verifier)
    grant = await watch.see("a sign-in", API.finish(context, trying, query))
    kept = Kept.of(grant.secret)
    assert kept is not None
    watch.hide("refresh token", kept.refresh_token)
    watch.leaks.look_at("what is kept", kept)
    await watch.see("a code used twice", API.finish(context, trying, query))
    refreshed = await watch.see("a refresh", API.refresh(context, grant, SEND))
    watch.hide("access token", refreshed.token.value)
    stage.on = True  # type: ignore[attr-defined]
    await watch.see("an echoed code", API.finish(context, trying, query))
    await watch.see("an echoed refresh", API.refresh(context, grant, SEND))
    await watch.see("an echoed revocation", API.revoke(context, grant))
    stage.on = False  # type: ignore[attr-defined]
    await watch.see("a revocation", API.revoke(context, grant))
    await watch.see("a refresh that is refused", API.refresh(context, grant, SEND))


async def every_refresh(stage: Stage, watch: Watch) -> None:
    context, grant = stage.signin_context(), stage.grant()
    kept = Kept.of(grant.secret)
    assert kept is not None
    watch.hide("refresh token of another", kept.refresh_token)
    for what, fault in (
        ("500", {"status": 500}),
        ("HTML", {"status": 200, "body": "<html>"}),
        ("a cut answer", {"how": "cut", "status": 200, "body": {"access_token": "m4rker-cut-token"}}),
        ("a lost line", {"how": "lost"}),
        ("no token", {"status": 200, "body": {}}),
        ("a bad token", {"status": 200, "body": {"access_token": "m4rker bad token", "expires_in": 5}}),
        ("a bad lifetime", {"status": 200, "body": {"access_token": "m4rker-good-token", "expires_in": "x"}}),
        (
            "a redirect",
            {"status": 302, "headers": {"Location": "https://127.0.0.1:1/?token=m4rker-elsewhere"}},
        ),
    ):
        stage.google.fail("/token", **fault)  # type: ignore[arg-type]
        await watch.see(what, API.refresh(context, grant, SEND))
    for value in ("m4rker-cut-token", "m4rker bad token", "m4rker-good-token", "m4rker-elsewhere"):
        watch.hide(value, value)


async def every_id_token(stage: Stage, watch: Watch) -> None:
    google, context = stage.google, stage.signin_context()
    good = {"iss": google.url, "aud": google.client_id, "email": ACCOUNTS[0], "email_verified": True}
    for number, change in enumerate(
        ({"iss": "https://evil.example"}, {"aud": "2"}, {"email_verified": False})
    ):
        trying = attempt()
        step = await API.begin(context, trying)
        raw = google.id_token(**{**good, "nonce": step.private["nonce"].reveal(), **change})
        watch.hide(f"id token {number}", raw)
        watch.hide(f"nonce {number}", step.private["nonce"])
        google.fail("/token", status=200, body={"id_token": raw, "refresh_token": "1//r", "scope": SEND})
        trying = Attempt(
            redirect_uri=REDIRECT,
            hint="",
            state=trying.state,
            verifier=trying.verifier,
            private=step.private,
        )
        assert await watch.see(f"id token {number}", API.finish(context, trying, {"code": "4/x"})) is None


async def every_assertion(stage: Stage, watch: Watch) -> None:
    context = stage.signin_context(SERVICE_ACCOUNT)
    sign_in = ServiceAccountSignIn(SERVICE_ACCOUNT.name, "api", ACCOUNTS[0])
    lines = key_of(stage)["private_key"].splitlines()
    watch.hide("key", lines[1])
    watch.hide("key's end", lines[-2])
    grant = await sign_in.finish(context, attempt(), {})
    refreshed = await watch.see("an assertion", sign_in.refresh(context, grant, SEND))
    watch.hide("token of the mailbox", refreshed.token.value)
    watch.hide("assertion", stage.google.requests[-1].form["assertion"])
    stage.on = True  # type: ignore[attr-defined]
    await watch.see("an echoed assertion", sign_in.refresh(context, grant, SEND))
    watch.hide("echoed assertion", stage.google.requests[-1].form["assertion"])
    stage.on = False  # type: ignore[attr-defined]
    stage.google.workspace.scopes = set()
    await watch.see("a refused assertion", sign_in.refresh(context, grant, SEND))
    watch.hide("refused assertion", stage.google.requests[-1].form["assertion"])


async def every_send(stage: Stage, watch: Watch) -> None:
    context = stage.context(Found(anna(), Secrets()))
    token: Token = await context.token(SEND)
    watch.hide("bearer", token.value)
    transport = Gmail()
    session = await transport.open(anna(), context)
    envelope = Envelope(ACCOUNTS[0], ("cliente@example.com",))

    async def send() -> Any:
        content = Specimen.of(ACCOUNTS[0], envelope.recipients)
        return await session.deliver(envelope, content, deadline=asyncio.get_running_loop().time() + 5)

    await watch.see("a send", send())
    stage.on = True  # type: ignore[attr-defined]
    await watch.see("an echoed send", send())
    stage.on = False  # type: ignore[attr-defined]
    for status in (401, 403, 429, 500):
        stage.google.fail("/upload", status=status, body={"error": {"message": f"said {status}"}}, times=2)
        await watch.see(f"{status}", send())
        stage.google.behave()
    stage.google.fail("/upload", how="lost")
    await watch.see("a lost answer", send())
    async for step in transport.check(anna(), context):
        watch.leaks.look_at("a step of a check", step)
    for what, value in (("session", session), ("line", session._line), ("transport", transport)):  # type: ignore[attr-defined]
        watch.leaks.look_at(what, value)
    await session.close()


async def wrong_app_password(stage: Stage, watch: Watch) -> None:
    with stage.google.smtp() as server:
        mine = anna(sign_in="app-password")
        found = Found(mine, Secrets({"password": "m4rk erap ppas swrd"}))
        watch.hide("app password", "m4rkerapppasswrd")
        context = GrantContext(found, stage.google.pem, API, stage.signin_context(), stage.grant())
        context.client = {"smtp_host": "localhost", "smtp_port": server.port}
        await watch.see("an app password", Gmail().open(mine, context))
        by_token = anna(send_by="smtp")
        context = stage.context(Found(by_token, Secrets()), smtp_host="localhost", smtp_port=server.port)
        session = await watch.see("a token over SMTP", Gmail().open(by_token, context))
        watch.hide("token over SMTP", (await context.token(SEND)).value)
        await session.close()
        stage.google.revoke(ACCOUNTS[0])
        await watch.see("a dead token over SMTP", Gmail().open(by_token, context))


@pytest.mark.parametrize(
    "play", [whole_sign_in, every_refresh, every_id_token, every_assertion, every_send, wrong_app_password]
)
async def test_nothing_secret_shows(play: Callable[[Stage, Watch], Awaitable[None]]) -> None:
    watch = Watch()
    with Echo() as stage, watch.leaks.listening():
        await play(stage, watch)
    assert len(watch.leaks.shown) > 5, "too little was looked at"
    assert watch.secrets
    shown = watch.found()
    assert not shown, "secrets show:\n" + "\n".join(shown[:20])


async def test_a_grant_does_not_pickle(stage: Stage) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(stage.grant())
