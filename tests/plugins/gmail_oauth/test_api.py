"""The Gmail API: what goes over the line, and what each of its answers means."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from gmail_stage import ACCOUNTS, GrantContext, Stage, anna

from recapito.envelope import Envelope, Notify
from recapito.errors import DeliveryError, NotSent, Refused
from recapito.outcome import Outcome
from recapito.problem import Scope, Who
from recapito.profile import Found
from recapito.receipt import Receipt
from recapito.secret import Secrets
from recapito.testing import Specimen
from recapito.testing.gmail_api import api_error
from recapito.transport import Session
from recapito_gmail_oauth.google import MAIL, SEND
from recapito_gmail_oauth.transport import Gmail

pytestmark = pytest.mark.anyio
UPLOAD = "/upload/gmail/v1/users/me/messages/send"
SENDER, TO = ACCOUNTS[0], "cliente@example.com"
MB = 1_000_000


@asynccontextmanager
async def opened(stage: Stage, **client: Any) -> AsyncIterator[tuple[Session, GrantContext]]:
    context = stage.context(Found(anna(), Secrets()), **client)
    session = await Gmail().open(anna(), context)
    try:
        yield session, context
    finally:
        await session.close()


async def send(session: Session, *hidden: str, **specimen: Any) -> Receipt:
    content = Specimen.of(SENDER, [TO], **specimen)
    deadline = asyncio.get_running_loop().time() + 10
    return await session.deliver(Envelope(SENDER, (TO, *hidden)), content, deadline=deadline)


async def failure(session: Session) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await send(session)
    return caught.value


async def test_a_message_is_one_upload_with_a_token_for_sending(stage: Stage) -> None:
    async with opened(stage) as (session, context):
        receipt = await send(session)
    asked = stage.google.requests[-1]
    assert (asked.method, asked.target) == ("POST", f"{UPLOAD}?uploadType=media")
    assert asked.headers["content-type"] == "message/rfc822"
    assert asked.headers["content-length"] == str(asked.size)
    assert "transfer-encoding" not in asked.headers
    assert receipt.provider_id
    assert receipt.provider_id in (receipt.server_reply or "")
    assert receipt.message_id == "<specimen@example.com>"
    assert set(context.asked) == {SEND}


async def test_messages_share_one_connection_and_one_token(stage: Stage) -> None:
    async with opened(stage) as (session, _):
        before = stage.google.connections
        for number in range(10):
            await send(session, mark=f"number-{number}")
        assert stage.google.connections - before == 1
    uploads = [asked for asked in stage.google.requests if asked.path == UPLOAD]
    assert len(uploads) == 10, "one request a message"
    assert len({asked.connection for asked in uploads}) == 1
    assert stage.google.token_requests == 1
    assert len(stage.google.messages) == 10


async def test_who_is_hidden_gets_it_and_nobody_reads_of_them(stage: Stage) -> None:
    async with opened(stage) as (session, _):
        receipt = await send(session, "capo@example.com", "archivio@example.com")
    assert receipt.accepted == (TO, "capo@example.com", "archivio@example.com")
    [arrived] = stage.google.messages
    assert set(arrived.recipients) == {TO, "capo@example.com", "archivio@example.com"}
    for address in (b"capo@", b"archivio@"):
        assert address not in arrived.content
    uploaded = stage.google.requests[-1].body
    assert uploaded.count(b"capo@") == 1, "named once, for Google, in the Bcc field"


@pytest.mark.parametrize(
    "envelope",
    [
        Envelope(SENDER, ("other@example.com",)),
        Envelope("bruno@example.com", (TO,)),
        Envelope(SENDER, ()),
        Envelope(SENDER, (TO,), frozenset({Notify.FAILURE})),
        Envelope(SENDER, (TO, *(f"p{number}@example.com" for number in range(100)))),
    ],
    ids=["other recipient", "other sender", "no recipient", "notices", "101 recipients"],
)
async def test_what_the_headers_cannot_say_is_refused_before_the_wire(
    stage: Stage, envelope: Envelope
) -> None:
    async with opened(stage) as (session, _):
        before = len(stage.google.requests)
        content = Specimen.of(SENDER, [TO])
        with pytest.raises(Refused):
            await session.deliver(envelope, content, deadline=asyncio.get_running_loop().time() + 5)
        assert (len(stage.google.requests), content.readings) == (before, 0)
        assert session.usable
        await send(session)


async def test_a_bcc_field_that_makes_it_too_big_is_refused(stage: Stage) -> None:
    async with opened(stage) as (session, _):
        with pytest.raises(Refused) as caught:
            await send(session, "capo@example.com", size=36_700_160)
    assert caught.value.problem.code == "MSG-TOO-BIG"


async def test_a_closed_session_sends_nothing(stage: Stage) -> None:
    async with opened(stage) as (session, _):
        await session.close()
        with pytest.raises(NotSent):
            await send(session)
    assert stage.google.messages == []


async def test_a_message_that_waits_for_another_is_not_sent_when_its_time_is_over(stage: Stage) -> None:
    async with opened(stage) as (session, _):
        with stage.google.hold():
            first = asyncio.ensure_future(send(session, mark="first"))
            while not stage.google.held():  # noqa: ASYNC110 - the stand-in runs in a thread
                await asyncio.sleep(0.005)
            content = Specimen.of(SENDER, [TO], mark="second")
            soon = asyncio.get_running_loop().time() + 0.05
            with pytest.raises(NotSent) as caught:
                await session.deliver(Envelope(SENDER, (TO,)), content, deadline=soon)
            assert caught.value.problem.code == "SEND-TIMEOUT"
            assert content.readings == 0
        await first
        assert session.usable
    assert len(stage.google.messages) == 1


async def test_an_expired_token_is_renewed_once_and_the_message_goes_once(stage: Stage) -> None:
    async with opened(stage) as (session, context):
        await send(session, mark="warm")
        stage.google.expire_tokens()
        receipt = await send(session, mark="renewed")
        assert receipt.outcome is Outcome.ACCEPTED
    assert stage.google.token_requests == 2
    assert [b"renewed@" in row.content for row in stage.google.messages] == [False, True]
    assert context.asked[-1] == SEND


async def test_a_token_that_is_refused_again_and_again_holds_the_profile(stage: Stage) -> None:
    stage.google.fail(
        UPLOAD, status=401, body=api_error(401, "authError", "Invalid Credentials").body, times=None
    )
    async with opened(stage) as (session, _):
        error = await failure(session)
    assert (error.problem.code, error.outcome, error.problem.who) == (
        "OAUTH-REVOKED",
        Outcome.HELD,
        Who.OPERATOR,
    )
    uploads = [asked for asked in stage.google.requests if asked.path == UPLOAD]
    assert (len(uploads), stage.google.token_requests) == (2, 2), "one forced refresh, then it stops"
    assert all(asked.bearer for asked in uploads), "no empty bearer is ever sent"


async def test_a_grant_without_the_permission_to_send_is_told(stage: Stage) -> None:
    context = stage.context(Found(anna(), Secrets()))
    context.grant = stage.grant(scope="https://www.googleapis.com/auth/gmail.labels")
    session = await Gmail().open(anna(), context)
    error = await failure(session)
    await session.close()
    assert (error.problem.code, error.outcome) == ("OAUTH-SCOPE", Outcome.HELD)


async def test_a_grant_for_the_whole_mailbox_sends_too(stage: Stage) -> None:
    context = stage.context(Found(anna(), Secrets()))
    context.grant = stage.grant(scope=MAIL)
    session = await Gmail().open(anna(), context)
    assert (await send(session)).outcome is Outcome.ACCEPTED
    await session.close()


H, M, R, U = Outcome.HELD, Outcome.REFUSED, Outcome.NOT_SENT, Outcome.UNKNOWN
P, A, N = Who.OPERATOR, Who.ADMINISTRATOR, Who.NOBODY
ANSWERS: list[tuple[int, str, str, str, Outcome, Who]] = [
    (400, "invalidArgument", "Invalid To header", "HTTP-REFUSED", M, P),
    (400, "badRequest", "Bad Request", "HTTP-REFUSED", M, P),
    (400, "failedPrecondition", "Mail service not enabled", "GOOGLE-NO-MAILBOX", H, A),
    (403, "insufficientPermissions", "Request had insufficient authentication scopes.", "OAUTH-SCOPE", H, P),
    (403, "domainPolicy", "The domain administrators have disabled Gmail apps.", "OAUTH-POLICY", H, A),
    (403, "dailyLimitExceeded", "Daily Limit Exceeded", "LIMIT-DAILY", R, N),
    (403, "userRateLimitExceeded", "User Rate Limit Exceeded", "SLOW-DOWN", R, N),
    (403, "rateLimitExceeded", "Rate Limit Exceeded", "SLOW-DOWN", R, N),
    (403, "accessNotConfigured", "Gmail API has not been used in project 12 before", "GOOGLE-API-OFF", H, A),
    (403, "forbidden", "Delegation denied for anna@example.com", "HTTP-FORBIDDEN", H, A),
    (404, "notFound", "Not Found", "HTTP-REFUSED", M, P),
    (413, "uploadTooLarge", "Request is too large.", "MSG-TOO-BIG", M, P),
    (429, "rateLimitExceeded", "User-rate limit exceeded.", "SLOW-DOWN", R, N),
    (429, "userRateLimitExceeded", "Too many concurrent requests for user", "SLOW-DOWN", R, N),
    (429, "rateLimitExceeded", "User daily sending limit exceeded", "LIMIT-DAILY", R, N),
    (500, "backendError", "Internal Error", "HTTP-UNKNOWN", U, P),
    (502, "backendError", "Bad Gateway", "HTTP-UNKNOWN", U, P),
    (503, "backendError", "Service Unavailable", "HTTP-UNKNOWN", U, P),
    (504, "backendError", "Gateway Timeout", "HTTP-UNKNOWN", U, P),
    (202, "", "", "HTTP-UNKNOWN", U, P),
    (204, "", "", "HTTP-UNKNOWN", U, P),
]


@pytest.mark.parametrize(("status", "reason", "said", "code", "outcome", "who"), ANSWERS)
async def test_each_answer_has_its_outcome_code_and_person(
    stage: Stage, status: int, reason: str, said: str, code: str, outcome: Outcome, who: Who
) -> None:
    body = api_error(status, reason, said).body if reason else b""
    stage.google.fail(UPLOAD, status=status, body=body, times=None)
    async with opened(stage) as (session, _):
        error = await failure(session)
    problem = error.problem
    assert (problem.code, error.outcome, problem.outcome, problem.who) == (code, outcome, outcome, who)
    if outcome is R:
        assert problem.retry_at is not None
        assert problem.retry_at > datetime.now(UTC)
        assert problem.scope is Scope.PROFILE
    if problem.scope is Scope.CLIENT:
        assert problem.params["client"] == "google"
    if said:
        assert said in (problem.reply or ""), "the server's own words are kept"
    uploads = [asked for asked in stage.google.requests if asked.path == UPLOAD]
    assert len(uploads) == 1, "nothing is sent twice"
    assert stage.google.messages == []


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"id": ""}', b'{"id": 7}', b"<html>Sign in to the hotel's network</html>"]
)
async def test_a_200_without_an_id_is_not_taken_for_success(stage: Stage, body: bytes) -> None:
    stage.google.fail(UPLOAD, status=200, body=body)
    async with opened(stage) as (session, _):
        error = await failure(session)
    assert (error.problem.code, error.outcome) == ("HTTP-UNKNOWN", U)


@pytest.mark.parametrize("status", [201, 202, 206])
async def test_no_other_success_is_taken_for_one(stage: Stage, status: int) -> None:
    stage.google.fail(UPLOAD, status=status, body={"id": "18c0"})
    async with opened(stage) as (session, _):
        assert (await failure(session)).outcome is U


async def test_an_answer_that_is_cut_is_not_taken_for_success(stage: Stage) -> None:
    stage.google.fail(UPLOAD, status=200, body={"id": "18c0"}, how="cut")
    async with opened(stage) as (session, _):
        assert (await failure(session)).outcome is U


async def test_a_redirect_takes_neither_token_nor_message_elsewhere(stage: Stage) -> None:
    with Stage() as elsewhere:
        stage.google.fail(UPLOAD, status=307, headers={"Location": f"{elsewhere.google.url}{UPLOAD}"})
        async with opened(stage) as (session, _):
            await failure(session)
        assert elsewhere.google.connections == 0


async def test_a_busy_service_that_names_a_time_has_not_sent(stage: Stage) -> None:
    stage.google.fail(UPLOAD, status=503, headers={"Retry-After": "120"})
    async with opened(stage) as (session, _):
        error = await failure(session)
    assert error.outcome is R
    assert error.problem.retry_at is not None


NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (NOW + timedelta(minutes=15), timedelta(minutes=15)),
        (NOW + timedelta(days=30), timedelta(days=1)),
        (NOW - timedelta(hours=1), timedelta(minutes=1)),
    ],
    ids=["soon", "absurdly late", "over"],
)
async def test_the_time_in_gmails_words_is_when_to_try_again(
    stage: Stage, said: datetime, expected: timedelta
) -> None:
    words = f"User-rate limit exceeded.  Retry after {said:%Y-%m-%dT%H:%M:%S}.123Z"
    stage.google.fail(UPLOAD, status=429, body=api_error(429, "rateLimitExceeded", words).body)
    async with opened(stage) as (session, _):
        error = await failure(session)
    assert error.problem.code == "SLOW-DOWN"
    assert error.problem.retry_at is not None
    off = error.problem.retry_at - (NOW + expected)
    assert abs(off) < timedelta(minutes=2)


async def test_a_retry_after_that_is_no_moment_is_only_shown(stage: Stage) -> None:
    words = "Retry after 2026-99-99T99:99:99Z"
    stage.google.fail(UPLOAD, status=429, body=api_error(429, "rateLimitExceeded", words).body)
    async with opened(stage) as (session, _):
        error = await failure(session)
    assert error.problem.retry_at is not None
    assert "2026-99-99" in (error.problem.reply or "")


def test_a_line_that_ends_in_the_middle_of_the_content_has_not_sent(stage: Stage) -> None:
    content = Specimen.of(SENDER, [TO], size=20 * MB)

    async def attempt() -> DeliveryError:
        async with opened(stage) as (session, _):
            stage.google.fail(UPLOAD, how="unread")
            soon = asyncio.get_running_loop().time() + 10
            with pytest.raises(DeliveryError) as caught:
                await session.deliver(Envelope(SENDER, (TO,)), content, deadline=soon)
            assert not session.usable
        return caught.value

    # Not on anyio's loop: Python 3.11 may end one transport twice where a write fails while it is resumed, says
    # so to the loop's handler, and anyio takes that for the test's failure.
    error = asyncio.run(attempt())
    assert (error.outcome, error.problem.code) == (R, "NET-LOST")
    assert content.handed < 20 * MB


async def test_a_service_account_at_fault_is_named(stage: Stage) -> None:
    mine = anna(sign_in="service-account")
    context = stage.context(Found(mine, Secrets()))
    stage.google.fail(UPLOAD, status=403, body=api_error(403, "accessNotConfigured", "off").body)
    session = await Gmail().open(mine, context)
    error = await failure(session)
    await session.close()
    assert error.problem.params["client"] == "google-service-account"


async def test_the_steps_of_a_check_are_named(stage: Stage) -> None:
    context = stage.context(Found(anna(), Secrets()))
    steps = [step async for step in Gmail().check(anna(), context)]
    assert [step.name for step in steps] == [
        *("name", "port", "encryption", "sign-in", "sender", "recipient", "message"),
    ]
    assert [step.name for step in steps if step.skipped] == ["sender", "recipient", "message"]


async def test_the_message_of_a_check_shares_its_connection(stage: Stage) -> None:
    context = stage.context(Found(anna(), Secrets()))
    await context.token(SEND)
    before = stage.google.connections
    steps = [step async for step in Gmail().check(anna(), context, "anna@example.com")]
    assert [step.problem for step in steps] == [None] * len(steps)
    assert stage.google.connections - before == 1
    [arrived] = stage.google.messages
    assert arrived.recipients == ("anna@example.com",)
    assert json.loads(steps[-1].detail.partition(" ")[2])["id"]
