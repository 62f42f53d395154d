"""A check tells the steps in the order in which they happen, and ends at the first problem."""

import pytest

from recapito.profile import Found
from recapito.testing import ScriptServer, SmtpServer, TestContext
from recapito.testing.script import close, polite

pytestmark = pytest.mark.anyio

USER = "anna@example.it"
SSL = ["name", "port", "encryption", "answer", "sign-in", "sender", "recipient", "message"]
STARTTLS = ["name", "port", "answer", "encryption", "sign-in", "sender", "recipient", "message"]


@pytest.mark.parametrize(("tls", "order"), [("ssl", SSL), ("starttls", STARTTLS)])
async def test_steps_come_in_the_order_in_which_they_happen(desk, tls: str, order: list[str]) -> None:
    with SmtpServer(tls=tls, authority=desk.authority, users={USER: desk.password}) as server:
        steps = await desk.check(server, tls)
        assert [step.name for step in steps] == order
        assert all(step.problem is None for step in steps)
        assert all(step.seconds > 0 for step in steps[:-1])
        assert steps[-1].skipped
        found = {step.name: step.detail for step in steps}
        assert "127.0.0.1" in found["name"]
        assert "TLSv1.3" in found["encryption"]
        assert found["sign-in"] == USER
        assert server.messages == []
        assert server.connections == 1


async def test_a_real_message_is_sent_where_it_is_asked_for(desk) -> None:
    with SmtpServer(tls="ssl", authority=desk.authority, users={USER: desk.password}) as server:
        steps = await desk.check(server, "ssl", "me@example.com")
        assert [step.name for step in steps] == SSL
        assert "queued as" in steps[-1].detail
        [message] = server.messages
        assert message.rcpt_tos == ("me@example.com",)
        assert message.message["From"] == USER
        assert message.message["Message-ID"]


async def test_it_ends_at_the_first_problem(desk) -> None:
    with SmtpServer(tls="ssl", authority=desk.authority, users={USER: "another"}) as server:
        steps = await desk.check(server, "ssl", "me@example.com")
        assert [step.name for step in steps] == SSL[:5]
        assert [bool(step.problem) for step in steps] == [False] * 4 + [True]
        server.users = {USER: desk.password}
        for phase, name in (("mail", "sender"), ("rcpt", "recipient"), ("content", "message")):
            server.allow()
            server.refuse(phase, "550 5.7.1 no")
            steps = await desk.check(server, "ssl", "me@example.com")
            assert steps[-1].name == name
            assert steps[-1].problem.reply == "550 5.7.1 no"
        assert server.messages == []


async def test_a_line_lost_in_the_middle_is_that_steps_problem(desk) -> None:
    for verb, name in (
        ("MAIL", "sender"),
        ("RCPT", "recipient"),
        ("DATA", "message"),
        ("content", "message"),
    ):
        with ScriptServer(polite(**{verb: close})) as server:
            steps = await desk.check(server, "plain", "me@example.com")
            assert steps[-1].name == name
            assert steps[-1].problem is not None
            assert (steps[-1].problem.code == "UNCERTAIN") == (verb == "content")


async def test_without_encryption_its_step_is_skipped_aloud(desk) -> None:
    with ScriptServer(polite()) as server:
        steps = await desk.check(server, "plain")
        assert [step.name for step in steps if step.skipped] == ["encryption", "message"]


async def test_what_the_server_lacks_is_told_at_the_sender(desk) -> None:
    with ScriptServer(polite(extensions=("SIZE 10", "AUTH PLAIN"))) as server:
        steps = await desk.check(server, "plain", "me@example.com")
        assert steps[-1].name == "sender"
        assert steps[-1].problem.code == "MSG-TOO-BIG"


async def test_an_address_that_is_none_is_the_recipients_problem(desk) -> None:
    with ScriptServer(polite()) as server:
        steps = await desk.check(server, "plain", "not an address")
        assert steps[-1].name == "recipient"
        assert steps[-1].problem.code.startswith("ADDR-")
        assert b"MAIL" not in server.heard


async def test_a_ca_that_cannot_be_read_is_the_encryptions_problem(desk) -> None:
    from recapito.context import TlsContexts
    from recapito.smtp import check_steps

    class Trusting(TestContext):
        def tls(self, extra_ca=None):
            return TlsContexts().get(extra_ca)

    with ScriptServer(polite()) as server:
        settings = desk.settings(server, "ssl", ca="-----BEGIN CERTIFICATE-----")
        steps = check_steps(settings, desk.sign_in(), desk.profile, Trusting(Found(desk.profile)))
        assert [(step.name, step.problem and step.problem.code) async for step in steps][-1] == (
            "encryption",
            "TLS-CA",
        )


async def test_a_check_that_is_given_up_closes_its_line(desk) -> None:
    from recapito.smtp import check_steps

    with ScriptServer(polite()) as server:
        steps = check_steps(desk.settings(server), desk.sign_in(), desk.profile, desk.context)
        async for step in steps:
            if step.name == "sign-in":
                break
        await steps.aclose()
        assert server.connections == 1


async def test_it_goes_the_same_way_as_a_send(desk) -> None:
    heard = []
    for checks in (True, False):
        with ScriptServer(polite()) as server:
            if checks:
                await desk.check(server, "plain", "me@example.com")
            else:
                async with desk.open(server, signs_in=True) as session:
                    await desk.send(session, ("me@example.com",))
            verbs = [line.split(b" ")[0] for line in server.heard.split(b"\r\n")]
            heard.append(
                [verb for verb in verbs if verb in {b"EHLO", b"AUTH", b"MAIL", b"RCPT", b"DATA", b"QUIT"}]
            )
    assert heard[0] == heard[1]
