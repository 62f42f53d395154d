"""Calls of an API: what is accepted, what is refused, and what nobody can know."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from web_server import Act, Visit, WebServer, context, reply, serving

from recapito.errors import DeliveryError, Held, NotSent, Refused, UnknownOutcome
from recapito.oauth import ApiLine, Streamed
from recapito.testing import CertificateAuthority, TestContext
from recapito.transport import StepName

pytestmark = pytest.mark.anyio

LineMaker = Callable[..., ApiLine]


@pytest.fixture
def given(authority: CertificateAuthority) -> TestContext:
    return context(authority.pem, "first", "second")


@pytest.fixture
async def line(given: TestContext, tls: ssl.SSLContext) -> AsyncIterator[ApiLine]:
    made = ApiLine(given, "send", tls=tls, host="gmail.googleapis.com", account="anna@example.it")
    yield made
    await made.aclose()


def soon(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def call(line: ApiLine, url: str, **more: Any) -> Any:
    given: dict[str, Any] = {"accept": {200}, "body": b"a message", "deadline": soon(), **more}
    return await line.call("POST", url, **given)


async def cut(visit: Visit) -> None:
    await visit.read()
    visit.writer.transport.abort()


async def garbage(visit: Visit) -> None:
    await visit.read()
    await visit.raw(b"what?\r\n\r\n")
    visit.end()


async def silence(visit: Visit) -> None:
    await visit.read()
    await visit.gone()


async def test_an_accepted_answer_comes_back(line: ApiLine, web: WebServer, given: TestContext) -> None:
    web.then(reply(200, {"id": "1"}))
    answer = await call(line, web.url("/send"), headers={"Content-Type": "message/rfc822"})
    visit = web.visits[0]
    assert answer.json() == {"id": "1"}
    assert (visit.headers["authorization"], visit.headers["content-type"]) == (
        "Bearer first",
        "message/rfc822",
    )
    assert (visit.body, given.asked, line.usable) == (b"a message", ["send"], True)


async def test_a_refused_token_is_renewed_once_and_the_call_made_again(
    line: ApiLine, web: WebServer, given: TestContext
) -> None:
    web.then(reply(401))
    begun = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal begun
        begun += 1
        yield b"a message"

    assert (await call(line, web.url(), body=Streamed(9, chunks))).status == 200
    assert [visit.headers["authorization"] for visit in web.visits] == ["Bearer first", "Bearer second"]
    assert [visit.body for visit in web.visits] == [b"a message"] * 2
    assert (begun, web.connections, line.usable) == (2, 1, True)


async def test_a_token_that_is_refused_twice_holds_the_profile(line: ApiLine, web: WebServer) -> None:
    web.default = reply(401, {"error": {"code": 401, "message": "Invalid Credentials"}})
    with pytest.raises(Held) as error:
        await call(line, web.url())
    assert (len(web.visits), error.value.problem.code) == (2, "OAUTH-REVOKED")
    assert error.value.problem.reply == "401 Invalid Credentials"


async def test_the_same_token_again_is_not_tried_again(
    web: WebServer, authority: CertificateAuthority, tls: ssl.SSLContext
) -> None:
    class Stubborn(TestContext):
        async def token(self, resource: str, **_refused: Any) -> Any:
            return self._tokens[0]

    stubborn = context(authority.pem, "only")
    stubborn.__class__ = Stubborn
    line = ApiLine(stubborn, "send", tls=tls, host="localhost")
    web.default = reply(401)
    with pytest.raises(Held):
        await call(line, web.url())
    await line.aclose()
    assert len(web.visits) == 1


async def test_a_person_who_must_sign_in_is_told_before_anything_is_connected(
    web: WebServer, authority: CertificateAuthority, tls: ssl.SSLContext
) -> None:
    line = ApiLine(context(authority.pem), "send", tls=tls, host="localhost")
    with pytest.raises(Held):
        await call(line, web.url())
    assert (web.connections, line.usable) == (0, True)


async def test_an_address_that_is_a_secret_in_itself_gets_no_token(
    line: ApiLine, web: WebServer, given: TestContext
) -> None:
    web.default = reply(401)
    with pytest.raises(DeliveryError):
        await call(line, web.url("/upload?secret"), authorized=False, step="sender")
    assert "authorization" not in web.visits[0].headers
    assert (given.asked, len(web.visits)) == ([], 1)


@pytest.mark.parametrize(
    ("act", "kind", "code"),
    [
        (reply(400, {"error": {"message": "Recipient address required"}}), Refused, "HTTP-REFUSED"),
        (reply(403, {"error": {"errors": [{"reason": "accessNotConfigured"}]}}), Held, "GOOGLE-API-OFF"),
        (reply(403, {"error": {"code": "ErrorSendAsDenied", "message": "m"}}), Held, "SENDER-MS"),
        (reply(403, {"error": {"message": "Insufficient authentication scopes"}}), Held, "OAUTH-SCOPE"),
        (reply(403, b"no"), Held, "HTTP-FORBIDDEN"),
        (reply(404), Refused, "HTTP-REFUSED"),
        (reply(413), Refused, "MSG-TOO-BIG"),
        (reply(429, {"error": {"errors": [{"reason": "rateLimitExceeded"}]}}), NotSent, "SLOW-DOWN"),
        (reply(503, b"", {"Retry-After": "30"}), NotSent, "HTTP-TEMPORARY"),
    ],
)
@pytest.mark.parametrize("step", ["message", "sender"])
async def test_an_answer_is_an_answer(
    act: Act, kind: type[DeliveryError], code: str, step: StepName, line: ApiLine, web: WebServer
) -> None:
    web.default = act
    with pytest.raises(kind) as error:
        await call(line, web.url(), step=step)
    problem = error.value.problem
    assert (problem.code, problem.step, problem.host) == (code, step, "gmail.googleapis.com")
    assert (len(web.visits), line.usable) == (1, True)


async def test_retry_after_is_when_it_is_tried_again(line: ApiLine, web: WebServer) -> None:
    web.default = reply(429, b"", {"Retry-After": "1200"})
    before = datetime.now(UTC)
    with pytest.raises(NotSent) as error:
        await call(line, web.url())
    assert error.value.problem.retry_at is not None
    assert timedelta(seconds=1199) < error.value.problem.retry_at - before < timedelta(seconds=1300)


@pytest.mark.parametrize(
    "act",
    [
        reply(500, {"error": {"message": "Backend error"}}),
        reply(502, b"<html>Bad gateway</html>"),
        reply(503),
        reply(504),
        reply(500, {"error": {"code": "ErrorSendAsDenied"}}),
        reply(599),
        reply(201, {"id": "1"}),
        reply(202),
        reply(204),
        reply(303, b"", {"Location": "/elsewhere"}),
        reply(307, b"", {"Location": "/elsewhere"}),
        cut,
        garbage,
    ],
)
async def test_what_became_of_it_is_not_known_where_nobody_said(
    act: Act, line: ApiLine, web: WebServer
) -> None:
    web.default = act
    with pytest.raises(UnknownOutcome) as error:
        await call(line, web.url())
    assert error.value.problem.code == "HTTP-UNKNOWN"
    assert [visit.body for visit in web.visits] == [b"a message"]  # once, whatever came


@pytest.mark.parametrize("act", [reply(500), reply(502), reply(204), reply(307), cut, garbage])
async def test_before_the_message_the_same_is_safe_to_try_again(
    act: Act, line: ApiLine, web: WebServer
) -> None:
    web.default = act
    with pytest.raises(NotSent):
        await call(line, web.url(), step="sender")
    assert len(web.visits) == 1


@pytest.mark.parametrize(("step", "kind"), [("message", UnknownOutcome), ("sender", NotSent)])
async def test_silence_after_the_last_byte(
    step: StepName, kind: type[DeliveryError], line: ApiLine, web: WebServer
) -> None:
    web.default = silence
    with pytest.raises(kind):
        await call(line, web.url(), step=step, deadline=soon(0.2))
    assert not line.usable


async def test_a_server_that_takes_only_half_has_not_got_it(line: ApiLine, web: WebServer) -> None:
    async def half(visit: Visit) -> None:
        await visit.gone_without_reading()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield b"x" * 100_000

    web.default = half
    with pytest.raises(NotSent) as error:
        await call(line, web.url(), body=Streamed(40_000_000, chunks), deadline=soon(0.3))
    assert (error.value.problem.code, line.usable) == ("SEND-TIMEOUT", False)


async def test_an_early_yes_is_no_yes(line: ApiLine, web: WebServer) -> None:
    """A server that accepts half a message has accepted nobody knows what."""

    async def early(visit: Visit) -> None:
        await visit.say(200, {"id": "1"})
        await visit.gone()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield b"x" * 100_000

    web.default = early
    with pytest.raises(UnknownOutcome):
        await call(line, web.url(), body=Streamed(40_000_000, chunks))


async def test_an_early_no_is_a_no(line: ApiLine, web: WebServer) -> None:
    async def early(visit: Visit) -> None:
        await visit.say(413)
        await visit.gone()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield b"x" * 100_000

    web.default = early
    with pytest.raises(Refused) as error:
        await call(line, web.url(), body=Streamed(40_000_000, chunks))
    assert error.value.problem.code == "MSG-TOO-BIG"


async def test_a_server_that_cannot_be_reached_has_nothing(line: ApiLine) -> None:
    async with serving(None) as gone:
        pass
    with pytest.raises(NotSent) as error:
        await call(line, gone.url())
    assert (error.value.problem.code, error.value.problem.step) == ("NET-BLOCKED", "port")
    assert not line.usable


async def test_a_bad_certificate_holds_and_gets_no_token(
    line: ApiLine, authority: CertificateAuthority
) -> None:
    async with serving(authority.wrong_host()) as server:
        with pytest.raises(Held) as error:
            await call(line, server.url())
        assert server.visits == []
    assert (error.value.problem.code, error.value.problem.step) == ("TLS-NAME", "encryption")


@pytest.mark.parametrize("read", [True, False])
async def test_a_cancelled_call_says_what_it_knows(read: bool, line: ApiLine, web: WebServer) -> None:
    came = asyncio.Event()

    async def hold(visit: Visit) -> None:
        if read:
            await visit.read()
        came.set()
        await visit.gone_without_reading()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(4 if read else 400):
            yield b"x" * 100_000

    web.default = hold
    body = Streamed(400_000 if read else 40_000_000, chunks)
    asking = asyncio.create_task(call(line, web.url(), body=body))
    await came.wait()
    await asyncio.sleep(0.02)  # the last bytes are on their way, or cannot be
    asking.cancel()
    # What may have left is not known, and a cancellation that is let through says just that.
    with pytest.raises(asyncio.CancelledError if read else NotSent):
        await asking
    assert not line.usable


async def test_a_call_that_waits_for_its_token_ends_with_its_deadline(
    web: WebServer, authority: CertificateAuthority, tls: ssl.SSLContext
) -> None:
    class Slow(TestContext):
        async def token(self, resource: str, **_refused: Any) -> Any:
            await asyncio.Event().wait()

    slow = context(authority.pem)
    slow.__class__ = Slow
    line = ApiLine(slow, "send", tls=tls, host="localhost")
    with pytest.raises(NotSent) as timeout:
        await call(line, web.url(), deadline=soon(0.1))
    asking = asyncio.create_task(call(line, web.url()))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(NotSent) as cancelled:
        await asking
    assert (timeout.value.problem.code, cancelled.value.problem.code) == ("SEND-TIMEOUT", "SEND-CANCELLED")
    assert web.connections == 0


async def test_an_idle_connection_that_ended_makes_no_message_unknown(line: ApiLine, web: WebServer) -> None:
    async def end(visit: Visit) -> None:
        await visit.read()
        await visit.say(200, {"id": "1"})
        visit.end()

    web.default = end
    for _ in range(5):
        assert (await call(line, web.url())).json() == {"id": "1"}
        await web.quiet()
    assert (web.connections, line.usable) == (5, True)


async def test_a_closed_line_carries_nothing(line: ApiLine, web: WebServer) -> None:
    await line.aclose()
    with pytest.raises(NotSent):
        await call(line, web.url())
    assert (web.connections, line.usable) == (0, False)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"error": {"code": 403, "errors": [{"reason": "domainPolicy"}], "status": "X"}}, "domainPolicy"),
        ({"error": {"code": 403, "status": "PERMISSION_DENIED"}}, "PERMISSION_DENIED"),
        (
            {"error": {"code": 403, "status": "X", "details": [{"reason": "SERVICE_DISABLED"}]}},
            "SERVICE_DISABLED",
        ),
        ({"error": {"code": "ErrorAccessDenied"}}, "ErrorAccessDenied"),
        ({"error": "invalid_request"}, "invalid_request"),
        ({"error": {"errors": "x", "code": None, "details": [7]}}, None),
        ({"error": [1]}, None),
        ({}, None),
        (b"<html>", None),
    ],
)
async def test_the_vendors_own_key_is_found(
    body: Any, key: str | None, line: ApiLine, web: WebServer
) -> None:
    web.default = reply(418, body)
    with pytest.raises(DeliveryError) as error:
        await call(line, web.url())
    assert error.value.problem.params.get("error") == key
