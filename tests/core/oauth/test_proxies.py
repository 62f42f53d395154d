"""Through a proxy: it is told host and port, and passes on what it cannot read."""

import asyncio
import ssl
from contextlib import suppress

import pytest
from web_server import Visit, WebServer, serving

from recapito.oauth import Http, HttpFailure
from recapito.testing import CertificateAuthority

pytestmark = pytest.mark.anyio


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: list[bytes]) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            seen.append(data)
            writer.write(data)
            await writer.drain()
    writer.close()


class Tunnel:
    """What a proxy does with CONNECT; ``seen`` is what went through it."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    async def __call__(self, visit: Visit) -> None:
        host, _, port = visit.path.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await visit.raw(b"HTTP/1.1 200 Connection established\r\nX-Proxy: 1\r\n\r\n")
        await asyncio.gather(pump(visit.reader, writer, self.seen), pump(reader, visit.writer, self.seen))


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_learns_host_and_port_and_nothing_else(
    scheme: str, web: WebServer, authority: CertificateAuthority, tls: ssl.SSLContext
) -> None:
    tunnel = Tunnel()
    async with serving(authority.server_context() if scheme == "https" else None) as proxy:
        proxy.default = tunnel
        async with Http(tls, proxy=f"{scheme}://localhost:{proxy.port}") as http:
            for _ in range(2):
                answer = await http.request(
                    "POST",
                    web.url("/secret-path"),
                    headers={"Authorization": "Bearer s3cret"},
                    content=b"s3cret",
                    deadline_in=5,
                )
                assert answer.status == 200
            assert http.connections == 1
        connect = proxy.visits[0]
        await proxy.quiet()
    assert (connect.method, connect.path) == ("CONNECT", f"localhost:{web.port}")
    assert connect.headers == {"host": f"localhost:{web.port}"}
    assert b"s3cret" not in b"".join(tunnel.seen)
    assert [visit.body for visit in web.visits] == [b"s3cret", b"s3cret"]


async def test_a_proxy_cannot_stand_in_for_the_server(tls: ssl.SSLContext) -> None:
    """It ends the tunnel itself, with a certificate of its own making."""
    stranger = CertificateAuthority()
    async with serving(stranger.server_context()) as impostor, serving(None) as proxy:

        async def astray(visit: Visit) -> None:
            reader, writer = await asyncio.open_connection("localhost", impostor.port)
            await visit.raw(b"HTTP/1.1 200 OK\r\n\r\n")
            await asyncio.gather(pump(visit.reader, writer, []), pump(reader, visit.writer, []))

        proxy.default = astray
        async with Http(tls, proxy=f"http://localhost:{proxy.port}") as http:
            with pytest.raises(HttpFailure) as failure:
                await http.request("POST", "https://localhost/", content=b"s3cret", deadline_in=5)
        await proxy.quiet()
        assert (failure.value.via, failure.value.kind, impostor.visits) == ("tls", "untrusted", [])


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 407 Authentication Required\r\nContent-Length: 0\r\n\r\n", b"", b"\x05\x00"]
)
async def test_a_proxy_that_does_not_open_the_way_gets_nothing_more(
    said: bytes, web: WebServer, tls: ssl.SSLContext
) -> None:
    async def refuse(visit: Visit) -> None:
        await visit.raw(said)
        visit.end()

    async with serving(None) as proxy:
        proxy.default = refuse
        async with Http(tls, proxy=f"http://localhost:{proxy.port}") as http:
            with pytest.raises(HttpFailure) as failure:
                await http.request("POST", web.url(), content=b"1", deadline_in=5)
    assert (failure.value.step, failure.value.sent, web.connections) == ("port", False, 0)
    assert ("407" in failure.value.text) is (b"407" in said)


@pytest.mark.parametrize("proxy", ["socks5://localhost:1", "localhost:3128", "http://user:pw@localhost:1"])
async def test_what_names_no_proxy_is_said_at_once(proxy: str, tls: ssl.SSLContext) -> None:
    async with Http(tls, proxy=proxy) as http:
        with pytest.raises(ValueError, match="http://host:port"):
            await http.request("GET", "https://localhost/", deadline_in=5)
