"""The receiving end of the comparison: takes mail as quickly as Python can, counts it, and can look inside.

A process of its own. It offers CHUNKING and PIPELINING, or PIPELINING alone, with or without TLS, and can be far away:
whatever was sent is heard half a round trip later, and answered another half later, without making a flight wait for
its parts. In ``look`` mode each message is parsed and what a reader would see of it is hashed.
"""

import asyncio
import hashlib
import multiprocessing
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trustme

__all__ = ["Receiver", "receiver"]

OK, TAKEN, GO = b"250 2.1.0 ok\r\n", b"250 2.0.0 taken\r\n", b"354 go\r\n"
#: A read that is larger than this is content, and is kept in pieces: joining it again and again would be quadratic.
LARGE = 1 << 16


@dataclass(frozen=True)
class Kind:
    """What a receiver offers; ``delay`` is the round trip in seconds."""

    chunking: bool = True
    tls: bool = False
    delay: float = 0.0

    @property
    def offer(self) -> bytes:
        """The reply to EHLO."""
        words = ["sink", "8BITMIME", "SIZE 100000000", "PIPELINING"]
        words += ["CHUNKING"] if self.chunking else []
        words += ["AUTH PLAIN"]
        return "".join(f"250{'-' if word != words[-1] else ' '}{word}\r\n" for word in words).encode()


class Tally:
    """What came since the last question."""

    def __init__(self) -> None:
        self.looking = False
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.messages = self.octets = self.connections = self.turns = 0
        self.seen: Counter[str] = Counter()

    def told(self) -> dict[str, Any]:
        """The counts."""
        named = ("messages", "octets", "connections", "turns")
        return {name: getattr(self, name) for name in named} | {"seen": dict(self.seen)}


def seen(content: bytes) -> str:
    """A digest of what a reader sees: subject, texts, and every attachment with its name."""
    message = message_from_bytes(content, policy=policy.default)
    digest = hashlib.sha256(str(message["Subject"]).encode())
    for part in message.walk():
        if not part.is_multipart():
            payload = part.get_payload(decode=True)
            data = payload if isinstance(payload, bytes) else b""
            text = part.get_content_maintype() == "text"
            digest.update(str(part.get_filename()).encode())
            digest.update(data.replace(b"\r\n", b"\n").strip() if text else data)
    return digest.hexdigest()[:16]


class Line(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport

    def __init__(self, kind: Kind, tally: Tally) -> None:
        self.kind, self.tally = kind, tally
        self.buffer = b""
        self.pieces: list[bytes] = []
        self.left = 0  # octets of the chunk that is being read
        self.last = False
        self.in_data = False
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.tally.connections += 1
        self.later(b"220 sink\r\n")

    def later(self, data: bytes) -> None:
        """Answer, half a round trip later; in order, since each waits as long as the one before."""
        if self.kind.delay:
            self.loop.call_later(self.kind.delay / 2, self.transport.write, data)
        else:
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self.kind.delay:
            self.loop.call_later(self.kind.delay / 2, self.hear, data)
        else:
            self.hear(data)

    def hear(self, data: bytes) -> None:
        answers: list[bytes] = []
        while data or self.left:
            if self.left:
                data = self.chunk(data, answers)
                if self.left:
                    break
            elif self.in_data:
                data = self.lines(data, answers)
            else:
                data = self.command(data, answers)
        if answers:
            self.tally.turns += 1
            self.later(b"".join(answers))

    def chunk(self, data: bytes, answers: list[bytes]) -> bytes:
        mine, rest = data[: self.left], data[self.left :]
        self.left -= len(mine)
        self.keep(mine)
        if not self.left:
            answers.append(TAKEN)
            if self.last:
                self.taken()
        return rest

    def lines(self, data: bytes, answers: list[bytes]) -> bytes:
        whole = self.buffer + data
        end = whole.find(b"\r\n.\r\n")
        if end < 0:
            # Only what may be the beginning of the end has to be looked at again.
            self.keep(whole[:-4])
            self.buffer = whole[-4:]
            return b""
        self.keep(whole[: end + 2])
        self.buffer, self.in_data = b"", False
        answers.append(TAKEN)
        self.taken()
        return whole[end + 5 :]

    def command(self, data: bytes, answers: list[bytes]) -> bytes:
        whole = self.buffer + data
        end = whole.find(b"\r\n")
        if end < 0:
            self.buffer = whole
            return b""
        line, rest, self.buffer = whole[:end], whole[end + 2 :], b""
        verb = line[:4].upper()
        if verb == b"BDAT":
            words = line.split()
            self.left, self.last = int(words[1]), len(words) > 2
        elif verb == b"DATA":
            answers.append(GO)
            self.in_data = True
        elif verb == b"EHLO" or verb == b"HELO":
            answers.append(self.kind.offer)
        elif verb == b"AUTH":
            answers.append(b"235 2.7.0 ok\r\n")
        elif verb == b"QUIT":
            answers.append(b"221 2.0.0 bye\r\n")
        else:
            answers.append(OK)
        return rest

    def keep(self, data: bytes) -> None:
        self.tally.octets += len(data)
        if self.tally.looking:
            self.pieces.append(data)

    def taken(self) -> None:
        self.tally.messages += 1
        if self.tally.looking:
            content = b"".join(self.pieces)
            unstuffed = content if self.last else content.replace(b"\r\n..", b"\r\n.")
            self.tally.seen[seen(unstuffed)] += 1
        self.pieces, self.last = [], False


async def _serve(pipe: Connection, kind: Kind, folder: str) -> None:
    loop, tally = asyncio.get_running_loop(), Tally()
    context = None
    if kind.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(Path(folder) / "server.pem")
    server = await loop.create_server(lambda: Line(kind, tally), "127.0.0.1", 0, ssl=context)
    pipe.send(server.sockets[0].getsockname()[1])
    async with server:
        while (asked := await loop.run_in_executor(None, pipe.recv)) is not None:
            told = tally.told()
            tally.forget()
            tally.looking = asked == "look"
            pipe.send(told)


def _process(pipe: Connection, kind: Kind, folder: str) -> None:
    asyncio.run(_serve(pipe, kind, folder))


@dataclass(frozen=True)
class Receiver:
    """A running one: its port, the authority (PEM) of its certificate, and how to ask it."""

    kind: Kind
    port: int
    ca: str
    _pipe: Connection

    def counts(self, *, look: bool = False) -> dict[str, Any]:
        """What came since the last time; from now on it looks inside where that is wanted."""
        self._pipe.send("look" if look else "count")
        told: dict[str, Any] = self._pipe.recv()
        return told


@contextmanager
def receiver(kind: Kind) -> Iterator[Receiver]:
    """One in a process of its own, until the block ends."""
    spawn = multiprocessing.get_context("spawn")
    with TemporaryDirectory() as folder:
        authority = trustme.CA()
        authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(
            Path(folder) / "server.pem"
        )
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_process, args=(theirs, kind, folder), daemon=True)
        process.start()
        try:
            yield Receiver(kind, ours.recv(), authority.cert_pem.bytes().decode(), ours)
        finally:
            ours.send(None)
            process.join(5)
            process.kill()
