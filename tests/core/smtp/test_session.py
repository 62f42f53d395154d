"""A session's end of things: what is not sent, what is unknown, and what the pool must replace."""

import asyncio
from contextlib import suppress

import pytest

from recapito.errors import InvalidMessage, Misconfigured, NotSent, Refused, UnknownOutcome
from recapito.outcome import Outcome
from recapito.problem import Problem
from recapito.profile import Found
from recapito.testing import ScriptServer, SmtpServer, Specimen, TestContext
from recapito.testing.script import (
    close,
    drip,
    flood,
    hear_bytes,
    hear_content,
    polite,
    reset,
    say,
    send,
    silence,
    wait,
)

pytestmark = pytest.mark.anyio


async def eventually(happened) -> None:
    async with asyncio.timeout(5):
        while not happened():  # noqa: ASYNC110 - another thread's doing
            await asyncio.sleep(0.005)


# After the final dot

AFTER_THE_DOT = {
    "closed": close,
    "reset": reset,
    "354": [say("354 go on"), silence],
    "another 2xx": [say("220 hello"), silence],
    "221": [say("221 bye"), silence],
    "garbage": [send(b"hello there\r\n"), silence],
    "no text at all": [send(b"\xff\xfe\xfd\r\n"), silence],
    "text that is no UTF-8": [send(b"250 \xff\xfe\r\n"), silence],
    "half a reply": [send(b"250-2.0.0 queu"), close],
    "two codes": [send(b"250-ok\r\n451 no\r\n"), silence],
    "a line without end": flood(b"250 x" * 1000),
    "a reply without end": flood(b"250-2.0.0 x\r\n"),
    "NUL": [send(b"\0250 ok\r\n"), silence],
}


@pytest.mark.parametrize("ending", AFTER_THE_DOT)
async def test_after_the_final_dot_whatever_is_no_answer_is_unknown(desk, ending: str) -> None:
    with ScriptServer(polite(content=AFTER_THE_DOT[ending])) as server:
        async with desk.open(server) as session:
            error = await desk.error(session)
            assert isinstance(error, UnknownOutcome)
            assert error.problem.code == "UNCERTAIN"
            assert error.problem.outcome is Outcome.UNKNOWN
            assert not session.usable


async def test_silence_after_the_final_dot_is_unknown(desk) -> None:
    with ScriptServer(polite(content=silence)) as server:
        async with desk.patient(end=0.1).open(server) as session:
            assert isinstance(await desk.error(session), UnknownOutcome)
            assert not session.usable


async def test_a_dripping_answer_ends_with_its_phase(desk) -> None:
    with ScriptServer(polite(content=drip(b"250-x" * 1000, every=0.02))) as server:
        async with desk.patient(end=0.2).open(server) as session:
            assert isinstance(await desk.error(session), UnknownOutcome)


async def test_421_after_the_final_dot_is_an_answer(desk) -> None:
    with ScriptServer(polite(content=[say("421 4.3.2 shutting down"), close])) as server:
        async with desk.open(server) as session:
            error = await desk.error(session)
            assert isinstance(error, NotSent)
            assert not session.usable


# Before it

BEFORE_THE_DOT = {
    "closed at MAIL": {"MAIL": close},
    "reset at RCPT": {"RCPT": reset},
    "closed at DATA": {"DATA": close},
    "421 at MAIL": {"MAIL": [say("421 4.7.0 slow down"), close]},
    "421 at RCPT": {"RCPT": [say("421 4.7.0 slow down"), silence]},
    "421 at DATA": {"DATA": [say("421 4.7.0 slow down"), silence]},
    "garbage at MAIL": {"MAIL": [send(b"nonsense\r\n"), silence]},
}

WITHIN_THE_CONTENT = {
    "closed": close,
    "reset": reset,
    "refused": [say("552 5.3.4 too big"), silence],
    "refused and closed": [say("552 5.3.4 too big"), close],
    "closing": [say("421 4.3.2 shutting down"), close],
    "taken before it ended": [say("250 Ok"), silence],
    "garbage": [send(b"nonsense\r\n"), silence],
    "half a reply": [send(b"552-too"), silence],
}


@pytest.mark.parametrize("where", BEFORE_THE_DOT)
async def test_before_the_content_nothing_is_unknown(desk, where: str) -> None:
    with ScriptServer(polite(**BEFORE_THE_DOT[where])) as server:
        async with desk.open(server) as session:
            error = await desk.error(session)
            assert isinstance(error, NotSent)
            assert not session.usable
        assert b"specimen" not in server.heard


class Waiting(Specimen):
    """Goes on, ``after`` a part of it, when the session has noticed what the server did."""

    session = None
    after = 0.5

    async def chunks(self):
        async for chunk in super().chunks():
            yield chunk
            if self.handed >= self.size * self.after:  # a chunk before this one is on the wire by now
                await eventually(lambda: not self.session.usable)


@pytest.mark.parametrize("after", [0.5, 1])
@pytest.mark.parametrize("ending", WITHIN_THE_CONTENT)
async def test_within_the_content_nothing_is_unknown_and_no_final_dot_is_sent(
    desk, ending: str, after: float
) -> None:
    steps = WITHIN_THE_CONTENT[ending]
    script = [say("354 go"), hear_bytes(1000), *(steps if isinstance(steps, list) else [steps])]
    with ScriptServer(polite(DATA=script)) as server:
        async with desk.open(server) as session:
            envelope, content = desk.mail(size=200_000)
            content.__class__ = Waiting
            content.session, content.after = session, after
            with pytest.raises((NotSent, Refused)) as caught:
                await session.deliver(envelope, content, deadline=1e12)
            if "552" in str(steps):
                assert caught.value.problem.code == "MSG-TOO-BIG"
            assert not session.usable
        assert b"\r\n.\r\n" not in server.heard


async def test_421_to_one_recipient_ends_it_for_all(desk) -> None:
    replies = iter(["250 Ok", "421 4.7.0 slow down", "250 never"])

    async def step(line) -> None:
        await say(next(replies))(line)

    with ScriptServer(polite(RCPT=step)) as server:
        async with desk.open(server) as session:
            error = await desk.error(session, ("a@x.it", "b@x.it", "c@x.it"))
            assert isinstance(error, NotSent)
            assert error.problem.retry_at is not None
            assert len(error.receipt.recipients) == 3
        assert b"DATA" not in server.heard


async def test_421_to_one_recipient_leaves_earlier_refusals_as_they_are(desk) -> None:
    replies = iter(["550 5.1.1 unknown", "250 Ok", "421 4.7.0 slow down"])

    async def step(line) -> None:
        await say(next(replies))(line)

    with ScriptServer(polite(RCPT=step)) as server:
        async with desk.open(server) as session:
            receipt = await desk.send(session, ("a@x.it", "b@x.it", "c@x.it", "d@x.it"))
            assert [(row.outcome, row.reply) for row in receipt.recipients] == [
                (Outcome.REFUSED, "550 5.1.1 unknown"),
                *[(Outcome.NOT_SENT, "421 4.7.0 slow down")] * 3,
            ]
            assert receipt.recipients[1].problem.retry_at is not None
            assert not session.usable


async def test_a_server_that_stops_reading_is_not_waited_for(desk) -> None:
    with SmtpServer(tls="plain") as server, server.stall():
        async with desk.patient(block=0.3).open(server) as session:
            error = await desk.error(session, size=40_000_000)
            assert isinstance(error, NotSent)
            assert error.problem.code == "SERVER-SILENT"


async def test_memory_does_not_grow_with_what_a_server_does_not_read(desk) -> None:
    with SmtpServer(tls="plain") as server, server.stall():
        async with desk.patient(block=5).open(server) as session:
            envelope, content = desk.mail(size=40_000_000)
            sending = asyncio.ensure_future(session.deliver(envelope, content, deadline=1e12))
            await eventually(lambda: content.handed > 0)
            before = -1
            while before != content.handed:
                before = content.handed
                await asyncio.sleep(0.1)
            assert content.handed < 15_000_000
            assert session._channel._transport.get_write_buffer_size() < 2_000_000
            sending.cancel()
            with suppress(NotSent):
                await sending


# Cancelled, and late


async def test_cancelled_before_the_content_is_not_sent(desk) -> None:
    with ScriptServer(polite(RCPT=silence)) as server:
        async with desk.open(server) as session:
            envelope, content = desk.mail()
            sending = asyncio.ensure_future(session.deliver(envelope, content, deadline=1e12))
            await eventually(lambda: b"RCPT" in server.heard)
            sending.cancel()
            with pytest.raises(NotSent) as caught:
                await sending
            assert caught.value.problem.code == "SEND-CANCELLED"
            assert not session.usable


async def test_cancelled_after_the_content_is_unknown(desk) -> None:
    with ScriptServer(polite(content=silence)) as server:
        async with desk.open(server) as session:
            envelope, content = desk.mail()
            sending = asyncio.ensure_future(session.deliver(envelope, content, deadline=1e12))
            await eventually(lambda: b"\r\n.\r\n" in server.heard)
            sending.cancel()
            with pytest.raises(UnknownOutcome):
                await sending
            assert not session.usable


async def test_the_deadline_before_the_content_is_not_sent(desk) -> None:
    with ScriptServer(polite(DATA=silence)) as server:
        async with desk.open(server) as session:
            error = await desk.error(session, seconds=0.1)
            assert isinstance(error, NotSent)
            assert error.problem.code == "SEND-TIMEOUT"
            assert not session.usable


async def test_the_deadline_after_the_content_is_unknown(desk) -> None:
    with ScriptServer(polite(content=silence)) as server:
        async with desk.open(server) as session:
            assert isinstance(await desk.error(session, seconds=0.1), UnknownOutcome)


async def test_a_deadline_that_has_passed_sends_nothing(desk) -> None:
    with ScriptServer(polite()) as server:
        async with desk.open(server) as session:
            assert isinstance(await desk.error(session, seconds=-1), NotSent)
        assert b"DATA" not in server.heard


async def test_no_message_reads_the_answer_to_another(desk) -> None:
    with ScriptServer(polite(MAIL=say("250 Ok", "250 and one more"))) as server:
        async with desk.open(server) as session:
            error = await desk.error(session)
            assert isinstance(error, NotSent)
            assert error.problem.code == "REPLY-STRANGE"
            assert not session.usable


async def test_a_server_that_talks_and_talks_unasked_is_not_listened_to(desk) -> None:
    with ScriptServer(polite(RSET=["250 Ok", flood(b"250 and more\r\n")])) as server:
        async with desk.open(server) as session:
            await session._channel.command("RSET", 2)
            await eventually(lambda: session._channel.failure is not None)
            assert not session.usable


async def test_the_first_reply_within_the_content_is_the_answer_to_it(desk) -> None:
    said = say("552 5.3.4 too big", "421 4.3.2 closing")
    with ScriptServer(polite(DATA=[say("354 go"), hear_bytes(1000), said, close])) as server:
        async with desk.open(server) as session:
            envelope, content = desk.mail(size=200_000)
            content.__class__, content.session = Waiting, session
            with pytest.raises(Refused) as caught:
                await session.deliver(envelope, content, deadline=1e12)
            assert caught.value.problem.code == "MSG-TOO-BIG"


async def test_a_file_that_changes_closes_the_line_before_the_end(desk) -> None:
    with ScriptServer(polite(DATA=[say("354 go"), hear_content()])) as server:
        async with desk.open(server) as session:
            error = await desk.error(session, size=500_000, changes_after=200_000)
            assert error.problem.code == "MSG-CHANGED"
            assert not session.usable
        assert b"\r\n.\r\n" not in server.heard


# What has put nothing on the line


@pytest.mark.parametrize("cancels", [True, False], ids=["cancelled", "too late"])
async def test_a_call_that_waits_for_its_turn_leaves_the_session_as_it_was(desk, cancels: bool) -> None:
    with ScriptServer(polite(content=[wait(0.4), "250 2.0.0 Ok"])) as server:
        async with desk.open(server) as session:
            first = asyncio.ensure_future(desk.send(session))
            await eventually(lambda: b"\r\n.\r\n" in server.heard)
            second = asyncio.ensure_future(desk.send(session, seconds=60 if cancels else 0.05))
            await asyncio.sleep(0)
            if cancels:
                second.cancel()
            with pytest.raises(NotSent) as caught:
                await second
            assert not first.done()
            assert caught.value.problem.code == ("SEND-CANCELLED" if cancels else "SEND-TIMEOUT")
            assert caught.value.problem.reply is None
            assert session.usable
            assert (await first).accepted
            assert (await desk.send(session)).accepted
        assert server.heard.count(b"MAIL FROM") == 2


async def test_calls_take_the_line_in_the_order_in_which_they_began(desk) -> None:
    with ScriptServer(polite()) as server:
        async with desk.open(server) as session:
            addresses = [f"r{number}@example.com" for number in range(5)]
            await asyncio.gather(*(desk.send(session, (address,)) for address in addresses))
        assert [line.split(b">")[0] for line in server.heard.split(b"RCPT TO:<")[1:]] == [
            address.encode() for address in addresses
        ]


async def test_a_deadline_that_has_passed_leaves_the_session_as_it_was(desk) -> None:
    with ScriptServer(polite()) as server:
        async with desk.open(server) as session:
            session.idle_since = before = session.idle_since - 11
            assert (await desk.error(session, seconds=-1)).problem.code == "SEND-TIMEOUT"
            assert session.usable
            assert session.idle_since == before, "it is tried before the next message all the same"
            assert b"RSET" not in server.heard
            assert (await desk.send(session)).accepted


class Slow(Specimen):
    """Never gives its first chunk."""

    async def chunks(self):
        await asyncio.Event().wait()
        yield b""


async def test_cancelled_while_the_content_is_looked_at_the_session_is_as_it_was(desk) -> None:
    with ScriptServer(polite(extensions=("8BITMIME",))) as server:
        async with desk.open(server) as session:
            envelope, content = desk.mail()
            content.__class__, content.is_7bit = Slow, False
            sending = asyncio.ensure_future(session.deliver(envelope, content, deadline=1e12))
            await asyncio.sleep(0.01)
            sending.cancel()
            with pytest.raises(NotSent):
                await sending
            assert session.usable
            assert (await desk.send(session)).accepted


# What the content, or who explains a reply, raises


class Failing(Specimen):
    """Raises ``error`` instead of its last chunk, the ``time``-th time that it is read."""

    error, time, read = None, 1, 0

    async def chunks(self):
        self.read += 1
        async for chunk in super().chunks():
            if self.read == self.time:
                raise self.error
            yield chunk


async def test_a_content_that_fails_in_a_later_transaction_leaves_the_earlier_accepted(desk) -> None:
    with ScriptServer(polite()) as server:
        async with desk.open(server, recipients=1) as session:
            envelope, content = desk.mail(("a@x.it", "b@x.it"))
            content.__class__, content.time = Failing, 2
            content.error = InvalidMessage(Problem("MSG-TEXT", Outcome.REFUSED))
            receipt = await session.deliver(envelope, content, deadline=1e12)
            assert [row.outcome for row in receipt.recipients] == [Outcome.ACCEPTED, Outcome.REFUSED]
            assert not session.usable
        assert server.heard.count(b"\r\n.\r\n") == 1


async def test_rules_that_fail_after_the_final_dot_leave_it_unknown(desk) -> None:
    class Broken(TestContext):
        def explain(self, reply):
            raise Misconfigured(Problem("SETTINGS-INVALID", Outcome.NOT_SENT))

    with ScriptServer(polite(content="550 5.7.1 spam")) as server:
        async with desk.open(server) as session:
            session.explainer.context = Broken(Found(desk.profile))
            assert isinstance(await desk.error(session), UnknownOutcome)
            assert not session.usable


# Idle


async def test_a_line_that_was_used_a_moment_ago_is_not_tried(desk) -> None:
    with ScriptServer(polite()) as server:
        async with desk.open(server) as session:
            await desk.send(session)
            await desk.send(session)
        assert b"RSET" not in server.heard


async def test_an_idle_line_is_tried_with_rset_alone_before_anything_is_said(desk) -> None:
    with ScriptServer(polite()) as server:
        async with desk.open(server) as session:
            session.idle_since -= 11
            await desk.send(session)
        assert server.heard.index(b"RSET\r\n") < server.heard.index(b"MAIL")


@pytest.mark.parametrize("answer", [silence, close, reset, say("421 4.4.2 idle too long"), say("500 what?")])
async def test_an_idle_line_that_is_dead_is_not_sent_and_to_be_replaced(desk, answer) -> None:
    with ScriptServer(polite(RSET=answer)) as server:
        async with desk.open(server) as session:
            session.idle_since -= 11
            error = await desk.error(session)
            assert isinstance(error, NotSent)
            assert not session.usable
            assert error.problem.retry_at is None, "nobody asked to come back later: the pool opens another"
        assert b"MAIL" not in server.heard


async def test_an_idle_line_that_is_silent_costs_only_a_part_of_a_short_deadline(desk) -> None:
    with ScriptServer(polite(RSET=silence)) as server:
        async with desk.patient(probe=60, command=60).open(server) as session:
            session.idle_since -= 11
            error = await desk.error(session, seconds=1.5)
            assert error.problem.code != "SEND-TIMEOUT", "there is time for another line"
            assert not session.usable


@pytest.mark.parametrize("said", [None, "421 4.4.2 timeout exceeded"])
async def test_a_line_that_the_server_ended_meanwhile_is_not_usable(desk, said: str | None) -> None:
    with SmtpServer(tls="plain") as server:
        async with desk.open(server) as session:
            await desk.send(session)
            assert session.usable
            server.drop_idle(reply=said)
            await eventually(lambda: not session.usable)
            error = await desk.error(session)
            assert isinstance(error, NotSent)
            assert error.problem.retry_at is None


async def test_fifty_sends_after_fifty_dead_lines_are_never_unknown(desk) -> None:
    with SmtpServer(tls="plain") as server:
        for number in range(50):
            async with desk.patient(probe=0.05).open(server) as session:
                await desk.send(session, mark=f"warm{number}")
                session.idle_since -= 11
                server.drop_idle(("close", "reset", "silence")[number % 3])
                assert isinstance(await desk.error(session, mark=f"idle{number}"), NotSent)
                assert not session.usable
        assert not any(b"idle" in message.content for message in server.messages)


# Closing


@pytest.mark.parametrize(
    ("where", "heard", "outcome"),
    [
        ({"RCPT": silence}, b"RCPT", NotSent),
        ({"content": silence}, b"\r\n.\r\n", UnknownOutcome),
        ({"content": [wait(0.2), "250 2.0.0 Ok"]}, b"\r\n.\r\n", UnknownOutcome),
    ],
)
async def test_closing_gives_up_a_message_under_way_at_once(desk, where, heard: bytes, outcome) -> None:
    with ScriptServer(polite(**where)) as server:
        async with desk.patient(command=60, end=60).open(server) as session:
            envelope, content = desk.mail()
            sending = asyncio.ensure_future(session.deliver(envelope, content, deadline=1e12))
            await eventually(lambda: heard in server.heard)
            await session.close()
            await asyncio.wait([sending], timeout=2)
            assert sending.done()
            assert isinstance(sending.exception(), outcome)
            assert not session.usable


async def test_closing_gives_up_a_message_that_waits_for_room(desk) -> None:
    with SmtpServer(tls="plain") as server, server.stall():
        async with desk.patient(block=60).open(server) as session:
            envelope, content = desk.mail(size=40_000_000)
            sending = asyncio.ensure_future(session.deliver(envelope, content, deadline=1e12))
            await eventually(lambda: session._channel._room is not None)
            await session.close()
            await asyncio.wait([sending], timeout=2)
            assert sending.done()
            assert isinstance(sending.exception(), NotSent)


class Pausing(Specimen):
    """Waits, after its first chunk, until ``go`` is set."""

    go = None

    async def chunks(self):
        async for chunk in super().chunks():
            yield chunk
            await self.go.wait()


async def test_closing_between_two_chunks_sends_no_final_dot(desk) -> None:
    with ScriptServer(polite(DATA=[say("354 go"), hear_content()])) as server:
        async with desk.open(server) as session:
            envelope, content = desk.mail(size=500_000)
            content.__class__, content.go = Pausing, asyncio.Event()
            sending = asyncio.ensure_future(session.deliver(envelope, content, deadline=1e12))
            await eventually(lambda: content.handed > 0)
            await session.close()
            content.go.set()
            with pytest.raises(NotSent):
                await sending
        assert b"\r\n.\r\n" not in server.heard


async def test_the_reply_to_a_command_that_nobody_waits_for_answers_no_other(desk) -> None:
    with ScriptServer(polite(NOOP=[wait(0.1), "250 Ok"], VRFY="550 no")) as server:
        async with desk.open(server) as session:
            channel = session._channel
            channel.write(b"NOOP\r\n")
            channel.expect().cancel()
            assert (await channel.command("VRFY anna", 2)).status == 550


async def test_closing_says_goodbye_once_and_never_raises(desk) -> None:
    with ScriptServer(polite()) as server:
        async with desk.open(server) as session:
            await session.close()
            await session.close()
            assert not session.usable
        assert server.heard.count(b"QUIT\r\n") == 1


@pytest.mark.parametrize("answer", [silence, reset, close, send(b"\xff\xff\r\n"), flood(b"x" * 100)])
async def test_closing_is_bounded_whatever_the_server_does(desk, answer) -> None:
    with ScriptServer(polite(QUIT=answer)) as server:
        async with desk.patient(goodbye=0.1).open(server) as session:
            async with asyncio.timeout(2):
                await session.close()


async def test_a_child_leaves_the_line_without_a_byte(desk) -> None:
    with ScriptServer(polite()) as server:
        async with desk.open(server) as session:
            heard = len(server.heard)
            # What a forked child does with its copy of the descriptor.
            session.abandon()
            assert len(server.heard) == heard
            session._channel.fail(type("Gone", (Exception,), {"reply": None, "detail": ""})())
