"""One line to a server: commands out, replies in, in order, within bounds of time and memory.

Theory of operation. Whatever is written to the line expects replies in a queue: the first reply belongs to the
first that expects one (RFC 2920), so that commands may be sent one by one or in groups. A reply that nobody
expects is kept in :attr:`Channel.stray`: the next to use the line finds it there, and never takes it for the
answer to its own command. The first failure (lost, silent, garbled) ends the line for all who wait and for all
who come later.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from logging import DEBUG, Logger, LoggerAdapter
from typing import Any, TypeVar, cast

from recapito.smtp.group import Group
from recapito.smtp.reply import Garbled, Reply, ReplyParser
from recapito.smtp.unfit import unfit

__all__ = ["Channel", "LineFailure", "Lost", "NoAnswer", "Spoiled"]

T = TypeVar("T")

# Bytes in our buffer before a writer waits. Above asyncio's 64 KiB: a block of base64 is larger than that.
_HIGH_WATER = 512 * 1024


class LineFailure(Exception):
    """The line can no longer be used. ``reply`` is what the server said unasked before that, if anything."""

    def __init__(self, detail: str = "", reply: Reply | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.reply = reply


class Lost(LineFailure):
    """The line ended, from the other side or from ours."""


class NoAnswer(LineFailure):
    """The server did not answer, or take more bytes, in time."""


class Spoiled(LineFailure):
    """The server sent what is no reply, or a reply that nobody asked for.

    ``detail`` is what it sent, and not in the error's text: it may repeat a password.
    """

    def __init__(self, detail: str = "", reply: Reply | None = None) -> None:
        super().__init__("", reply)
        self.detail = detail


class Channel(asyncio.Protocol):
    """The protocol of one line, on a transport that asyncio made; belongs to the running loop."""

    def __init__(self, log: "LoggerAdapter[Logger]") -> None:
        self._loop = asyncio.get_running_loop()
        self._log = log
        self._shows = log.isEnabledFor(DEBUG)
        self._transport: asyncio.Transport | None = None
        self._parser = ReplyParser()
        self._expecting: deque[asyncio.Future[Reply] | Group] = deque()
        self._room: asyncio.Future[None] | None = None
        # When each of those who wait gives up, on the loop's clock; the timer looks at them.
        self._dues: list[float] = []
        self._timer: asyncio.TimerHandle | None = None
        self._failure: LineFailure | None = None
        self._closed = asyncio.Event()
        #: What the server says first: expected from the first byte on.
        self.greeting = self.expect()
        #: A reply that nobody expected: a server that says goodbye, or one that breaks the order. The second such
        #: reply ends the line.
        self.stray: Reply | None = None
        #: While signing in, replies are logged without their text: some servers repeat what they were sent.
        self.quiet = False

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep ``transport``: also called for a TLS transport that takes the place of a plain one."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none of asyncio's
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        """Hand each reply to the first who expects one."""
        if self._failure is not None:
            return
        try:
            replies = self._parser.feed(data)
        except Garbled as exc:
            self.fail(Spoiled(str(exc)))
            return
        for reply in replies:
            if self._shows:
                self._log.debug("< %s", reply.status if self.quiet else reply)
            self._settle(reply)

    def _settle(self, reply: Reply) -> None:
        if not self._expecting:
            if self.stray is not None:
                self.fail(Spoiled("an answer to nothing", self.stray))
            self.stray = reply
            return
        first = self._expecting[0]
        if isinstance(first, Group):
            if first.take(reply):
                self._expecting.popleft()
            return
        self._expecting.popleft()
        # Where the one who expected it waits no more, it is still the answer to that command, and to no other.
        if not first.done():
            first.set_result(reply)

    def pause_writing(self) -> None:
        """The buffer is full: :meth:`drain` waits."""
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        """There is room again."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Everyone who waits learns it."""
        self.fail(Lost(str(exc or "")))
        self._closed.set()

    # What the toolkit calls

    @property
    def usable(self) -> bool:
        """Whether the line is open, and in step: nothing has come that nobody asked for."""
        return (
            self._failure is None
            and self.stray is None
            and not (self._parser.pending and not self._expecting)
            and self._transport is not None
            and not self._transport.is_closing()
        )

    @property
    def out_of_step(self) -> bool:
        """Whether more was answered than was asked: then none of the answers can be trusted to be to its command."""
        return self.stray is not None

    @property
    def failure(self) -> LineFailure | None:
        """Why the line ended, once it has."""
        return self._failure

    @property
    def shows(self) -> bool:
        """Whether the debug log sees what is written."""
        return self._shows

    def info(self, name: str) -> Any:
        """What asyncio's transport knows: ``sockname``, ``peername``, ``ssl_object``, ``socket``."""
        return self._transport.get_extra_info(name) if self._transport else None

    def write(self, data: bytes, *, shown: str | None = None) -> None:
        """Queue ``data``; ``shown`` is what the debug log may see of it (None: nothing)."""
        transport = self._writable()
        if self._shows and shown is not None:
            self._log.debug("> %s", shown)
        transport.write(data)

    def write_secret(self, make: Callable[[], bytes], *, shown: str) -> None:
        """Queue the line that ``make`` makes. Only its return value ever holds it: no frame that can wait does."""
        transport = self._writable()
        if self._shows:
            self._log.debug("> %s", shown)
        transport.write(make() + b"\r\n")

    def _writable(self) -> asyncio.Transport:
        if self._transport is None or self._transport.is_closing():
            # Reset a moment ago: connection_lost is still to come, and what is written now goes nowhere.
            self.fail(Lost())
        if self._failure is not None or self._transport is None:
            raise self._again()
        return self._transport

    def expect(self) -> "asyncio.Future[Reply]":
        """The reply to what was just written, once it comes; one for each command of a group, in order."""
        future = self._loop.create_future()
        if self._failure is not None:
            _give(future, self._again())
        else:
            self._expecting.append(future)
        return future

    def expect_group(self, size: int) -> Group:
        """The replies to ``size`` commands that were just written."""
        group = Group(size)
        if self._failure is None:
            self._expecting.append(group)
        return group

    def expect_more(self, group: Group) -> None:
        """One more reply, to a command that was written after those of ``group``, and before any other."""
        if group.complete and self._failure is None:
            self._expecting.append(group)
        group.grow()

    async def wait_for(self, group: Group, limit: float, *, whole: bool = False) -> None:
        """Return once ``group`` has all its replies, or (unless ``whole``) a 421 came among them.

        A server that is silent for ``limit`` seconds in all costs it the line (NoAnswer).
        """
        if group.complete or (group.goodbye and not whole):
            return
        if self._failure is not None:
            raise self._again()
        await self._within(group.waiter(self._loop), limit)

    async def wait(self, reply: "asyncio.Future[Reply]", limit: float) -> Reply:
        """What ``reply`` becomes within ``limit`` seconds; a silent server costs it the line (NoAnswer)."""
        if reply.done():
            return reply.result()
        return await self._within(reply, limit)

    async def _within(self, waited: "asyncio.Future[T]", limit: float) -> T:
        """One timer serves all who wait, and is not set anew for each of them: that would be paid for each message."""
        due = self._loop.time() + limit
        self._dues.append(due)
        if self._timer is None or due < self._timer.when():
            self._set_timer(due)
        try:
            return await waited
        finally:
            self._dues.remove(due)

    def _set_timer(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._look_at_the_clock)

    def _look_at_the_clock(self) -> None:
        self._timer = None
        if not self._dues:
            return
        if (first := min(self._dues)) <= self._loop.time():
            self.fail(NoAnswer())
        else:
            self._set_timer(first)

    async def command(self, line: str, limit: float) -> Reply:
        """Send one command, alone, and wait for its reply."""
        if unfit(line):  # checked long before; this is the last door, and one command must never become two
            raise ValueError("a command holds a control character")
        self.check_order()
        self.write(line.encode() + b"\r\n", shown=line)
        return await self.wait(self.expect(), limit)

    def check_order(self) -> None:
        """Raise where the server said something unasked: what it says next may answer anything."""
        if self.stray is not None or (self._parser.pending and not self._expecting):
            self.fail(Spoiled("an answer to nothing", self.stray))
        if self._failure is not None:
            raise self._again()

    async def drain(self, limit: float) -> None:
        """Wait while the buffer is full; a server that takes nothing for ``limit`` seconds costs it the line."""
        if self._failure is not None:
            raise self._again()
        if self._room is None:
            return
        await self._within(self._room, limit)

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Encrypt the line, after the server's 220. Raises what the handshake raises; the line is then over."""
        assert self._transport is not None
        try:
            transport = await self._loop.start_tls(self._transport, self, context, server_hostname=host)
        except BaseException:
            self.fail(Lost("the handshake failed"))
            # The TLS layer was the transport's protocol by then: it does not tell us that the line is gone.
            self._closed.set()
            raise
        assert transport is not None
        self.connection_made(transport)

    def fail(self, failure: LineFailure) -> None:
        """End the line at once, without flushing; the first reason stays, and everyone who waits learns it."""
        if self._failure is None:
            failure.reply = failure.reply or self.stray
            self._failure = failure
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._expecting:
            waiting = self._expecting.popleft()
            if isinstance(waiting, Group):
                waiting.fail(self._again())
            else:
                _give(waiting, self._again())
        if self._room is not None:
            _give(self._room, self._again())
        # A transport that has ended cannot be aborted: asyncio's fails where it was closed with bytes to send.
        if self._transport is not None and not self._closed.is_set():
            self._transport.abort()

    async def close(self, limit: float) -> None:
        """End the line in order, within ``limit`` seconds, or else at once. Never raises.

        Where somebody still waits on it, it is lost for them.
        """
        if self._transport is None:
            return
        if self._expecting or self._room is not None:
            self.fail(Lost("closed"))
        if self._failure is None:
            self._failure = Lost("closed")
            self._transport.close()
        try:
            async with asyncio.timeout(limit):
                await self._closed.wait()
        except TimeoutError:
            self._transport.abort()
            # Two turns of the loop: abort() only schedules the end of the socket.
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    def _again(self) -> LineFailure:
        # Each who waits gets an error of its own: one shared by many would gather all their tracebacks.
        assert self._failure is not None
        return type(self._failure)(self._failure.detail, self._failure.reply)


def _give(future: "asyncio.Future[Any]", failure: LineFailure) -> None:
    if not future.done():
        future.set_exception(failure)
        future.exception()  # seen, so that asyncio does not complain where nobody waits any more
