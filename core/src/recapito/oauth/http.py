"""Requests over HTTPS, on one connection that is kept, within one deadline, and nothing else that clients do.

No redirects, no cookies, no settings from the environment, no compression, no second try of anything that may
have arrived. It is built on h11, and on the SMTP toolkit's way of finding and connecting to a host. httpx2 was
read, and does not fit: it logs addresses, and its core the heads of answers, which hold codes and upload
addresses; it sets ALPN on the TLS context it is given, which SMTP lines share; it looks up names in asyncio's own
threads, which keep a program from ending; it goes on in silence where a write fails, so that nobody can tell
whether a body left; and its connections cannot be left behind in a forked child.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Coroutine, Mapping
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import h11

from recapito.oauth.answer import Answer
from recapito.oauth.body import Body, Outgoing
from recapito.oauth.exchange import Exchange
from recapito.oauth.failure import HttpFailure, OpeningStep
from recapito.oauth.opening import Opening
from recapito.oauth.origin import Origin, Target
from recapito.oauth.wire import Wire
from recapito.secret import Secret

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Http"]

log = logging.getLogger("recapito.oauth")

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
# Ours alone: what says how long the body is, and what the server may do to it.
_OWN = {"host", "content-length", "transfer-encoding", "accept-encoding", "connection"}
# Before the server's own limit: its end of an idle connection and our next request may cross.
_MARGIN = 1.0


class Http:
    """Requests of one session or sign-in, one after the other; bound to the loop it is first used on.

    ``cap`` is the most that is read of a body, in bytes. A connection that was idle for ``idle`` seconds is not
    used again, nor is one on which anything stirs. Close it with :meth:`aclose`, or use it in ``async with``.
    """

    def __init__(
        self, tls: ssl.SSLContext, *, proxy: str | None = None, cap: int = 1_000_000, idle: float = 10.0
    ) -> None:
        self._tls = tls
        self._proxy = proxy or None
        self._cap = cap
        self._idle = idle
        self._turn = asyncio.Lock()
        self._kept: tuple[Origin, Wire] | None = None
        self._in_use: Wire | None = None
        self._closed = False
        self._handed: set[Future[Answer]] = set()
        #: Connections made so far, and requests of which at least the head was written.
        self.connections = 0
        self.requests = 0

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str | Secret] | None = None,
        content: Body | Outgoing = b"",
        deadline_in: float,
    ) -> Answer:
        """The answer, whatever its status: redirects are not followed.

        ``url`` is https; a header's value or a ``content`` that is a secret text comes as a Secret.
        ``deadline_in`` is in seconds, for everything together: waiting for an earlier request, connecting, sending
        and reading. Raises HttpFailure where no status came, ValueError for a header that cannot be one or a body
        of another size than announced, and what the chunks of a Streamed raise. Cancelled, it closes the connection.
        """
        outgoing = content if isinstance(content, Outgoing) else Outgoing(content)
        head = _Head(method, Target.of(url), headers or {}, outgoing.size)
        # The frames of a traceback would show them, where they are no Secret.
        url, headers, content = "", None, b""
        try:
            return await self._within(head, outgoing, deadline_in)
        except (HttpFailure, asyncio.CancelledError) as exc:
            raise exc.with_traceback(None) from None

    async def adopt(self, opening: Opening, origin: Origin) -> None:
        """Keep the connection that ``opening`` opened, for the next request to ``origin``."""
        await self._drop()
        self.connections += 1
        opening.wire.idle_since = asyncio.get_running_loop().time()
        self._kept = origin, opening.wire

    def opening(self, url: str) -> tuple[Origin, Opening]:
        """How ``url`` is connected to, for a check that goes step by step."""
        origin = Target.of(url).origin
        return origin, Opening(origin, self._tls, self._proxy)

    def hand_over(
        self, asking: Coroutine[Any, Any, Answer], loop: asyncio.AbstractEventLoop
    ) -> "Future[Answer]":
        """A request of this object, made from another thread; :meth:`aclose` ends it. RuntimeError: no such loop."""
        waiting = asyncio.run_coroutine_threadsafe(asking, loop)
        self._handed.add(waiting)
        waiting.add_done_callback(self._handed.discard)
        return waiting

    async def aclose(self) -> None:
        """Close the connection; later requests fail, and so do those that threads wait for. Never raises."""
        self._closed = True
        for waiting in tuple(self._handed):
            waiting.cancel()
        await self._drop()

    def abandon(self) -> None:
        """Close the descriptor without a byte, in a forked child."""
        self._closed = True
        for wire in (self._in_use, self._kept[1] if self._kept else None):
            if wire is not None:
                wire.abandon()
        self._in_use = self._kept = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _within(self, head: "_Head", outgoing: Outgoing, deadline_in: float) -> Answer:
        started, answer = perf_counter(), None
        attempt = _Attempt()
        try:
            async with asyncio.timeout(max(0.0, deadline_in)) as limit, self._turn:
                answer = await self._tried(head, outgoing, attempt)
        except TimeoutError:
            if not limit.expired():
                raise
            # A status that came is an answer, however slowly the rest does.
            answer = attempt.exchange.answer if attempt.exchange else None
        finally:
            said = answer.status if answer else "no answer"
            place = head.target.origin.authority
            log.debug("%s %s: %s in %.0f ms", head.method, place, said, (perf_counter() - started) * 1000)
        if answer is None:
            raise HttpFailure("timeout", sent=outgoing.sent, step=attempt.step)
        return answer

    async def _tried(self, head: "_Head", outgoing: Outgoing, attempt: "_Attempt") -> Answer:
        wire = await self._idle_wire(head.target.origin)
        if wire is not None:
            try:
                return await self._exchanged(wire, head, outgoing, attempt)
            except HttpFailure as exc:
                # It ended while it was idle, and the body has not left: a new one, once.
                if outgoing.sent or exc.kind != "lost":
                    raise
        attempt.exchange = None
        attempt.opening = Opening(head.target.origin, self._tls, self._proxy)
        wire = await attempt.opening.open()
        self.connections += 1
        return await self._exchanged(wire, head, outgoing, attempt)

    async def _exchanged(self, wire: Wire, head: "_Head", outgoing: Outgoing, attempt: "_Attempt") -> Answer:
        self.requests += 1
        self._in_use = wire
        attempt.exchange = exchange = Exchange(wire, outgoing, self._cap)
        try:
            answer = await exchange.run(head.made)
        except HttpFailure as exc:
            exc.sent = outgoing.sent
            raise
        finally:
            self._in_use = None
            if self._closed or not exchange.reusable:
                await wire.close()
            else:
                wire.http.start_next_cycle()
                wire.idle_since = asyncio.get_running_loop().time()
                self._kept = head.target.origin, wire
        return answer

    async def _idle_wire(self, origin: Origin) -> Wire | None:
        """The kept connection, where it leads to ``origin`` and can still be trusted."""
        if self._closed:
            raise HttpFailure("lost", text="closed")
        if self._kept is None:
            return None
        own, wire = self._kept
        await wire.settle()
        idle = asyncio.get_running_loop().time() - wire.idle_since
        limit = self._idle if wire.kept_for is None else min(self._idle, wire.kept_for - _MARGIN)
        if own != origin or idle >= limit or wire.stirring:
            await self._drop()
            return None
        self._kept = None
        return wire

    async def _drop(self) -> None:
        if self._kept is not None:
            _, wire = self._kept
            self._kept = None
            await wire.close()


class _Attempt:
    """How far a request has come, for whoever ends it."""

    def __init__(self) -> None:
        self.opening: Opening | None = None
        self.exchange: Exchange | None = None

    @property
    def step(self) -> OpeningStep:
        """Where the way to the server was left; empty once it was open."""
        return self.opening.now if self.opening else ""


class _Head:
    """The head of a request, put together when it is written."""

    __slots__ = ("_headers", "_size", "method", "target")

    def __init__(self, method: str, target: Target, headers: Mapping[str, str | Secret], size: int) -> None:
        self.method = method
        self.target = target
        self._size = size
        self._headers = {name: _checked(name, value) for name, value in headers.items()}

    def made(self) -> h11.Request:
        """What h11 writes."""
        own = [("Host", self.target.host), ("Accept-Encoding", "identity"), ("User-Agent", "recapito")]
        given = {name.lower() for name in self._headers}
        if self._size or self.method not in ("GET", "HEAD", "DELETE"):
            own.append(("Content-Length", str(self._size)))
        return h11.Request(
            method=self.method,
            target=self.target.path,
            headers=[
                *((name, value) for name, value in own if name.lower() not in given),
                *((name, value.reveal()) for name, value in self._headers.items()),
            ],
        )


def _checked(name: str, value: "str | Secret") -> Secret:
    """The value, hidden. ValueError, without it, where it could end the header and begin another."""
    kept = value if isinstance(value, Secret) else Secret(value)
    if not _NAME.fullmatch(name) or name.lower() in _OWN:
        raise ValueError(f"{name!r} is not a header that can be set")
    if not _VALUE.fullmatch(kept.reveal()):
        raise ValueError(f"the value of {name} holds a character that cannot be there")
    return kept
