"""The answer of a browser on this machine: one redirect to a loopback address (RFC 8252 §7.3)."""

import asyncio
import errno
import hmac
import html
import os
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl, urlsplit

from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.texts import N_, translation

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Loopback"]

#: Octets of a request that are read, and its fields: a redirect has a code of some hundreds, Entra's of some 2,000.
_MOST = 16_384
_FIELDS = 40
#: Seconds that a browser may take for its request, and for which it is kept waiting for the verdict.
_PATIENCE = 10.0
_VERDICT = 45.0
#: How often another free port is tried where the second address of localhost has it taken.
_TRIES = 10
#: What a machine without IPv6 says.
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)
_HEADERS = (
    "Content-Type: text/html; charset=utf-8\r\n"
    "Cache-Control: no-store\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Connection: close\r\n"
)


class Loopback:
    """Listens on this machine alone, for one answer: an async context manager.

    ``template`` is a client's (:attr:`recapito.signin.ClientInfo.loopback`), whose ``{port}`` becomes ``port``, any
    free one where that is None. ``language`` is that of the page which the person sees. ``redirect_uri`` is what
    the vendor is told. Raises Misconfigured (LOOPBACK-PORT) where it cannot listen.
    """

    def __init__(self, template: str, port: int | None = None, *, language: str = "en") -> None:
        self._template = template
        self._wanted = port or 0
        self._port = self._wanted
        self._language = language
        self._servers: list[asyncio.Server] = []
        self._state = ""
        self._answer: asyncio.Future[dict[str, str]] | None = None
        self._judged: asyncio.Future[str] | None = None
        self._pages: set[asyncio.Task[None]] = set()

    @property
    def redirect_uri(self) -> str:
        """The address, with its port; inside the context only."""
        return self._template.format(port=self._port)

    async def answer(self, state: str) -> dict[str, str]:
        """The query that the browser brings for the sign-in that ``state`` is of.

        Whatever else comes, from another window or from a page that knows the port, is told off and waited past.
        Wait for it under a time limit of your own; call :meth:`judge` once it is known how it went.
        """
        assert self._answer is not None, "it listens inside its context"
        self._state = state
        return await asyncio.shield(self._answer)

    def judge(self, error: str = "") -> None:
        """Say on the page that it went well, or what went wrong; on the loop. The browser waits for it."""
        if self._judged is not None and not self._judged.done():
            self._judged.set_result(error)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._answer, self._judged = loop.create_future(), loop.create_future()
        for left in reversed(range(_TRIES)):
            try:
                await self._listen()
                break
            except OSError as exc:
                self._close()
                if self._wanted or not left or exc.errno != errno.EADDRINUSE:
                    reason = os.strerror(exc.errno) if exc.errno else str(exc)
                    raise Misconfigured(problem("LOOPBACK-PORT", port=self._port, reason=reason)) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.judge("" if exc is None else self._say(N_("The sign-in was not finished.")))
        if self._pages:
            await asyncio.wait(self._pages, timeout=1.0)
        self._close()
        if self._answer is not None:
            self._answer.cancel()

    async def _listen(self) -> None:
        """On every address that the redirect's name may mean: whoever held another would get the code."""
        self._port = self._wanted
        for host in self._hosts():
            try:
                server = await asyncio.start_server(self._serve, host, self._port, limit=_MOST)
            except OSError as exc:
                if host == "::1" and exc.errno in _NO_SUCH_ADDRESS:
                    continue
                raise
            self._servers.append(server)
            self._port = server.sockets[0].getsockname()[1]

    def _close(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()

    def _hosts(self) -> tuple[str, ...]:
        name = urlsplit(self._template.format(port=0)).hostname
        return ("127.0.0.1", "::1") if name == "localhost" else ("127.0.0.1",)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._pages.add(task)
            task.add_done_callback(self._pages.discard)
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_PATIENCE):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            query = self._query(head)
            page = _reply("404 Not Found", "") if query is None else await self._page(query)
            writer.write(page)
            await writer.drain()
        writer.close()

    def _query(self, head: str) -> dict[str, str] | None:
        """The query of a redirect to this very address; None for anything else, a favicon for example."""
        line, *fields = head.split("\r\n")
        with suppress(ValueError):
            method, target, _version = line.split(" ")
            place, here = urlsplit(target), urlsplit(self.redirect_uri)
            pairs = parse_qsl(place.query, keep_blank_values=True, max_num_fields=_FIELDS)
            query = dict(pairs)
            # Another name for this machine is what a page that rebinds its own name would bring.
            named = [
                value.strip().lower()
                for name, _, value in (each.partition(":") for each in fields)
                if name.lower() == "host"
            ]
            whole = len(query) == len(pairs) and "state" in query and ("code" in query or "error" in query)
            if (method, place.path, named, whole) == ("GET", here.path or "/", [here.netloc], True):
                return query
        return None

    async def _page(self, query: Mapping[str, str]) -> bytes:
        assert self._answer is not None
        assert self._judged is not None
        if not self._state or not hmac.compare_digest(query["state"].encode(), self._state.encode()):
            return self._shown(
                N_("This answer is of another sign-in."),
                self._say(N_("The one that was begun last still waits.")),
            )
        if not self._answer.done():
            self._answer.set_result(dict(query))
        try:
            async with asyncio.timeout(_VERDICT):
                error = await asyncio.shield(self._judged)
        except TimeoutError:
            return self._shown(
                N_("The answer has arrived."), self._say(N_("How it went is said where you began."))
            )
        if error:
            return self._shown(N_("The sign-in did not succeed."), error)
        return self._shown(N_("You are signed in."), self._say(N_("You can close this window.")))

    def _shown(self, title: str, text: str) -> bytes:
        return _reply(
            "200 OK",
            f'<!doctype html><html lang="{self._language}"><meta charset="utf-8"><title>recapito</title>'
            '<body style="font-family:sans-serif;max-width:36em;margin:4em auto;padding:0 1em">'
            f"<h1>{html.escape(self._say(title))}</h1><p>{html.escape(text)}</p></body></html>",
        )

    def _say(self, text: str) -> str:
        said: Callable[[str], str] = translation("recapito", self._language).gettext
        return said(text)


def _reply(status: str, page: str) -> bytes:
    body = page.encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{_HEADERS}\r\n".encode() + body
