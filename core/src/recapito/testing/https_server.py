"""An HTTPS server on loopback: what stands for a vendor's endpoints in tests and in the demo."""

import asyncio
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Self

import h11

from recapito.testing.authority import CertificateAuthority
from recapito.testing.https_asked import Asked, Body, Said, json_said
from recapito.testing.https_fault import Fault, How
from recapito.testing.serving import LoopThread
from recapito.testing.stored import Ending

__all__ = ["HttpsServer"]

#: Bytes that are read at once, and of one header block.
_READ = 65_536
_DRIP = 0.05

Route = Callable[[Asked], Said]


class HttpsServer(LoopThread):
    """A context manager, listening while inside it; answers what :meth:`route` was told, else 404.

    Everything that came is kept: ``requests`` (bodies up to 8 MB; of larger ones size and hash), ``connections``.
    The knobs: :meth:`fail`, :meth:`hold`, :meth:`drop_idle`. ``authority`` signs the certificate; ``pem`` is what
    a client trusts.
    """

    def __init__(
        self,
        *,
        authority: CertificateAuthority | None = None,
        context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        name: str = "https",
    ) -> None:
        super().__init__(name)
        self.authority = authority or CertificateAuthority()
        self.context = context or self.authority.server_context()
        self.host = host
        self.port = 0
        #: How many connections were made, their handshake done.
        self.connections = 0
        self.requests: list[Asked] = []
        #: Bytes of a body that are kept.
        self.keep = 8_000_000
        self._routes: list[tuple[str, str, Route]] = []
        self._faults: list[Fault] = []
        self._live: set[asyncio.StreamWriter] = set()
        self._holding: asyncio.Event | None = None
        self._hold_ending = ""
        self._held = 0

    @property
    def url(self) -> str:
        """``https://127.0.0.1:PORT``."""
        return f"https://{self.host}:{self.port}"

    @property
    def pem(self) -> str:
        """What a client trusts to accept this server's certificate."""
        return self.authority.pem

    def route(self, method: str, path: str, answer: Route) -> None:
        """Answer requests to ``path``, or to all below it where it ends in ``*``; the first that fits answers."""
        self._routes.append((method, path, answer))

    def fail(
        self,
        path: str = "/",
        *,
        how: How = "answer",
        status: int = 503,
        body: bytes | str | object = b"",
        headers: Mapping[str, str] | None = None,
        method: str = "",
        times: int | None = 1,
        ending: str = "",
    ) -> None:
        """Do something else with the next ``times`` requests (None: all) whose path begins, and ends, so.

        ``body`` that is neither text nor bytes is sent as JSON. See :data:`recapito.testing.https_fault.How`.
        """
        said = Said(status, body, headers or {}) if isinstance(body, bytes) else None
        if isinstance(body, str):
            said = Said(status, body.encode(), {"Content-Type": "text/html", **(headers or {})})
        said = said or json_said(status, body, **(headers or {}))
        self.call(lambda: self._faults.append(Fault(path, method, how, said, times, ending)))

    def behave(self) -> None:
        """Take back every fault."""
        self.call(self._faults.clear)

    @contextmanager
    def hold(self, ending: str = "") -> Iterator[None]:
        """Inside it, requests (to paths that end so) are read whole and not answered; afterwards they are."""

        def begin() -> None:
            self._holding, self._hold_ending = asyncio.Event(), ending

        def end() -> None:
            if self._holding is not None:
                self._holding.set()
            self._holding = None

        self.call(begin)
        try:
            yield
        finally:
            self.call(end)

    def held(self) -> int:
        """How many requests wait for an answer."""
        return self.call(lambda: self._held)

    def drop_idle(self, ending: Ending = "close") -> None:
        """End every open line now: orderly, with a reset, or (``silence``) by never saying anything more."""

        def end() -> None:
            for writer in tuple(self._live):
                if ending == "close":
                    writer.close()
                elif ending == "reset":
                    writer.transport.abort()

        self.call(end)

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.run(self._listen())
        except BaseException:
            super().__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.call(self._abort)
        super().__exit__(*exc_info)

    def _abort(self) -> None:
        for writer in tuple(self._live):
            writer.transport.abort()

    async def _listen(self) -> None:
        def protocol() -> asyncio.BaseProtocol:
            reader = asyncio.StreamReader(limit=2 * _READ, loop=self.loop)
            return asyncio.StreamReaderProtocol(reader, self._serve, loop=self.loop)

        self.port = await self.listen(protocol, self.host, self.port, self.context)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._live.add(writer)
        line = h11.Connection(h11.SERVER, max_incomplete_event_size=_READ)
        try:
            while await self._one(line, reader, writer, number):
                line.start_next_cycle()
        except (OSError, h11.ProtocolError, asyncio.IncompleteReadError):
            pass
        finally:
            self._live.discard(writer)
            writer.close()

    async def _one(
        self, line: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> bool:
        """Whether the line is fit for another request."""
        request, body = None, Body(self.keep)
        while True:
            event = line.next_event()
            if event is h11.NEED_DATA:
                line.receive_data(await reader.read(_READ))
            elif isinstance(event, h11.Request):
                request = event
                if self._fault(_asked(request, body, number), "unread") is not None:
                    return False
                if line.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    writer.write(line.send(go_on) or b"")
            elif isinstance(event, h11.Data):
                body.add(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                break
            else:
                return False
        asked = _asked(request, body, number)
        self.requests.append(asked)
        return await self._answer(asked, line, writer)

    async def _answer(self, asked: Asked, line: h11.Connection, writer: asyncio.StreamWriter) -> bool:
        if self._holding is not None and asked.path.endswith(self._hold_ending):
            self._held += 1
            await self._holding.wait()
            self._held -= 1
        fault = self._fault(asked)
        said = fault.said if fault and fault.how != "lost" and fault.said is not None else self._said(asked)
        how = fault.how if fault else "answer"
        if how == "lost":
            return False
        if how == "silence":
            await asyncio.Event().wait()
        raw = _raw(line, said)
        if how == "cut":
            writer.write(raw[: len(raw) - max(1, len(said.body) // 2)])
        elif how == "drip":
            for octet in raw:
                writer.write(bytes((octet,)))
                await asyncio.sleep(_DRIP)
        else:
            writer.write(raw)
        await writer.drain()
        return how != "cut" and line.our_state is h11.DONE and line.their_state is h11.DONE

    def _said(self, asked: Asked) -> Said:
        for method, path, answer in self._routes:
            below = path.endswith("*") and asked.path.startswith(path[:-1])
            if method == asked.method and (below or asked.path == path):
                return answer(asked)
        return json_said(404, {"error": {"code": 404, "message": "Not Found"}})

    def _fault(self, asked: Asked, how: How | None = None) -> Fault | None:
        for fault in self._faults:
            if fault.applies(asked) and (fault.how == how or (how is None and fault.how != "unread")):
                fault.use()
                return fault
        return None


def _asked(request: h11.Request, body: Body, number: int) -> Asked:
    headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
    method, target = request.method.decode(), request.target.decode("latin-1")
    return Asked(method, target, headers, body.head, body.size, body.sha256, number)


def _raw(line: h11.Connection, said: Said) -> bytes:
    headers = {"Content-Length": str(len(said.body)), **said.headers}
    event = h11.Response(status_code=said.status, headers=list(headers.items()))
    parts = [line.send(event), line.send(h11.Data(data=said.body)), line.send(h11.EndOfMessage())]
    return b"".join(part for part in parts if part)
