"""An SMTP server that does as little as one can: TLS, AUTH, and a quick yes to everything, in a process of its own."""

import asyncio
import multiprocessing
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import trustme

__all__ = ["Sink", "sink"]

EHLO = b"250-sink\r\n250-8BITMIME\r\n250-SIZE 50000000\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n"
REPLIES = {b"EHLO": EHLO, b"AUTH": b"235 2.7.0 ok\r\n", b"DATA": b"354 go\r\n", b"QUIT": b"221 2.0.0 bye\r\n"}
OK, TAKEN = b"250 2.1.0 ok\r\n", b"250 2.0.0 taken\r\n"


class Sink(NamedTuple):
    """Where it listens, and the authority (PEM) that signed its certificate."""

    port: int
    ca: str


class _Sink(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self) -> None:
        self.buffer = b""
        self.in_content = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        answers = []
        while True:
            end = b"\r\n.\r\n" if self.in_content else b"\r\n"
            line, found, rest = self.buffer.partition(end)
            if not found:
                break
            self.buffer = rest
            verb = line[:4].upper()
            answers.append(TAKEN if self.in_content else REPLIES.get(verb, OK))
            self.in_content = not self.in_content and verb == b"DATA"
        self.transport.write(b"".join(answers))


async def _serve(pipe: Connection, folder: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Sink, "127.0.0.1", 0, ssl=context)
    pipe.send(server.sockets[0].getsockname()[1])
    async with server:
        await loop.run_in_executor(None, pipe.recv)


def _process(pipe: Connection, folder: Path) -> None:
    asyncio.run(_serve(pipe, folder))


@contextmanager
def sink() -> Iterator[Sink]:
    """A running sink; its work is not counted as ours, since it is another process."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        authority = trustme.CA()
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=_process, args=(theirs, folder), daemon=True
        )
        process.start()
        try:
            yield Sink(ours.recv(), authority.cert_pem.bytes().decode())
        finally:
            ours.send(None)
            process.join(5)
            process.terminate()
