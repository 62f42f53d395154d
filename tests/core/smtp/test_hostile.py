"""A hostile server ends in bounded time and memory, with a problem that says so, and never with a credential."""

import asyncio
import tracemalloc

import pytest

from recapito.errors import DeliveryError
from recapito.outcome import Outcome
from recapito.testing import ScriptServer
from recapito.testing.script import close, drip, flood, polite, say, send, silence

pytestmark = pytest.mark.anyio

NOISE = {
    "a line of 100 MB": flood(b"220 " + b"x" * 10_000, times=10_000),
    "a million lines": flood(b"220-hello\r\n", times=1_000_000),
    "nothing but line ends": flood(b"\r\n"),
    "NUL": flood(b"\0"),
    "binary": flood(bytes(range(256))),
    "HTTP": say("HTTP/1.1 400 Bad Request", "", "<html>"),
    "SSH": say("SSH-2.0-OpenSSH_9.6"),
    "other codes": say("220-a\n221 b"),
    "a code of two digits": say("22 hello"),
    "a code out of range": say("999 hello"),
}


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("phase", ["connect", "EHLO", "AUTH"])
async def test_noise_ends_the_opening_in_bounded_memory(desk, noise: str, phase: str) -> None:
    with ScriptServer(polite(**{phase: [NOISE[noise], silence]})) as server:
        tracemalloc.start()
        try:
            error = await desk.refusal(server, "plain")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert error.problem.code == "REPLY-STRANGE"
    assert error.outcome is Outcome.NOT_SENT
    assert peak < 20_000_000
    if phase != "AUTH":
        assert b"AUTH" not in server.heard


@pytest.mark.parametrize("phase", ["connect", "EHLO", "AUTH"])
@pytest.mark.parametrize("slow", [silence, drip(b"220-hello and welcome\r\n" * 100, every=0.02)])
async def test_silence_and_drips_end_with_their_phase(desk, phase: str, slow) -> None:
    desk = desk.patient(answer=0.2, sign_in=0.2)
    with ScriptServer(polite(**{phase: slow})) as server:
        async with asyncio.timeout(3):
            error = await desk.refusal(server, "plain")
    assert error.outcome is Outcome.NOT_SENT
    assert error.problem.step == ("sign-in" if phase == "AUTH" else "answer")


@pytest.mark.parametrize("phase", ["connect", "EHLO", "AUTH"])
async def test_a_line_that_ends_while_opening_is_not_sent(desk, phase: str) -> None:
    with ScriptServer(polite(**{phase: close})) as server:
        error = await desk.refusal(server, "plain")
    assert error.problem.code == "NET-LOST"


@pytest.mark.parametrize("phase", ["connect", "EHLO"])
@pytest.mark.parametrize("reply", ["554 5.7.1 go away", "421 4.3.2 too many connections"])
async def test_a_server_that_does_not_let_us_in_is_quoted(desk, phase: str, reply: str) -> None:
    with ScriptServer(polite(**{phase: [say(reply), silence]})) as server:
        error = await desk.refusal(server, "plain")
    assert error.outcome is Outcome.NOT_SENT
    assert error.problem.reply == reply


@pytest.mark.parametrize("phase", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("noise", ["a million lines", "NUL", "HTTP"])
async def test_noise_ends_a_send_before_its_content(desk, phase: str, noise: str) -> None:
    with ScriptServer(polite(**{phase: [NOISE[noise], silence]})) as server:
        async with desk.open(server) as session:
            error = await desk.error(session)
            assert error.outcome is Outcome.NOT_SENT
            assert not session.usable


async def test_markup_in_replies_is_shown_as_plain_text(desk) -> None:
    said = "550 5.7.1 <script>alert(1)</script>\x1b[2J\x1b]0;title\x07\x08\x7f\u202egnp.exe"
    with ScriptServer(polite(RCPT=say(said), content=say("250 2.0.0 \x1b[31mOk"))) as server:
        async with desk.open(server) as session:
            error = await desk.error(session)
            for text in (
                error.problem.reply,
                error.receipt.recipients[0].reply,
                str(error.problem.explain()),
            ):
                assert text.isprintable(), repr(text)
    with ScriptServer(
        polite(content=say("250 2.0.0 \x1b[31mOk"), EHLO=say("250-\x1b[31mx", "250 y"))
    ) as server:
        async with desk.open(server) as session:
            assert (await desk.send(session)).server_reply == "250 2.0.0 Ok"
        for step in await desk.check(server, "plain"):
            assert step.detail.isprintable()


async def test_a_reply_of_a_megabyte_is_kept_short(desk) -> None:
    with ScriptServer(polite(RCPT=send(b"550 " + b"x" * 15_000 + b"\r\n"))) as server:
        async with desk.open(server) as session:
            error = await desk.error(session)
            assert len(error.problem.reply) < 2100
            assert len(error.receipt.recipients[0].reply) < 2100


async def test_unasked_replies_end_the_line(desk) -> None:
    with ScriptServer(polite(AUTH=say("235 Ok", "250 Ok", "250 Ok"))) as server:
        with pytest.raises(DeliveryError):
            async with desk.open(server, signs_in=True) as session:
                await desk.send(session)
        assert b"DATA" not in server.heard
