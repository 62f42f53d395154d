"""The answer of a browser on this machine: one redirect to a loopback address (RFC 8252 §7.3)."""

import asyncio
import html
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl, urlsplit

from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.texts import N_, translation

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

__all__ = ["Loopback"]

#: Octets of a request that are read: a redirect has a code of some hundreds.
_MOST = 16_384
#: Seconds that a browser may take for its request.
_PATIENCE = 10.0
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
        self._port = port or 0
        self._language = language
        self._servers: list[asyncio.Server] = []
        self._answer: asyncio.Future[dict[str, str]] | None = None
        self._judged: asyncio.Future[str] | None = None
        self._pages: set[asyncio.Task[None]] = set()

    @property
    def redirect_uri(self) -> str:
        """The address, with its port; inside the context only."""
        return self._template.format(port=self._port)

    async def answer(self) -> dict[str, str]:
        """The query that the browser brings; wait for it under a time limit of your own."""
        assert self._answer is not None, "it listens inside its context"
        return await asyncio.shield(self._answer)

    def judge(self, error: str = "") -> None:
        """Say on the page whether it went well, or what went wrong; the browser waits for it for a moment."""
        if self._judged is not None and not self._judged.done():
            self._judged.set_result(error)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._answer, self._judged = loop.create_future(), loop.create_future()
        for host in self._hosts():
            try:
                server = await asyncio.start_server(self._serve, host, self._port, limit=_MOST)
            except OSError as exc:
                if host != "::1":  # a machine without IPv6 has one name less to answer to
                    raise Misconfigured(
                        problem("LOOPBACK-PORT", port=self._port, reason=exc.strerror or str(exc))
                    ) from None
                continue
            self._servers.append(server)
            self._port = _port(server.sockets)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.judge("" if exc is None else self._say(N_("The sign-in was not finished.")))
        if self._pages:
            await asyncio.wait(self._pages, timeout=1.0)
        for server in self._servers:
            server.close()
        if self._answer is not None:
            self._answer.cancel()

    def _hosts(self) -> tuple[str, ...]:
        name = urlsplit(self._template.format(port=0)).hostname
        return ("127.0.0.1", "::1") if name == "localhost" else ("127.0.0.1",)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._pages.add(task)
            task.add_done_callback(self._pages.discard)
        with suppress(
            OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError
        ):
            async with asyncio.timeout(_PATIENCE):
                line = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0].decode("ascii")
            await self._reply(line, writer)
        writer.close()

    async def _reply(self, line: str, writer: asyncio.StreamWriter) -> None:
        method, target, _version = line.split(" ")
        place = urlsplit(target)
        query = dict(parse_qsl(place.query, keep_blank_values=True))
        ours = place.path == (urlsplit(self.redirect_uri).path or "/") and (
            "code" in query or "error" in query
        )
        assert self._answer is not None
        assert self._judged is not None
        if method != "GET" or not ours:
            writer.write(f"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n{_HEADERS}\r\n".encode())
        elif self._answer.done():
            self._show(writer, self._say(N_("This sign-in has ended.")))
        else:
            self._answer.set_result(query)
            error = ""
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    error = await asyncio.shield(self._judged)
            self._show(writer, error)
        await writer.drain()

    def _show(self, writer: asyncio.StreamWriter, error: str) -> None:
        title = (
            self._say(N_("The sign-in did not succeed.")) if error else self._say(N_("You are signed in."))
        )
        text = error or self._say(N_("You can close this window."))
        page = (
            f'<!doctype html><html lang="{self._language}"><meta charset="utf-8"><title>recapito</title>'
            '<body style="font-family:sans-serif;max-width:36em;margin:4em auto;padding:0 1em">'
            f"<h1>{html.escape(title)}</h1><p>{html.escape(text)}</p></body></html>"
        ).encode()
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(page)}\r\n{_HEADERS}\r\n".encode() + page)

    def _say(self, text: str) -> str:
        said: Callable[[str], str] = translation("recapito", self._language).gettext
        return said(text)


def _port(sockets: "tuple[socket.socket, ...]") -> int:
    found: int = sockets[0].getsockname()[1]
    return found
