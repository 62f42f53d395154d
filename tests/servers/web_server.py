"""An HTTPS server that does what a test tells it, and what sign-ins and API transports are given."""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from recapito.oauth import OAuthClientSettings
from recapito.problem import Problem
from recapito.profile import Found, Profile
from recapito.redaction import RedactingLog
from recapito.reply import ServerReply
from recapito.secret import Secrets
from recapito.signin import Client, ClientInfo
from recapito.testing import TestContext


@dataclass
class Visit:
    """One request as it comes in; an act reads its body and answers it, or does neither."""

    method: str
    path: str
    headers: Mapping[str, str]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    connection: int
    body: bytes = b""

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))

    async def read(self) -> bytes:
        self.body += await self.reader.readexactly(
            int(self.headers.get("content-length", 0)) - len(self.body)
        )
        return self.body

    async def say(
        self, status: int, body: bytes | Mapping[str, Any] = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"Content-Length": str(len(octets)), **(headers or {})}
        head = f"HTTP/1.1 {status} Said\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in lines.items()
        )
        await self.raw(head.encode() + b"\r\n" + octets)

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def end(self) -> None:
        self.writer.close()

    async def gone(self) -> None:
        """Wait until the other side has closed."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self.reader.read(65536):
                pass

    async def gone_without_reading(self) -> None:
        """Take nothing more, and wait until the other side has closed."""
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()


Act = Callable[[Visit], Awaitable[None]]


def reply(
    status: int, body: bytes | Mapping[str, Any] = b"", headers: Mapping[str, str] | None = None
) -> Act:
    async def act(visit: Visit) -> None:
        await visit.read()
        await visit.say(status, body, headers)

    return act


@dataclass
class WebServer:
    """Answers the next request by the next of ``acts``, and later ones by ``default``."""

    port: int = 0
    acts: deque[Act] = field(default_factory=deque)
    default: Act = field(default_factory=lambda: reply(200, {"ok": True}))
    visits: list[Visit] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    served: set["asyncio.Task[None]"] = field(default_factory=set)
    alpn: list[str | None] = field(default_factory=list)

    def url(self, path: str = "/", host: str = "localhost") -> str:
        return f"https://{host}:{self.port}{path}"

    def then(self, *acts: Act) -> None:
        self.acts.extend(acts)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.served.add(task)
        self.connections += 1
        self.open += 1
        tls = writer.get_extra_info("ssl_object")
        self.alpn.append(tls.selected_alpn_protocol() if tls else None)
        try:
            await self._visits(reader, writer, self.connections)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        except asyncio.CancelledError:
            # The end of the test: close() would wait for the other side to read, and asyncio would log the rest.
            writer.transport.abort()
        finally:
            self.open -= 1
            self.served.discard(task)
            writer.close()

    async def _visits(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
    ) -> None:
        while not writer.is_closing():
            head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])
            }
            visit = Visit(method, path, headers, reader, writer, connection)
            self.visits.append(visit)
            await (self.acts.popleft() if self.acts else self.default)(visit)

    async def quiet(self, after: int = 0) -> None:
        """Wait until ``after`` connections came and all have ended, here too; TimeoutError where one is kept."""
        async with asyncio.timeout(5):
            while self.open or self.connections < after:  # noqa: ASYNC110 - one line for many who count
                await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(
    context: ssl.SSLContext | None, server: WebServer | None = None
) -> AsyncIterator[WebServer]:
    web = server or WebServer()
    listening = await asyncio.start_server(web.serve, "127.0.0.1", web.port, ssl=context, limit=1_000_000)
    web.port = listening.sockets[0].getsockname()[1]
    try:
        yield web
    finally:
        listening.close()
        for task in tuple(web.served):
            task.cancel()
        await asyncio.gather(*web.served, return_exceptions=True)
        for _ in range(3):  # the loop's turns until sockets are closed
            await asyncio.sleep(0)


class Registration:
    """A :class:`recapito.transport.SignInContext` for one client."""

    def __init__(self, trust: str, settings: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self.info = ClientInfo("acme", "Acme", OAuthClientSettings)
        self.client = Client(self.info, settings={"client_id": "app 1", **settings}, secrets=Secrets(secrets))
        self.transport = context(trust)

    @property
    def log(self) -> RedactingLog:
        return self.transport.log  # type: ignore[return-value]

    def tls(self, extra_ca: str | None = None) -> ssl.SSLContext:
        return self.transport.tls(extra_ca)

    async def in_thread(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return await self.transport.in_thread(function, *args, **kwargs)

    def explain(self, said: ServerReply) -> Problem:
        return self.transport.explain(said)


def context(trust: str, *tokens: str) -> TestContext:
    profile = Profile.of("anna", sender="anna@example.it", transport="acme")
    return TestContext(Found(profile, Secrets(), "1"), trust=trust, tokens=tokens)
