"""No token, code, verifier, client secret or address that is one: not in a log, a repr, an error, or its frames."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from web_server import Act, Registration, Visit, WebServer, context, reply

from recapito.errors import DeliveryError
from recapito.oauth import (
    ApiLine,
    BlockingHttp,
    CodeSignIn,
    Endpoints,
    Http,
    HttpFailure,
    Streamed,
    challenge,
    new_verifier,
)
from recapito.secret import Secret
from recapito.signin import Attempt, Grant
from recapito.testing import CertificateAuthority
from recapito.testing.leaks import Leaks

pytestmark = pytest.mark.anyio

TOKEN = "ya29.planted-T0ken_of/anna+1=="
FORM = "client_secret=planted-S3cret&refresh_token=planted-R3fresh"
ADDRESS = "planted-upload-address"
PLANTED = [
    ("token", Secret(TOKEN)),
    ("client secret", Secret("planted-S3cret")),
    ("refresh token", Secret("planted-R3fresh")),
    ("code", Secret("planted-C0de")),
    ("new token", Secret("planted-N3w-token")),
    ("address", Secret(ADDRESS)),
]


@pytest.fixture
def leaks() -> Leaks:
    return Leaks()


async def cut(visit: Visit) -> None:
    await visit.read()
    visit.writer.transport.abort()


async def garbage(visit: Visit) -> None:
    await visit.raw(b"what " + visit.headers["authorization"].encode() + b"\r\n\r\n")
    visit.end()


async def echo(visit: Visit) -> None:
    """Repeats all that it was told, as it came and read."""
    body = (await visit.read()).decode()
    said = [body, " ".join(visit.form.values()), visit.headers.get("authorization", "")]
    await visit.say(400, {"error": "invalid_grant", "error_description": " ".join(said)})


async def silence(visit: Visit) -> None:
    await visit.gone()


async def asked(http: Http, url: str, **more: Any) -> None:
    given = {
        "headers": {"Authorization": Secret(f"Bearer {TOKEN}")},
        "content": Secret(FORM),
        "deadline_in": 0.3,
    }
    await http.request("POST", f"{url}?upload={ADDRESS}", **{**given, **more})


@pytest.mark.parametrize("act", [cut, garbage, silence])
async def test_a_request_that_fails_shows_nothing_it_carried(
    act: Act, web: WebServer, tls: ssl.SSLContext, leaks: Leaks
) -> None:
    web.default = act
    with leaks.listening():
        async with Http(tls) as http:
            with pytest.raises(HttpFailure) as failure:
                await asked(http, web.url())
            leaks.look_at("http", http)
    _without_frames_of_this_file(leaks, failure.value)
    assert len(web.visits) == 1
    assert leaks.found(PLANTED) == []


async def test_a_request_that_is_cancelled_shows_nothing_it_carried(
    web: WebServer, tls: ssl.SSLContext, leaks: Leaks
) -> None:
    came = asyncio.Event()

    async def hold(visit: Visit) -> None:
        came.set()
        await visit.gone()

    web.default = hold
    with leaks.listening():
        async with Http(tls) as http:
            asking = asyncio.create_task(asked(http, web.url(), deadline_in=30))
            await came.wait()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await asking
    _without_frames_of_this_file(leaks, cancelled.value)
    assert leaks.found(PLANTED) == []


async def test_a_body_that_raises_shows_nothing_of_the_head(
    web: WebServer, tls: ssl.SSLContext, leaks: Leaks
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"
        raise LookupError("changed")

    with leaks.listening():
        async with Http(tls) as http:
            with pytest.raises(LookupError) as error:
                await asked(http, web.url(), content=Streamed(2, chunks))
    _without_frames_of_this_file(leaks, error.value)
    assert leaks.found(PLANTED) == []


async def test_an_answer_shows_only_its_status(web: WebServer, tls: ssl.SSLContext, leaks: Leaks) -> None:
    said = {"access_token": "planted-N3w-token", "refresh_token": "planted-R3fresh"}
    web.default = reply(
        200, said, {"Location": f"https://example.com/?code=planted-C0de&{ADDRESS}", "Set-Cookie": TOKEN}
    )
    with leaks.listening():
        async with Http(tls) as http:
            blocking = BlockingHttp(http, 5)
            answer = await asyncio.to_thread(
                blocking.request, "POST", web.url(f"/?{ADDRESS}"), body=FORM.encode()
            )
            leaks.look_at("answer", answer)
    assert answer.json() == said
    assert leaks.found(PLANTED) == []


async def test_the_log_says_who_was_asked_and_what_was_said(
    web: WebServer, tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", "recapito.oauth"):
        async with Http(tls) as http:
            await http.request("GET", web.url(f"/path?{ADDRESS}"), deadline_in=5)
    (record,) = [each for each in caplog.records if each.name == "recapito.oauth"]
    assert record.getMessage().startswith(f"GET localhost:{web.port}: 200 in ")


@pytest.mark.parametrize(
    "act",
    [
        cut,
        echo,
        reply(401, {"error": "invalid_client", "error_description": "not planted-S3cret"}),
        reply(200, {"access_token": "planted-N3w-token\r\nX: 1", "refresh_token": "planted-R3fresh"}),
        reply(200, b'{"access_token": "planted-N3w-token", "refresh'),
        reply(500, b"<html>planted-N3w-token</html>", {"Content-Type": "text/html"}),
        reply(307, b"", {"Location": "https://127.0.0.1:1/?code=planted-C0de"}),
    ],
)
@pytest.mark.parametrize("flow", ["finish", "refresh", "revoke"])
async def test_a_sign_in_that_fails_shows_nothing_it_was_given(
    act: Act, flow: str, web: WebServer, registration: Callable[..., Registration], leaks: Leaks
) -> None:
    web.default = act
    sign_in = CodeSignIn("acme", frozenset({"send"}), Endpoints(token=web.url(), revoke=web.url()))
    given, verifier = registration({"client_secret": "planted-S3cret"}), new_verifier()
    grant = Grant(account="", scopes=frozenset({"send"}), secret=Secret("planted-R3fresh"))
    with leaks.listening():
        if flow == "finish":
            error = await _error_of(lambda: _finish(sign_in, given, verifier))
        elif flow == "refresh":
            error = await _error_of(lambda: sign_in.refresh(given, grant, "send"))
        else:
            error = await _error_of(lambda: sign_in.revoke(given, grant))
    if error is None:
        assert flow == "revoke"  # an answer of 200 is all that it takes
        return
    # As core takes it over: the frames of a sign-in, which was handed the code as it is, are left behind.
    leaks.look_at_error(flow, error.with_traceback(None))
    leaks.look_at("problem", error.problem)
    hidden = [("verifier", verifier), ("challenge", Secret(challenge(verifier)))]
    assert leaks.found([each for each in PLANTED if each[0] != "token"] + hidden) == []


async def _finish(sign_in: CodeSignIn, given: Registration, verifier: Secret) -> None:
    attempt = Attempt(redirect_uri="http://127.0.0.1/", hint="", state="s", verifier=verifier)
    await sign_in.finish(given, attempt, {"code": "planted-C0de", "state": "s"})


async def _error_of(call: Callable[[], Any]) -> DeliveryError | None:
    try:
        await call()
    except DeliveryError as exc:
        return exc
    return None


@pytest.mark.parametrize(
    "act",
    [
        cut,
        garbage,
        silence,
        reply(401, {"error": {"message": f"bad token {TOKEN}"}}),
        reply(403, {"error": {"code": TOKEN, "message": TOKEN}}),
        reply(500, TOKEN.encode()),
    ],
)
async def test_a_call_that_fails_shows_nothing_of_the_token(
    act: Act, web: WebServer, authority: CertificateAuthority, tls: ssl.SSLContext, leaks: Leaks
) -> None:
    web.default = act
    with leaks.listening():
        line = ApiLine(context(authority.pem, TOKEN, "planted-N3w-token"), "send", tls=tls, host="localhost")
        try:
            with pytest.raises(DeliveryError) as error:
                await line.call(
                    "POST",
                    web.url(),
                    accept={200},
                    body=b"message",
                    deadline=asyncio.get_running_loop().time() + 0.3,
                )
        finally:
            await line.aclose()
        leaks.look_at("line", line)
    leaks.look_at("problem", error.value.problem)
    _without_frames_of_this_file(leaks, error.value)
    assert web.visits
    assert leaks.found(PLANTED) == []


def _without_frames_of_this_file(leaks: Leaks, error: BaseException) -> None:
    """A test's own frames hold what it planted; those of the library must not."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    leaks.look_at_error("the failure", error.with_traceback(frames))


def test_these_traps_see_what_they_are_for(leaks: Leaks) -> None:
    with leaks.listening():
        logging.getLogger("careless").debug("%s", TOKEN)
        try:
            _careless(Secret("planted-S3cret"))
        except ValueError as exc:
            leaks.look_at_error("the failure", exc)
    assert {line.split(" (")[0] for line in leaks.found(PLANTED)} == {"token", "client secret"}


def _careless(secret: Secret) -> None:
    revealed = secret.reveal()
    raise ValueError(len(revealed))
