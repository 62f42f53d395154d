"""The steps that a :class:`ScriptServer` plays: what it says, waits for and does to the line."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from recapito.testing.conversation import Conversation, LineEnded

__all__ = [
    "Answer",
    "Conversation",
    "LineEnded",
    "Step",
    "close",
    "drip",
    "flood",
    "hear",
    "hear_bytes",
    "hear_content",
    "play",
    "polite",
    "reset",
    "say",
    "send",
    "sign_in",
    "silence",
    "start_tls",
    "wait",
]


#: One step of a script: anything that takes the conversation and does something with it.
Step: TypeAlias = Callable[[Conversation], Awaitable[None]]
#: How :func:`polite` answers a verb: a reply, a step, or several of both.
Answer: TypeAlias = str | Step | list["str | Step"]


async def play(script: Answer, line: Conversation) -> None:
    """Play ``script`` on ``line``: texts are said, steps awaited, one after the other."""
    for step in [script] if isinstance(script, str) or callable(script) else script:
        await (say(step) if isinstance(step, str) else step)(line)


def say(*replies: str) -> Step:
    """Say reply lines, each ended by CRLF; a ``\\n`` inside one divides it."""
    return send("".join(reply.replace("\n", "\r\n") + "\r\n" for reply in replies).encode())


def send(data: bytes) -> Step:
    """Send ``data`` in one write, exactly."""

    async def step(line: Conversation) -> None:
        await line.write(data)

    return step


def drip(data: bytes, *, every: float) -> Step:
    """Send ``data`` one byte each ``every`` seconds."""

    async def step(line: Conversation) -> None:
        for byte in data:
            await line.write(bytes([byte]))
            await asyncio.sleep(every)

    return step


def flood(data: bytes, *, times: int | None = None) -> Step:
    """Send ``data`` again and again: ``times``, or until the client goes away."""

    async def step(line: Conversation) -> None:
        block = max(1, 65_536 // len(data))
        while times is None:
            await line.write(data * block)
        for _ in range(times // block):
            await line.write(data * block)
        await line.write(data * (times % block))

    return step


def hear(expected: str = "") -> Step:
    """Wait for a line that begins with ``expected`` (any case); another one is a fault, and ends the line."""

    async def step(line: Conversation) -> None:
        heard = await line.read_line()
        if not heard.upper().startswith(expected.upper().encode()):
            line.faults.append(f"expected {expected!r}, heard {heard[:80]!r}")
            raise LineEnded

    return step


def hear_bytes(size: int) -> Step:
    """Wait for ``size`` bytes, whatever they are."""

    async def step(line: Conversation) -> None:
        left = size
        while left > 0:
            left -= len(await line.read(left))

    return step


def hear_content() -> Step:
    """Wait for the content up to and with its final dot (CRLF.CRLF)."""

    async def step(line: Conversation) -> None:
        before = b"\r\n"
        while True:
            heard = await line.read_line()
            if heard == b".\r\n" and before.endswith(b"\r\n"):
                return
            before = heard

    return step


def wait(seconds: float) -> Step:
    """Do nothing for so long."""

    async def step(_line: Conversation) -> None:
        await asyncio.sleep(seconds)

    return step


async def silence(line: Conversation) -> None:
    """Say nothing more, and hear everything, until the client goes away."""
    while True:
        await line.read(65_536)


async def close(_line: Conversation) -> None:
    """End the line in order."""
    raise LineEnded


async def reset(line: Conversation) -> None:
    """End the line by a TCP reset."""
    line.reset()
    raise LineEnded


def start_tls(context: ssl.SSLContext) -> Step:
    """Encrypt the line, as after the 220 of STARTTLS (say it first)."""

    async def step(line: Conversation) -> None:
        await line.start_tls(context)

    return step


async def sign_in(line: Conversation) -> None:
    """Wait for AUTH by PLAIN, LOGIN or XOAUTH2, in either form, and accept it."""
    heard = (await line.read_line()).split()
    if heard[:1] != [b"AUTH"]:
        line.faults.append(f"expected AUTH, heard {heard[:1]!r}")
        raise LineEnded
    await _finish_sign_in(line, heard)
    await line.write(b"235 2.7.0 Accepted\r\n")


async def _finish_sign_in(line: Conversation, heard: Sequence[bytes]) -> None:
    missing = (2 if heard[1].upper() == b"LOGIN" else 1) - len(heard[2:])
    challenges = (
        (b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n") if heard[1].upper() == b"LOGIN" else (b"334 \r\n",)
    )
    for challenge in challenges[len(challenges) - missing :]:
        await line.write(challenge)
        await line.read_line()


_EXTENSIONS = ("8BITMIME", "SIZE 50000000", "AUTH PLAIN LOGIN")
_REPLIES = {
    "connect": "220 mail.example.it ESMTP",
    "AUTH": "235 2.7.0 Accepted",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 End data with <CR><LF>.<CR><LF>",
    "content": "250 2.0.0 Ok: queued as 12345",
    "RSET": "250 2.0.0 Ok",
    "NOOP": "250 2.0.0 Ok",
    "QUIT": "221 2.0.0 Bye",
}


def polite(
    *,
    extensions: Sequence[str] = _EXTENSIONS,
    context: ssl.SSLContext | None = None,
    **answers: Answer,
) -> Step:
    """A whole polite server, except where ``answers`` says otherwise.

    Their names are ``connect`` (the greeting), the verbs ``EHLO``, ``STARTTLS``, ``AUTH``, ``MAIL``, ``RCPT``,
    ``DATA``, ``RSET``, ``NOOP``, ``QUIT``, ``BDAT``, and ``content`` (after the last byte of it). An answer that
    does not end the line leaves the server polite. With ``context`` it offers STARTTLS, and AUTH only after it.
    """

    async def step(line: Conversation) -> None:
        await play(answers.get("connect", _REPLIES["connect"]), line)
        secure = context is None
        while True:
            words = (await line.read_line()).split()
            verb = words[0].decode("latin-1").upper() if words else ""
            if verb in ("EHLO", "HELO"):
                await play(answers.get("EHLO", _greeting(extensions, secure=secure)), line)
            elif verb == "STARTTLS" and context is not None and not secure:
                await play(answers.get("STARTTLS", "220 2.0.0 Ready to start TLS"), line)
                await line.start_tls(context)
                secure = True
            else:
                await _converse(line, verb, words, answers)
            if verb == "QUIT":
                return

    return step


def _greeting(extensions: Sequence[str], *, secure: bool) -> str:
    offered = [word for word in extensions if secure or not word.startswith("AUTH")]
    lines = ["mail.example.it", *offered, *([] if secure else ["STARTTLS"])]
    return "\n".join(
        f"250{'-' if number < len(lines) else ' '}{word}" for number, word in enumerate(lines, 1)
    )


async def _converse(
    line: Conversation, verb: str, words: Sequence[bytes], answers: Mapping[str, Answer]
) -> None:
    if verb == "AUTH" and "AUTH" not in answers:
        await _finish_sign_in(line, words)
    if verb == "BDAT":
        await hear_bytes(int(words[1]))(line)
        last = words[-1].upper() == b"LAST"
        await play(
            answers.get("BDAT") or answers.get("content", _REPLIES["content"]) if last else "250 Ok", line
        )
        return
    answer = answers.get(verb, _REPLIES.get(verb, "502 5.5.1 Command not recognized"))
    await play(answer, line)
    if verb == "DATA" and (not isinstance(answer, str) or answer.startswith("354")):
        await hear_content()(line)
        await play(answers.get("content", _REPLIES["content"]), line)
