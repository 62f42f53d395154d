"""Graph: one request a message, only 202 is accepted, and each refusal has its outcome and its words."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta

import pytest

from recapito.errors import DeliveryError, Held, NotSent, Refused
from recapito.message import Message
from recapito.outcome import Outcome
from recapito.problem import Scope, Who
from recapito.profile import Found
from recapito.rendering import render
from recapito_ms365_oauth.plugin import INFO

pytestmark = pytest.mark.anyio

H, R, M, U = Outcome.HELD, Outcome.NOT_SENT, Outcome.REFUSED, Outcome.UNKNOWN
MAIL = Message(to=["b@example.com"], subject="Fattura", text="ciao")


async def deliver(session, profile, message=MAIL, *, seconds: float = 20.0):
    rendered = render(message, profile)
    try:
        deadline = asyncio.get_running_loop().time() + seconds
        return await session.deliver(rendered.envelope, rendered.content, deadline=deadline)
    finally:
        rendered.content.close()


async def send(stage, message=MAIL, **more):
    session = await INFO.factory().open(stage.profile, stage.session_context(**more))
    try:
        return await deliver(session, stage.profile, message)
    finally:
        await session.close()


def at_graph(microsoft) -> list:
    return [asked for asked in microsoft.requests if asked.path.startswith("/v1.0/")]


# What goes well


async def test_a_message_is_one_request_on_a_kept_connection(microsoft, registered) -> None:
    context = registered.session_context()
    session = await INFO.factory().open(registered.profile, context)
    before = microsoft.connections, len(microsoft.requests)
    for _ in range(5):
        await deliver(session, registered.profile)
    await session.close()
    assert (microsoft.connections - before[0], len(microsoft.requests) - before[1]) == (1, 5)
    assert {asked.path for asked in at_graph(microsoft)} == {"/v1.0/me/sendMail"}


async def test_the_receipt_has_microsofts_id_of_the_request(microsoft, registered) -> None:
    first, second = await send(registered), await send(registered)
    assert first.outcome is Outcome.ACCEPTED
    assert len(first.provider_id) == 36
    assert first.provider_id != second.provider_id
    assert first.server_reply == f"202 Accepted (request-id {first.provider_id})"
    traced = [asked.headers["client-request-id"] for asked in at_graph(microsoft)]
    assert len(set(traced)) == 2


async def test_what_is_sent_is_the_whole_message_in_base64(microsoft, registered) -> None:
    rendered = render(Message(to=["b@example.com"], text="però " * 30_000), registered.profile)
    whole = b"".join([chunk async for chunk in rendered.content.chunks()])
    session = await INFO.factory().open(registered.profile, registered.session_context())
    deadline = asyncio.get_running_loop().time() + 20
    await session.deliver(rendered.envelope, rendered.content, deadline=deadline)
    await session.close()
    [asked] = at_graph(microsoft)
    assert asked.headers["content-type"] == "text/plain"
    assert asked.body == base64.b64encode(whole)
    assert asked.headers["content-length"] == str(len(asked.body))


async def test_hidden_recipients_get_it_and_are_not_named(microsoft, registered) -> None:
    many = [f"persona{number}@example.com" for number in range(200)]
    await send(registered, Message(to=["b@example.com"], bcc=many, text="ciao"))
    [arrived] = microsoft.messages
    assert set(arrived.recipients) == {"b@example.com", *many}
    assert b"persona" not in arrived.content


@pytest.mark.parametrize(
    ("settings", "sender", "path"),
    [
        ({}, "anna@ditta.example", "me"),
        ({"account": "anna@ditta.example"}, "info@ditta.example", "me"),
        (
            {"account": "anna@ditta.example", "through": "mailbox"},
            "info@ditta.example",
            "users/info@ditta.example",
        ),
        ({"sign_in": "app-only"}, "info@ditta.example", "users/info@ditta.example"),
        ({"through": "mailbox"}, "anna@ditta.example", "users/anna@ditta.example"),
    ],
)
async def test_the_mailbox_is_the_one_that_was_chosen(microsoft, registered, settings, sender, path) -> None:
    microsoft.graph.send_as = {("anna@ditta.example", "info@ditta.example")}
    registered.with_(sender, **settings)
    await send(registered)
    [asked] = at_graph(microsoft)
    assert asked.path == f"/v1.0/{path}/sendMail"
    assert microsoft.messages[0].sender == sender


async def test_a_token_that_was_refused_is_renewed_once(microsoft, registered) -> None:
    context = registered.session_context()
    session = await INFO.factory().open(registered.profile, context)
    microsoft.expire_tokens()
    assert (await deliver(session, registered.profile)).outcome is Outcome.ACCEPTED
    assert len(at_graph(microsoft)) == 2
    microsoft.expire_tokens()
    microsoft.revoke("anna@ditta.example")
    with pytest.raises(Held) as caught:
        await deliver(session, registered.profile)
    assert caught.value.problem.code == "OAUTH-REVOKED"
    await session.close()


async def test_a_token_that_is_never_good_is_not_tried_for_ever(microsoft, registered) -> None:
    error = {"error": {"code": "InvalidAuthenticationToken", "message": "Access token is for somebody else."}}
    microsoft.fail("/v1.0/", status=401, body=error, times=None)
    with pytest.raises(Held) as caught:
        await send(registered)
    assert caught.value.problem.code == "OAUTH-REVOKED"
    assert len(at_graph(microsoft)) == 2


# What does not

#: Graph's answers (status, code), and what is made of them.
ROWS = [
    (400, "ErrorInvalidRecipients", "RCPT-SYNTAX", M, Who.OPERATOR),
    (400, "ErrorMimeContentInvalidBase64String", "HTTP-REFUSED", M, Who.OPERATOR),
    (400, "ErrorMessageSizeExceeded", "MSG-TOO-BIG", M, Who.OPERATOR),
    (403, "ErrorSendAsDenied", "SENDER-MS", H, Who.ADMINISTRATOR),
    (403, "ErrorAccessDenied", "M365-ACCESS-DENIED", H, Who.ADMINISTRATOR),
    (403, "Authorization_RequestDenied", "M365-ACCESS-DENIED", H, Who.ADMINISTRATOR),
    (403, "ErrorQuotaExceeded", "M365-MAILBOX-FULL", H, Who.OPERATOR),
    (403, "ErrorExceededMessageLimit", "LIMIT-MS", R, Who.NOBODY),
    (403, "SomethingNew", "HTTP-FORBIDDEN", H, Who.ADMINISTRATOR),
    (404, "ErrorInvalidUser", "M365-NO-MAILBOX", H, Who.ADMINISTRATOR),
    (404, "MailboxNotEnabledForRESTAPI", "M365-NO-MAILBOX", H, Who.ADMINISTRATOR),
    (413, "RequestEntityTooLarge", "MSG-TOO-BIG", M, Who.OPERATOR),
    (429, "ApplicationThrottled", "SLOW-DOWN", R, Who.NOBODY),
    (429, "", "SLOW-DOWN", R, Who.NOBODY),
    (200, "", "HTTP-UNKNOWN", U, Who.OPERATOR),
    (204, "", "HTTP-UNKNOWN", U, Who.OPERATOR),
    (307, "", "HTTP-UNKNOWN", U, Who.OPERATOR),
    (500, "ErrorInternalServerError", "HTTP-UNKNOWN", U, Who.OPERATOR),
    (502, "", "HTTP-UNKNOWN", U, Who.OPERATOR),
    (503, "serviceNotAvailable", "HTTP-UNKNOWN", U, Who.OPERATOR),
    (504, "", "HTTP-UNKNOWN", U, Who.OPERATOR),
]


@pytest.mark.parametrize(
    ("status", "key", "code", "outcome", "who"), ROWS, ids=[f"{r[0]} {r[1]}" for r in ROWS]
)
async def test_an_answer_has_its_outcome(microsoft, registered, status, key, code, outcome, who) -> None:
    body = {"error": {"code": key, "message": "In Microsoft's words."}} if key else b""
    microsoft.fail("/v1.0/", status=status, body=body)
    with pytest.raises(DeliveryError) as caught:
        await send(registered)
    problem = caught.value.problem
    assert (problem.code, caught.value.outcome, problem.outcome, problem.who) == (code, outcome, outcome, who)
    assert str(status) in problem.reply
    assert not key or "In Microsoft's words." in problem.reply
    assert problem.step == "message"
    assert microsoft.messages == []
    assert len(at_graph(microsoft)) == 1
    for language in ("en", "it"):
        assert "…" not in str(problem.explain(language))


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_kept(microsoft, registered, status: int) -> None:
    microsoft.fail("/v1.0/", status=status, headers={"Retry-After": "77"})
    with pytest.raises(NotSent) as caught:
        await send(registered)
    problem = caught.value.problem
    assert timedelta(seconds=70) < problem.retry_at - datetime.now(UTC) <= timedelta(seconds=77)
    assert problem.scope is Scope.PROFILE


async def test_an_alias_that_is_refused_does_not_stop_the_others(microsoft, registered) -> None:
    registered.profile = registered.profile.with_(aliases=("vendite@ditta.example",))
    error = {"error": {"code": "ErrorSendAsDenied", "message": "No right to send as."}}
    microsoft.fail("/v1.0/", status=403, body=error, times=None)
    with pytest.raises(Refused) as caught:
        await send(registered, Message(to=["b@example.com"], sender="vendite@ditta.example", text="ciao"))
    said = caught.value.problem.explain("en").what
    assert caught.value.problem.scope is Scope.MESSAGE
    assert "anna@ditta.example" in said
    assert "vendite@ditta.example" in said
    with pytest.raises(Held) as caught:
        await send(registered)
    assert caught.value.problem.scope is Scope.PROFILE


async def test_an_app_that_was_narrowed_says_so(microsoft, registered) -> None:
    microsoft.graph.scoped = {"altro@ditta.example"}
    registered.with_(sign_in="app-only")
    with pytest.raises(Held) as caught:
        await send(registered)
    assert caught.value.problem.code == "M365-ACCESS-DENIED"
    assert "RBAC" in caught.value.problem.explain("it").do


async def test_what_is_larger_needs_the_setting(microsoft, registered) -> None:
    with pytest.raises(Refused) as caught:
        await send(registered, Message(to=["b@example.com"], text="x" * 2_100_000))
    assert caught.value.problem.code == "MSG-TOO-BIG"
    assert at_graph(microsoft) == []


# A check


async def test_a_check_goes_to_the_sign_in_and_sends_nothing(microsoft, registered) -> None:
    steps = [step async for step in INFO.factory().check(registered.profile, registered.session_context())]
    assert [step.name for step in steps] == [
        "name",
        "port",
        "encryption",
        "sign-in",
        "sender",
        "recipient",
        "message",
    ]
    assert not any(step.problem for step in steps)
    assert [step.name for step in steps if step.skipped] == ["sender", "recipient", "message"]
    assert at_graph(microsoft) == []


async def test_a_check_of_a_host_that_is_not_there_ends_at_its_name(registered) -> None:
    registered.more["graph_root"] = "https://graph.does-not-exist.invalid"
    context = registered.session_context()
    steps = [step async for step in INFO.factory().check(registered.profile, context)]
    assert [step.name for step in steps] == ["name"]
    assert steps[0].problem.code == "NET-DNS"


async def test_a_certificate_that_is_not_known_stops_a_send(microsoft, registered) -> None:
    context = registered.session_context(Found(registered.profile))
    session = await INFO.factory().open(registered.profile, context)
    context.client["ca"] = None
    context._trust, context._contexts = "", {}
    strange = await INFO.factory().open(registered.profile, context)
    with pytest.raises(Held) as caught:
        await deliver(strange, registered.profile)
    assert caught.value.problem.code == "TLS-UNTRUSTED"
    assert at_graph(microsoft) == []
    for each in (session, strange):
        await each.close()
