"""No secret of a sign-in or a send shows anywhere, while everything goes right and everything goes wrong."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from recapito.errors import RecapitoError
from recapito.message import Message
from recapito.rendering import render
from recapito.secret import Secret, Secrets
from recapito.testing.leaks import Leaks
from recapito_ms365_oauth.plugin import INFO

pytestmark = pytest.mark.anyio

TOKEN, DEVICE = "/oauth2/v2.0/token", "/oauth2/v2.0/devicecode"
SECRET_FIELDS = ("client_secret", "code", "refresh_token", "client_assertion", "device_code", "code_verifier")
SPOILT = {"access_token": "", "expires_in": 3599, "refresh_token": "0.a-refresh-token-that-came-with-it"}

#: What the far side does for a whole round: repeat in its refusal all that it was sent, or break off.
ECHOES = [(TOKEN, status) for status in (200, 400, 401, 500)] + [
    (DEVICE, 400),
    ("/sendMail", 403),
    ("/messages", 403),
    ("/attachments", 500),
    ("/createUploadSession", 500),
    ("/send", 200),
]
BREAKS = [
    {"ending": TOKEN, "how": "lost"},
    {"ending": TOKEN, "how": "unread"},
    {"ending": TOKEN, "status": 200, "body": SPOILT},
    {"ending": TOKEN, "status": 200, "body": "<html>a page</html>"},
    {"path": "/uploads/", "how": "lost"},
    {"path": "/uploads/", "status": 500},
    {"path": "/v1.0/", "how": "unread"},
]


def sent_and_issued(microsoft) -> Iterator[tuple[str, Secret]]:
    """Everything that must not show: what went to Entra, what it gave, and the addresses of uploads."""
    for kind, issued in (
        ("token", microsoft.tokens),
        ("grant", microsoft.grants),
        ("device", microsoft.devices),
    ):
        values = list(issued)
        for value in {*values[:3], *values[-3:]}:
            yield kind, Secret(value)
    for asked in microsoft.requests:
        for name in SECRET_FIELDS:
            if value := asked.form.get(name):
                yield name, Secret(value)
        if asked.path.startswith("/uploads/"):
            yield "upload", Secret(asked.path.removeprefix("/uploads/"))


async def sign_in(stage, leaks: Leaks, name: str, what: str) -> None:
    signs_in, context = stage.sign_in(name), stage.context
    leaks.look_at(f"the sign-in {name}", signs_in)
    try:
        step = await signs_in.begin(context, stage.attempt())
        leaks.look_at(f"a step of {name}", step)
        query = {}
        if name == "code":
            query = await asyncio.to_thread(stage.microsoft.visit, step.url)
        elif name == "device":
            stage.microsoft.authorize_device(step.user_code)
        grant = await signs_in.finish(context, stage.attempt(step), query)
        leaks.look_at(f"a grant of {name}", grant)
        leaks.look_at(f"a refresh of {name}", await signs_in.refresh(context, grant, signs_in.resource))
    except RecapitoError as exc:
        # The frame of finish() holds the query, as the contract has it: core leaves these frames behind.
        leaks.look_at_error(f"{name}, {what}", exc.with_traceback(None))


async def send(stage, leaks: Leaks, message: Message, what: str) -> None:
    session = None
    try:
        session = await INFO.factory().open(stage.profile, stage.session_context())
        leaks.look_at("a session", session)
        rendered = render(message, stage.profile)
        try:
            deadline = asyncio.get_running_loop().time() + 10
            leaks.look_at(
                "a receipt", await session.deliver(rendered.envelope, rendered.content, deadline=deadline)
            )
        finally:
            rendered.content.close()
    except RecapitoError as exc:
        leaks.look_at_error(what, exc)
    finally:
        if session is not None:
            await session.close()


async def go_round(stage, leaks: Leaks, messages: list[Message], what: str) -> None:
    for name in ("code", "device", "app"):
        await sign_in(stage, leaks, name, what)
    for message in messages:
        await send(stage, leaks, message, what)


@pytest.fixture
def messages(tmp_path) -> list[Message]:
    (tmp_path / "big.bin").write_bytes(os.urandom(3_000_000))
    small = Message(to=["b@example.com"], text="ciao")
    return [small, Message(to=["b@example.com"], text="ciao", attachments=[tmp_path / "big.bin"])]


def judge(microsoft, leaks: Leaks) -> None:
    planted = {secret.reveal(): (name, secret) for name, secret in sent_and_issued(microsoft)}
    assert planted
    assert leaks.shown
    shown = leaks.found(planted.values())
    assert not shown, "\n".join(sorted(set(shown))[:20])


async def test_nothing_shows_when_all_goes_well(microsoft, registered, messages) -> None:
    registered.with_(large_attachments=True)
    leaks = Leaks()
    with leaks.listening():
        await go_round(registered, leaks, messages, "all well")
    judge(microsoft, leaks)
    assert len(microsoft.messages) == len(microsoft.graph.sent_drafts) == 1


@pytest.mark.parametrize("echo", ECHOES, ids=str)
async def test_nothing_shows_that_is_repeated_to_us(microsoft, registered, messages, echo) -> None:
    registered.with_(large_attachments=True)
    leaks = Leaks()
    with leaks.listening():
        microsoft.echo = echo
        await go_round(registered, leaks, messages, str(echo))
    judge(microsoft, leaks)


@pytest.mark.parametrize("fault", BREAKS, ids=str)
async def test_nothing_shows_where_it_breaks_off(microsoft, registered, messages, fault) -> None:
    registered.with_(large_attachments=True)
    leaks = Leaks()
    with leaks.listening():
        microsoft.fail(times=None, **fault)
        # The names alone: this file's own frames are looked at too.
        await go_round(registered, leaks, messages, " ".join(fault))
    assert not leaks.found([("what came with it", Secret(SPOILT["refresh_token"]))])
    judge(microsoft, leaks)


async def test_a_certificates_key_does_not_show(microsoft, registered) -> None:
    key = microsoft.identity.private_key
    registered.with_(sign_in="app-only")
    leaks = Leaks()
    with leaks.listening():
        for pem in (
            key + microsoft.identity.certificate,
            key.replace("A", "!") + microsoft.identity.certificate,
        ):
            registered.secrets = Secrets({"certificate": pem})
            await sign_in(registered, leaks, "app", "a certificate")
    lines = [line for line in key.splitlines() if not line.startswith("-")]
    assert leaks.shown
    assert not leaks.found(("key", Secret(line)) for line in (*lines[:2], *lines[-2:]))
