"""Commands in one flight: what each reply means for each recipient, and what is unknown when the line breaks."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from recapito.errors import DeliveryError, NotSent, Refused, UnknownOutcome
from recapito.outcome import Outcome
from recapito.receipt import Receipt
from recapito.testing import ScriptServer, SmtpServer
from recapito.testing.script import close, hear, hear_bytes, polite, reset, send, silence

pytestmark = pytest.mark.anyio

A, B, C = "a@example.com", "b@example.com", "c@example.com"
OK, REFUSED, NOT_SENT, UNKNOWN = Outcome.ACCEPTED, Outcome.REFUSED, Outcome.NOT_SENT, Outcome.UNKNOWN
WAYS = {
    "bdat": ("8BITMIME", "PIPELINING", "CHUNKING"),
    "data": ("8BITMIME", "PIPELINING"),
    "one": ("8BITMIME",),
}


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def server_for(way: str, **more: Any) -> SmtpServer:
    return SmtpServer(tls="plain", extensions=WAYS[way], **more)


def scripted(way: str, **answers: Any) -> ScriptServer:
    return ScriptServer(polite(extensions=WAYS[way], **answers), polite(extensions=WAYS[way]))


async def outcomes(desk: Any, session: Any, recipients: tuple[str, ...] = (A,), **more: Any) -> list[Outcome]:
    """Of each recipient, whether it comes as a receipt or as an error with one."""
    return [row.outcome for row in (await told(desk, session, recipients, **more)).recipients]


async def told(desk: Any, session: Any, recipients: tuple[str, ...] = (A,), **more: Any) -> Receipt:
    try:
        return await desk.send(session, recipients, **more)
    except DeliveryError as exc:
        if exc.receipt is None:
            raise
        return exc.receipt


async def content_waits(server: SmtpServer) -> None:
    while not server.waiting["content"]:  # noqa: ASYNC110 - the server is in another thread
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)


async def test_a_refused_recipient_fails_only_its_message(desk, way: str) -> None:
    with server_for(way) as server:
        server.refuse("rcpt", "550 5.1.1 unknown", address=B)
        async with desk.open(server) as session:
            assert await outcomes(desk, session, (A, B)) == [OK, REFUSED]
            assert await outcomes(desk, session, (B,)) == [REFUSED]
            assert await outcomes(desk, session, (C,)) == [OK]
            assert session.usable
        assert [message.rcpt_tos for message in server.messages] == [(A,), (C,)]


async def test_everybody_refused_though_data_was_accepted_sends_nothing(desk) -> None:
    with server_for("data") as server:
        server.starts_for_nobody = True
        server.refuse("rcpt", "550 5.1.1 unknown", address=B)
        async with desk.open(server) as session:
            assert await outcomes(desk, session, (B,)) == [REFUSED]
            assert session.usable
            assert await outcomes(desk, session, (A,)) == [OK]
        assert [message.rcpt_tos for message in server.messages] == [(A,)]


async def test_a_content_that_is_taken_for_nobody_leaves_everybody_refused(desk) -> None:
    with scripted("bdat", RCPT="550 5.1.1 unknown", BDAT="250 2.0.0 fine") as server:
        async with desk.open(server) as session:
            assert await outcomes(desk, session, (A, B)) == [REFUSED, REFUSED]


async def test_a_refused_sender_is_everybodys_outcome_and_the_line_goes_on(desk, way: str) -> None:
    with server_for(way) as server:
        server.refuse("mail", "550 5.7.1 no", times=1)
        async with desk.open(server) as session:
            assert await outcomes(desk, session, (A, B)) == [REFUSED, REFUSED]
            assert await outcomes(desk, session, (C,)) == [OK]


async def test_data_accepted_after_a_refused_sender_gets_no_content(desk) -> None:
    with scripted("data", MAIL="550 5.7.1 no") as server:
        async with desk.open(server) as session:
            assert await outcomes(desk, session) == [REFUSED]
            assert not session.usable
        assert b"specimen" not in server.heard


async def test_a_content_accepted_after_a_refused_sender_is_unknown(desk) -> None:
    with scripted("bdat", MAIL="550 5.7.1 no", BDAT="250 2.0.0 fine") as server:
        async with desk.open(server) as session:
            assert await outcomes(desk, session) == [UNKNOWN]
            assert not session.usable


@pytest.mark.parametrize("reply", ["452 4.3.1 full", "554 5.7.1 spam"])
async def test_a_refused_content_is_the_outcome_and_the_line_goes_on(desk, way: str, reply: str) -> None:
    expected = NOT_SENT if reply.startswith("4") else REFUSED
    with server_for(way) as server:
        server.refuse("content", reply, times=1)
        async with desk.open(server) as session:
            assert await outcomes(desk, session, (A, B)) == [expected, expected]
            assert await outcomes(desk, session, (C,)) == [OK]


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
async def test_421_that_closes_the_line_is_not_sent(desk, way: str, verb: str) -> None:
    verb = "BDAT" if (way, verb) == ("bdat", "DATA") else verb
    with scripted(way, **{verb: ["421 4.3.2 shutting down", close]}) as server:
        async with desk.open(server) as session:
            receipt = await told(desk, session, (A, B))
            assert [row.outcome for row in receipt.recipients] == [NOT_SENT, NOT_SENT]
            assert receipt.server_reply == "421 4.3.2 shutting down"
            assert not session.usable


async def test_421_and_then_silence_after_the_content_left_is_unknown(desk) -> None:
    with scripted("bdat", MAIL=["421 4.3.2 shutting down", silence]) as server:
        async with desk.open(server) as session:
            assert (await told(desk, session)).outcome in (NOT_SENT, UNKNOWN)
            assert not session.usable


@pytest.mark.parametrize("ending", [close, reset], ids=["close", "reset"])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "content"])
async def test_a_line_that_breaks_leaves_unknown_only_what_may_have_left(
    desk, way: str, verb: str, ending: Callable[..., Any]
) -> None:
    if way == "bdat" and verb in ("DATA", "content"):
        verb = "BDAT"
    may_have_left = way == "bdat" or verb == "content"
    with scripted(way, **{verb: ending}) as server:
        async with desk.open(server) as session:
            error = await desk.error(session, (A, B))
            assert isinstance(error, UnknownOutcome if may_have_left else NotSent)
            assert not session.usable


async def test_who_was_refused_before_the_line_broke_is_refused_and_the_others_unknown(
    desk, way: str
) -> None:
    with server_for(way) as server:
        server.refuse("rcpt", "550 5.1.1 unknown", address=B)
        server.drop("content")
        async with desk.open(server) as session:
            assert await outcomes(desk, session, (A, B, C)) == [UNKNOWN, REFUSED, UNKNOWN]


@pytest.mark.parametrize("verb", ["MAIL", "RCPT"])
async def test_what_is_no_reply_ends_the_line(desk, way: str, verb: str) -> None:
    with scripted(way, **{verb: "hello there"}) as server:
        async with desk.open(server) as session:
            expected = UNKNOWN if way == "bdat" else NOT_SENT
            assert await outcomes(desk, session) == [expected]
            assert not session.usable


async def test_a_reply_too_many_makes_the_answer_to_the_content_nobodys(desk) -> None:
    _, content = desk.mail((A,))
    answers = b"250 ok\r\n250 ok\r\n250 ok\r\n250 2.0.0 queued\r\n"
    heard = [hear("EHLO"), "250-x\n250-PIPELINING\n250 CHUNKING", hear("MAIL"), hear("RCPT"), hear("BDAT")]
    with ScriptServer(["220 hi", *heard, hear_bytes(content.size), send(answers), silence]) as server:
        async with desk.open(server) as session:
            assert await outcomes(desk, session) == [UNKNOWN]
            assert not session.usable


async def test_a_missing_reply_costs_the_line(desk, way: str) -> None:
    with scripted(way, RCPT=silence) as server:
        async with desk.open(server) as session:
            expected = UNKNOWN if way == "bdat" else NOT_SENT
            assert await outcomes(desk, session) == [expected]


async def test_one_too_many_recipients_go_in_another_transaction(desk, way: str) -> None:
    with server_for(way) as server:
        server.refuse("rcpt", "452 4.5.3 too many recipients", address=C, times=1)
        async with desk.open(server) as session:
            assert await outcomes(desk, session, (A, B, C)) == [OK, OK, OK]
        assert [message.rcpt_tos for message in server.messages] == [(A, B), (C,)]


async def test_a_chunk_that_is_refused_ends_the_content_and_not_the_line(desk) -> None:
    with server_for("bdat") as server:
        server.refuse("data", "452 4.3.1 no room", times=1)
        async with desk.open(server) as session:
            assert await outcomes(desk, session, (A,), size=5_000_000) == [NOT_SENT]
            assert await outcomes(desk, session, (B,)) == [OK]
        assert [message.rcpt_tos for message in server.messages] == [(B,)]


async def test_a_large_content_arrives_as_it_is(desk, way: str) -> None:
    with server_for(way) as server:
        async with desk.open(server) as session:
            _, content = desk.mail((A,), size=3_000_000)
            assert await outcomes(desk, session, (A,), size=3_000_000) == [OK]
        assert len(server.messages[0].content) == content.size


# Several on one line


async def test_chained_only_the_one_whose_content_left_is_unknown(desk) -> None:
    with server_for("data") as server:
        server.drop("content", address=A)
        async with desk.open(server) as session:
            found = await asyncio.gather(*(told(desk, session, (to,)) for to in (A, B, C)))
            assert [receipt.outcome for receipt in found] == [UNKNOWN, NOT_SENT, NOT_SENT]


async def test_chained_a_refused_content_leaves_the_next_alone(desk) -> None:
    with server_for("data") as server:
        server.refuse("content", "554 5.7.1 spam", address=A)
        server.refuse("rcpt", "550 5.1.1 unknown", address=B)
        async with desk.open(server) as session:
            found = await asyncio.gather(*(told(desk, session, (to,)) for to in (A, B, C)))
            assert [receipt.outcome for receipt in found] == [REFUSED, REFUSED, OK]
            assert session.usable


async def test_chained_421_is_the_first_ones_answer_and_the_next_is_not_sent(desk) -> None:
    with scripted("data", content=["421 4.3.2 shutting down", close]) as server:
        async with desk.open(server) as session:
            found = await asyncio.gather(*(told(desk, session, (to,)) for to in (A, B)))
            assert [receipt.outcome for receipt in found] == [NOT_SENT, NOT_SENT]


async def test_chained_one_that_gives_up_while_it_waits_holds_up_nobody(desk) -> None:
    with server_for("data") as server, server.hold("content"):
        async with desk.open(server) as session:
            first = asyncio.create_task(told(desk, session, (A,)))
            await content_waits(server)
            second = asyncio.create_task(told(desk, session, (B,)))
            await asyncio.sleep(0.01)
            second.cancel()
            assert (await second).outcome is NOT_SENT
            server.call(lambda: server._holds["content"].set())
            assert (await first).outcome is OK
            assert not session.usable


async def test_a_window_leaves_as_many_unknown_as_it_is_wide(desk) -> None:
    with server_for("bdat") as server, server.hold("content"):
        async with desk.open(server, window=4) as session:
            assert session.depth == 4
            tasks = [asyncio.create_task(told(desk, session, (f"r{each}@example.com",))) for each in range(6)]
            await content_waits(server)
            server.drop_idle("reset")
            found = [(await task).outcome for task in tasks]
            assert found == [UNKNOWN] * 4 + [NOT_SENT] * 2


async def test_in_a_window_one_that_gives_up_is_unknown_and_the_others_hear_their_answers(desk) -> None:
    with server_for("bdat") as server, server.hold("content"):
        async with desk.open(server, window=3) as session:
            tasks = [asyncio.create_task(told(desk, session, (f"r{each}@example.com",))) for each in range(3)]
            await content_waits(server)
            tasks[1].cancel()
            assert (await tasks[1]).outcome is UNKNOWN
            server.call(lambda: server._holds["content"].set())
            assert [(await tasks[each]).outcome for each in (0, 2)] == [OK, OK]
            assert not session.usable


async def test_in_a_window_each_has_its_own_answers(desk) -> None:
    with server_for("bdat") as server:
        server.refuse("rcpt", "550 5.1.1 unknown", address="r3@example.com")
        server.refuse("content", "554 5.7.1 spam", address="r5@example.com")
        async with desk.open(server, window=8) as session:
            names = [f"r{each}@example.com" for each in range(20)]
            found = await asyncio.gather(*(told(desk, session, (name,)) for name in names))
            expected = [REFUSED if each in (3, 5) else OK for each in range(20)]
            assert [receipt.outcome for receipt in found] == expected
            assert session.usable
        assert len(server.messages) == 18


async def test_a_deadline_in_the_middle_of_a_flight_ends_it(desk, way: str) -> None:
    with server_for(way) as server, server.hold("rcpt"):
        async with desk.open(server) as session:
            expected = UNKNOWN if way == "bdat" else NOT_SENT
            assert await outcomes(desk, session, (A,), seconds=0.1) == [expected]
            assert not session.usable


async def test_leading_dots_arrive_as_they_are(desk, way: str) -> None:
    from recapito.envelope import Envelope
    from recapito.message import Message
    from recapito.rendering import render

    text = ".\r\n..two\r\n.one\r\nend\r\n."
    rendered = render(Message(to=[A], text=text), desk.profile)
    with server_for(way) as server:
        async with desk.open(server) as session:
            envelope = Envelope(desk.profile.sender, (A,))
            receipt = await session.deliver(envelope, rendered.content, deadline=1e12)
            assert receipt.outcome is OK
        assert server.messages[0].content.endswith(b"\r\n\r\n.\r\n..two\r\n.one\r\nend\r\n.\r\n")


async def test_refused_is_an_error_that_says_so(desk, way: str) -> None:
    with server_for(way) as server:
        server.refuse("rcpt", "550 5.1.1 unknown")
        async with desk.open(server) as session:
            assert isinstance(await desk.error(session, (A,)), Refused)


async def test_chained_no_more_messages_are_begun_than_the_line_takes(desk) -> None:
    with server_for("data") as server:
        server.mail_max = 2
        async with desk.open(server) as session:
            found = await asyncio.gather(*(told(desk, session, (to,)) for to in (A, B, C)))
            assert [receipt.outcome for receipt in found] == [OK, OK, NOT_SENT]
            assert not session.usable
        assert [command.verb for command in server.commands].count("MAIL") == 2
