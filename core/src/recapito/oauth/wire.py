"""One connection that HTTP goes over: bytes out, bytes in, and whether anything came that nobody asked for."""

import asyncio
import os
import socket
import ssl
from collections import deque
from typing import cast

import h11

from recapito.oauth.failure import HttpFailure

__all__ = ["Wire"]

# Bytes of an answer's head, and of what is read ahead.
_HEAD_LIMIT = 64 * 1024
_AHEAD = 256 * 1024


class Wire(asyncio.Protocol):
    """The protocol of one connection, on a transport that asyncio made; belongs to the running loop.

    It reads ahead, so that the end of an idle connection is known before anything is written to it.
    """

    def __init__(self, line: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = line
        self._transport: asyncio.Transport | None = None
        self._received: deque[bytes] = deque()
        self._ahead = 0
        self._ended = False
        self._arrival: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._closed = asyncio.Event()
        #: The state of HTTP on this connection.
        self.http = self.fresh_http()
        #: When it was last used, on the loop's clock, and how long the server keeps it.
        self.idle_since = 0.0
        self.kept_for: float | None = None

    @staticmethod
    def fresh_http() -> h11.Connection:
        """HTTP from the beginning: also after a proxy has opened the way."""
        return h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_LIMIT)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep ``transport``: also called for a TLS transport that takes the place of a plain one."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none of asyncio's

    def data_received(self, data: bytes) -> None:
        """Keep it for whoever reads."""
        self._received.append(data)
        self._ahead += len(data)
        if self._ahead > _AHEAD and self._transport is not None:
            self._transport.pause_reading()
        _wake(self._arrival)

    def eof_received(self) -> None:
        """The server will say no more; asyncio then closes the connection."""
        self._ended = True
        _wake(self._arrival)

    def pause_writing(self) -> None:
        """The buffer is full: :meth:`write` waits."""
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        """There is room again."""
        _wake(self._room)
        self._room = None

    def connection_lost(self, _exc: Exception | None) -> None:
        """Everyone who waits learns it."""
        self._ended = True
        _wake(self._arrival)
        _wake(self._room)
        self._closed.set()

    # What the toolkit calls

    @property
    def stirring(self) -> bool:
        """Whether something came, or the connection ended: nothing more should be written to it."""
        transport = self._transport
        return bool(self._received) or self._ended or transport is None or transport.is_closing()

    async def settle(self) -> None:
        """Let asyncio look at the socket, so that :attr:`stirring` is true to this moment."""
        # What is ready at the first turn of the loop is handed over in the second.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    @property
    def peer(self) -> str:
        """The address at the other end."""
        place = self._socket.getpeername()
        return f"{place[0]}, port {place[1]}"

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The encryption, once there is one."""
        return self._transport.get_extra_info("ssl_object") if self._transport else None

    async def read(self) -> bytes:
        """What came next; empty at the end."""
        while not self._received:
            if self._ended:
                return b""
            self._arrival = self._loop.create_future()
            await self._arrival
        data = self._received.popleft()
        self._ahead -= len(data)
        if self._ahead <= _AHEAD and not self._ended and self._transport is not None:
            self._transport.resume_reading()
        return data

    async def write(self, data: "bytes | memoryview") -> None:
        """Hand ``data`` on, and wait while the buffer is full. HttpFailure (``lost``) where the connection ended."""
        if self._ended or self._transport is None or self._transport.is_closing():
            raise HttpFailure("lost")
        self._transport.write(data)
        if self._room is not None:
            await self._room
        if self._closed.is_set():
            raise HttpFailure("lost")

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Encrypt the connection. Raises what the handshake raises; the connection is then over."""
        assert self._transport is not None
        try:
            transport = await self._loop.start_tls(self._transport, self, context, server_hostname=host)
        except BaseException:
            self._ended = True
            # The TLS layer was the transport's protocol by then: it does not tell us that the connection is gone.
            self._closed.set()
            raise
        if transport is None:  # asyncio's answer where the connection ended in between
            raise ConnectionResetError
        self.connection_made(transport)

    async def close(self) -> None:
        """End the connection at once, whatever is under way; never raises."""
        self._ended = True
        if self._transport is None:
            self._socket.close()
        elif not self._closed.is_set():
            self._transport.abort()
        # abort() only schedules the end of the socket.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def abandon(self) -> None:
        """Close the descriptor without a byte, in a forked child: the connection belongs to the parent."""
        # Not close(), which waits for a loop that says it uses the socket, as uvloop does.
        if (descriptor := self._socket.detach()) >= 0:
            os.close(descriptor)


def _wake(waiting: "asyncio.Future[None] | None") -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)
