"""One connection of a :class:`ScriptServer`."""

import asyncio
import socket
import ssl
import struct
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Conversation", "LineEnded"]


class LineEnded(Exception):
    """The client went away, or the script ended the line."""


class Conversation(asyncio.Protocol):
    """``heard`` is every byte that the client sent (decrypted) and a step read; ``faults`` what was not as scripted.

    ``transport`` is the line itself. Not asyncio's stream pair, which cannot be upgraded to TLS safely where the
    client goes away at once.
    """

    transport: asyncio.Transport

    def __init__(self, play: "Callable[[Conversation], Awaitable[None]]") -> None:
        self.heard = bytearray()
        self.faults: list[str] = []
        self._play = play
        self._reader = asyncio.StreamReader(limit=200_000_000)
        self._writable = asyncio.Event()
        self._writable.set()
        self._task: asyncio.Future[None] | None = None

    async def read(self, size: int) -> bytes:
        """What has come, at most ``size`` bytes; LineEnded where the client went away."""
        data = await self._reader.read(size)
        self.heard += data
        if not data:
            raise LineEnded
        return data

    async def read_line(self) -> bytes:
        """One line with its end; LineEnded where the client went away first."""
        line = await self._reader.readline()
        self.heard += line
        if not line.endswith(b"\n"):
            raise LineEnded
        return line

    async def write(self, data: bytes) -> None:
        """Send ``data`` as it is; LineEnded where the client went away."""
        if self.transport.is_closing():
            raise LineEnded
        self.transport.write(data)
        await self._writable.wait()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Encrypt the line from here on; LineEnded where the client goes away meanwhile."""
        loop = asyncio.get_running_loop()
        upgraded = await loop.start_tls(self.transport, self, context, server_side=True)
        if upgraded is None:
            raise LineEnded
        self.transport = upgraded

    def reset(self) -> None:
        """End the line by a TCP reset."""
        descriptor = self.transport.get_extra_info("socket")
        descriptor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to play."""
        self.transport = cast("asyncio.Transport", transport)
        self._task = asyncio.ensure_future(self._play(self))

    def data_received(self, data: bytes) -> None:
        """Keep it until a step reads it."""
        self._reader.feed_data(data)

    def eof_received(self) -> None:
        """Steps that still read learn of the end when they come to it."""
        self._reader.feed_eof()

    def connection_lost(self, _exc: Exception | None) -> None:
        """As the end of what comes; and nothing waits to be written any more."""
        self._reader.feed_eof()
        self._writable.set()

    def pause_writing(self) -> None:
        """The client reads more slowly than is written."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._writable.set()
