"""Microsoft's SMTP: whose mailbox signs in with whose token, and what it says when it does not want to."""

import asyncio

import pytest

from recapito.catalogue import builtin
from recapito.errors import DeliveryError, Held
from recapito.message import Message
from recapito.outcome import Outcome
from recapito.profile import Profile
from recapito.rendering import render
from recapito.reply import ServerReply
from recapito_ms365_oauth.plugin import INFO

pytestmark = pytest.mark.anyio


@pytest.fixture
def exchange(microsoft, registered):
    registered.with_(send_by="smtp")
    with microsoft.smtp() as server:
        registered.more |= {"smtp_host": "localhost", "smtp_port": server.port}
        yield server


async def send(stage, *, context=None, sender: str | None = None):
    session = await INFO.factory().open(stage.profile, context or stage.session_context())
    rendered = render(Message(to=["b@example.com"], text="ciao", sender=sender), stage.profile)
    try:
        deadline = asyncio.get_running_loop().time() + 20
        return await session.deliver(rendered.envelope, rendered.content, deadline=deadline)
    finally:
        rendered.content.close()
        await session.close()


@pytest.mark.parametrize(
    ("settings", "sender", "user"),
    [
        ({}, "anna@ditta.example", "anna@ditta.example"),
        ({"account": "anna@ditta.example"}, "info@ditta.example", "anna@ditta.example"),
        ({"account": "anna@ditta.example", "through": "mailbox"}, "info@ditta.example", "info@ditta.example"),
        ({"sign_in": "app-only"}, "info@ditta.example", "info@ditta.example"),
    ],
)
async def test_the_mailbox_that_sends_signs_in(
    microsoft, registered, exchange, settings, sender: str, user: str
) -> None:
    microsoft.graph.send_as = {("anna@ditta.example", "info@ditta.example")}
    microsoft.identity.full_access = {"info@ditta.example"}
    registered.with_(sender, **settings)
    context = registered.session_context()
    receipt = await send(registered, context=context)
    assert receipt.outcome is Outcome.ACCEPTED
    assert exchange.logins == [user]
    assert exchange.messages[0].envelope_from == sender
    assert set(context.asked) == {"smtp"}
    assert exchange.credentials_in_clear == 0


async def test_the_new_message_id_is_kept_beside_ours(registered, exchange) -> None:
    said = "250 2.0.0 OK <AM0PR0000@AM0PR0000.eurprd01.prod.outlook.com> [Hostname=AM0PR0000.eurprd01.prod.outlook.com]"
    exchange.refuse("content", said)
    receipt = await send(registered)
    assert receipt.outcome is Outcome.ACCEPTED
    assert receipt.provider_id == "AM0PR0000@AM0PR0000.eurprd01.prod.outlook.com"
    assert receipt.message_id.endswith("@ditta.example>")


async def test_smtp_that_is_off_offers_graph_as_one_act(registered, exchange) -> None:
    off = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."
    exchange.refuse("auth", off)
    with pytest.raises(Held) as caught:
        await send(registered)
    problem = caught.value.problem
    assert (problem.code, problem.pauses) == ("M365-SMTP-OFF", True)
    for language in ("en", "it"):
        assert "--to graph" in problem.explain(language).do
    assert INFO.modes["graph"] == {"send_by": "graph"}


HOST = "smtp.office365.com"
#: What Exchange says to a token, and what is made of it (providers §2.4).
ROWS = [
    ("auth", "535 5.7.3 Authentication unsuccessful", "OAUTH-REVOKED", Outcome.HELD),
    (
        "auth",
        "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria",
        "M365-POLICY",
        Outcome.HELD,
    ),
    (
        "mail",
        "430 4.2.0 STOREDRV; mailbox logon failure; cannot open",
        "M365-MAILBOX-LOGON",
        Outcome.NOT_SENT,
    ),
    ("mail", "432 4.3.2 Concurrent connections limit exceeded", "SLOW-DOWN", Outcome.NOT_SENT),
    ("mail", "550 5.7.57 Client not authenticated to send mail", "M365-NOT-SIGNED-IN", Outcome.HELD),
    (
        "content",
        "554 5.2.252 SendAsDenied; anna@ditta.example not allowed to send as",
        "SENDER-MS",
        Outcome.HELD,
    ),
    (
        "content",
        "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
        "SENDER-MS",
        Outcome.HELD,
    ),
    (
        "content",
        "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException",
        "LIMIT-MS",
        Outcome.NOT_SENT,
    ),
]


@pytest.mark.parametrize(("step", "reply", "code", "outcome"), ROWS, ids=[row[1][:30] for row in ROWS])
async def test_a_reply_has_its_outcome(registered, exchange, step, reply, code, outcome) -> None:
    # Some rules hold at Microsoft's servers only.
    at_microsoft = builtin().explain(
        ServerReply("smtp", int(reply[:3]), reply, reply.split()[1], step=step, host=HOST, credential="token")
    )
    assert (at_microsoft.code, at_microsoft.outcome) == (code, outcome)
    exchange.refuse(step, reply)
    with pytest.raises(DeliveryError) as caught:
        await send(registered)
    assert caught.value.outcome is outcome
    assert reply.partition(" ")[2][:20] in caught.value.problem.reply


async def test_the_servers_own_words_about_a_token_are_kept(microsoft, registered, exchange) -> None:
    context = registered.session_context()
    await context.token("smtp")
    exchange.token_fits = lambda user, token: False
    with pytest.raises(Held) as caught:
        await INFO.factory().open(registered.profile, context)
    problem = caught.value.problem
    assert problem.code in ("OAUTH-REVOKED", "OAUTH-SCOPE")
    assert '"schemes"' in problem.reply
    assert exchange.login_failures == 2, "the token, and once more after one forced refresh"


async def test_a_token_for_graph_does_not_open_smtp(microsoft, registered, exchange) -> None:
    wrong = registered.session_context()
    registered.with_(send_by="graph")
    other = registered.session_context()
    wrong.sign_in, wrong.grant = other.sign_in, other.grant
    registered.with_(send_by="smtp")
    with pytest.raises(DeliveryError) as caught:
        await INFO.factory().open(registered.profile, wrong)
    assert caught.value.problem.pauses


async def test_encryption_that_is_stripped_ends_it_before_the_token(microsoft, registered) -> None:
    registered.with_(send_by="smtp")
    with microsoft.smtp(tls="plain") as server:
        registered.more |= {"smtp_host": "localhost", "smtp_port": server.port}
        context = registered.session_context()
        with pytest.raises(Held) as caught:
            await INFO.factory().open(registered.profile, context)
    assert caught.value.problem.code == "STARTTLS-MISSING"
    assert context.asked == []
    assert server.credentials_in_clear == 0


async def test_a_check_goes_through_every_step(registered, exchange) -> None:
    steps = [step async for step in INFO.factory().check(registered.profile, registered.session_context())]
    assert not any(step.problem for step in steps), [str(step.problem) for step in steps if step.problem]
    assert [step.name for step in steps] == [
        "name",
        "port",
        "answer",
        "encryption",
        "sign-in",
        "sender",
        "recipient",
        "message",
    ]
    assert exchange.messages == []


def test_personal_accounts_have_a_server_of_their_own() -> None:
    by_smtp = {"send_by": "smtp"}
    profiles = [
        Profile.of("a", sender=sender, transport="ms365_oauth", settings=by_smtp)
        for sender in ("anna@ditta.example", "anna@outlook.it", "anna@hotmail.com")
    ]
    hosts = {profile.sender: INFO.for_profile(profile).host(profile) for profile in profiles}
    assert hosts == {
        "anna@ditta.example": "smtp.office365.com",
        "anna@outlook.it": "smtp-mail.outlook.com",
        "anna@hotmail.com": "smtp-mail.outlook.com",
    }
