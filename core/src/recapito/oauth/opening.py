"""Opening a connection, step by step: the same steps for a request and for a check."""

import asyncio
import ssl
from typing import TYPE_CHECKING, Literal, TypeAlias

import h11

from recapito.oauth.exchange import next_event
from recapito.oauth.failure import HttpFailure, OpeningStep
from recapito.oauth.origin import Origin
from recapito.oauth.wire import Wire
from recapito.smtp.connect import Address, Unreachable, Unresolved, connect, resolve
from recapito.smtp.encryption import certificate_of, tls_error
from recapito.smtp.settings import Patience

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Opening", "OpeningSteps"]

OpeningSteps: TypeAlias = (
    "tuple[tuple[Literal['name', 'port', 'encryption'], Callable[[], Awaitable[str]]], ...]"
)

# A deadline over everything cuts these too: they only keep one bad address from taking all of it.
_PATIENCE = Patience()
_OK = range(200, 300)


class Opening:
    """One opening. Run :attr:`steps` in order: each returns what it found, or raises HttpFailure.

    ``proxy`` (``http://host:port`` or ``https://…``) is connected to in the server's place, and passes TLS on.
    """

    def __init__(self, origin: Origin, tls: ssl.SSLContext, proxy: str | None = None) -> None:
        self._origin = origin
        self._tls = tls
        self._first, self._proxy_tls = Origin.of_proxy(proxy) if proxy else (origin, False)
        self._proxied = proxy is not None
        self._addresses: tuple[Address, ...] = ()
        self._wire: Wire | None = None
        #: The step that :meth:`open` is at; empty before and after.
        self.now: OpeningStep = ""

    @property
    def steps(self) -> OpeningSteps:
        """Name and function of each step."""
        return ("name", self._find), ("port", self._reach), ("encryption", self._protect)

    async def open(self) -> Wire:
        """All the steps; whatever ends it early closes the connection."""
        try:
            for name, step in self.steps:
                self.now = name
                await step()
            self.now = ""
        except BaseException:
            await self.abandon()
            raise
        return self.wire

    @property
    def wire(self) -> Wire:
        """The connection, once there is one."""
        assert self._wire is not None
        return self._wire

    async def abandon(self) -> None:
        """End the connection at once, where there is one."""
        if self._wire is not None:
            await self._wire.close()

    async def _find(self) -> str:
        try:
            self._addresses = await resolve(self._first.host, self._first.port, _PATIENCE.name)
        except Unresolved as exc:
            raise HttpFailure("dns-temporary" if exc.temporary else "dns", step="name") from exc
        return ", ".join(address.ip for address in self._addresses[:3])

    async def _reach(self) -> str:
        try:
            line = await connect(self._addresses, _PATIENCE)
        except Unreachable as exc:
            raise HttpFailure("refused" if exc.refused else "timeout", step="port") from exc
        self._wire = wire = Wire(line)
        try:
            await asyncio.get_running_loop().create_connection(lambda: wire, sock=line)
            peer = wire.peer
        except OSError as exc:
            line.close()
            raise HttpFailure("lost", step="port") from exc
        return peer

    async def _protect(self) -> str:
        if self._proxied:
            if self._proxy_tls:
                await self._handshake(self._first.host)
            await self._tunnel()
        await self._handshake(self._origin.host)
        line = self.wire.tls
        return ", ".join(part for part in (line.version() if line else "", str(certificate_of(line))) if part)

    async def _handshake(self, host: str) -> None:
        try:
            async with asyncio.timeout(_PATIENCE.encryption):
                await self.wire.start_tls(self._tls, host)
        except TimeoutError as exc:
            raise HttpFailure("timeout", step="encryption") from exc
        except (OSError, ssl.CertificateError) as exc:
            kind, text = tls_error(exc)
            if not kind:
                raise HttpFailure("lost", step="encryption") from exc
            raise HttpFailure(kind, via="tls", text=text, step="encryption") from exc

    async def _tunnel(self) -> None:
        """Have the proxy pass everything on (RFC 9110 §9.3.6). It learns host and port, and no more."""
        wire, authority = self.wire, self._origin.authority
        asking = h11.Request(method="CONNECT", target=authority, headers=[("Host", authority)])
        try:
            await wire.write(wire.http.send(asking) or b"")
            wire.http.send(h11.EndOfMessage())
            while not isinstance(said := await next_event(wire), h11.Response):
                pass
        except HttpFailure as exc:
            exc.step = "port"
            raise
        if said.status_code not in _OK:
            words = f"{said.status_code} {said.reason.decode('ascii', 'replace')}"
            raise HttpFailure("refused", text=f"the proxy said {words}", step="port")
        wire.http = Wire.fresh_http()
