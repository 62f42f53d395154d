"""An event loop in a thread of its own, for servers that tests and the demo talk to."""

import asyncio
import socket
import ssl
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Self, TypeVar

__all__ = ["THREAD_PREFIX", "LoopThread"]

T = TypeVar("T")

#: Names of the kit's threads begin with it: what the far side logs is no leak of the transport's.
THREAD_PREFIX = "recapito-testing-"

#: Seconds that starting, one request from outside and stopping may take.
_PATIENCE = 10.0


class LoopThread:
    """A context manager: inside it, ``loop`` runs in a thread; leaving stops it within seconds.

    ``faults`` has what went wrong in the loop with nobody waiting for it, as text.
    """

    def __init__(self, name: str) -> None:
        self.name = THREAD_PREFIX + name
        self.faults: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._sockets: list[socket.socket] = []
        self._transports: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop; RuntimeError outside the context."""
        if self._loop is None:
            raise RuntimeError(f"{self.name} is not running: use it as a context manager")
        return self._loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """``work`` in the loop, from another thread; returns what it returns, raises what it raises."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(_PATIENCE)

    def call(self, function: Callable[[], T]) -> T:
        """``function`` in the loop's thread, and what it returns."""
        if threading.current_thread() is self._thread:
            return function()
        done: Future[T] = Future()

        def settle() -> None:
            try:
                done.set_result(function())
            except BaseException as exc:  # noqa: BLE001 - handed to the thread that asked
                done.set_exception(exc)

        self.loop.call_soon_threadsafe(settle)
        return done.result(_PATIENCE)

    def __enter__(self) -> Self:
        started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._note)
        self._thread = threading.Thread(target=self._run_loop, args=(started,), name=self.name, daemon=True)
        self._thread.start()
        started.wait(_PATIENCE)
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._thread is not None
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_PATIENCE)
        self._loop = None

    async def listen(
        self,
        protocol: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        context: ssl.SSLContext | None,
    ) -> int:
        """Serve every connection to ``host`` with a ``protocol`` of its own; returns the port.

        Not ``loop.create_server``, which keeps connections that are in the middle of their handshake to itself:
        here none is left open when the thread ends.
        """
        listener = socket.create_server((host, port))
        listener.setblocking(False)
        self._sockets.append(listener)
        self._start(self._accept(listener, protocol, context))
        bound: int = listener.getsockname()[1]
        return bound

    async def _accept(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        context: ssl.SSLContext | None,
    ) -> None:
        while True:
            line, _ = await self.loop.sock_accept(listener)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets = [each for each in self._sockets if each.fileno() != -1] + [line]
            self._start(self._attend(line, protocol, context))

    async def _attend(
        self,
        line: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        context: ssl.SSLContext | None,
    ) -> None:
        try:
            transport, _ = await self.loop.connect_accepted_socket(protocol, line, ssl=context)
        except OSError:  # a handshake that failed, or a client that went away
            line.close()
        else:
            self._transports.add(transport)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _note(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _run_loop(self, started: threading.Event) -> None:
        loop = self.loop
        asyncio.set_event_loop(loop)
        loop.call_soon(started.set)
        try:
            loop.run_forever()
            loop.run_until_complete(self._end())
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    async def _end(self) -> None:
        """Cancel what runs, and end what is open; transports close their sockets a turn of the loop later."""
        for transport in self._transports:
            # One that has ended cannot be aborted: asyncio's fails where it was closed with bytes to send.
            with suppress(AttributeError):
                transport.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for _ in range(100):
            if all(line.fileno() == -1 for line in self._sockets[1:]):
                break
            await asyncio.sleep(0)
        for line in self._sockets:
            line.close()
