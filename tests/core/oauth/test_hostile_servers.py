"""Servers that mean harm, or are broken: bounded time and memory, and no secret goes where it was not meant to go."""

import asyncio
import gzip
import ssl
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from web_server import Act, Visit, WebServer, reply, serving

from recapito.oauth import Http, HttpFailure, Streamed
from recapito.testing import CertificateAuthority

pytestmark = pytest.mark.anyio

SHORT = 0.25


def raw(data: bytes) -> Act:
    async def act(visit: Visit) -> None:
        await visit.read()
        await visit.raw(data)
        visit.end()

    return act


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_the_other_host_gets_nothing(
    status: int, web: WebServer, other: WebServer, tls: ssl.SSLContext
) -> None:
    web.default = reply(status, b"", {"Location": other.url("/steal", "127.0.0.1")})
    async with Http(tls) as http:
        answer = await http.request(
            "POST",
            web.url(),
            headers={"Authorization": "Bearer t0ken"},
            content=b"client_secret=s3cret",
            deadline_in=5,
        )
    assert answer.status == status
    assert (other.connections, len(web.visits)) == (0, 1)


async def test_cookies_are_not_kept(web: WebServer, tls: ssl.SSLContext) -> None:
    web.default = reply(200, b"", {"Set-Cookie": "session=abc"})
    async with Http(tls) as http:
        await http.request("GET", web.url(), deadline_in=5)
        await http.request("GET", web.url(), deadline_in=5)
    assert "cookie" not in web.visits[1].headers


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
async def test_a_proxy_in_the_environment_is_not_used(
    name: str, web: WebServer, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(None) as proxy:
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with Http(tls) as http:
            assert (await http.request("GET", web.url(), deadline_in=5)).status == 200
        assert proxy.connections == 0


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
async def test_authorities_in_the_environment_are_not_trusted(
    name: str,
    authority: CertificateAuthority,
    tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    stranger = CertificateAuthority()
    bundle = tmp_path_factory.mktemp("ca") / "stranger.pem"
    bundle.write_text(stranger.pem)
    monkeypatch.setenv(name, str(bundle))
    async with serving(stranger.server_context()) as theirs, serving(authority.server_context()) as ours:
        async with Http(tls) as http:
            assert (await http.request("GET", ours.url(), deadline_in=5)).status == 200
            with pytest.raises(HttpFailure) as failure:
                await http.request("GET", theirs.url(), deadline_in=5)
        assert (failure.value.via, failure.value.kind, theirs.visits) == ("tls", "untrusted", [])


async def test_a_netrc_is_not_read(
    web: WebServer,
    tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    netrc = tmp_path_factory.mktemp("home") / ".netrc"
    netrc.write_text("machine localhost login anna password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(netrc.parent))
    async with Http(tls) as http:
        await http.request("GET", web.url(), deadline_in=5)
    assert "authorization" not in web.visits[0].headers


async def test_a_body_is_read_up_to_the_cap_and_no_further(web: WebServer, tls: ssl.SSLContext) -> None:
    written = 0

    async def endless(visit: Visit) -> None:
        nonlocal written
        await visit.raw(b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await visit.raw(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            written += 65536

    web.then(endless)
    async with Http(tls, cap=100_000) as http:
        answer = await http.request("GET", web.url(), deadline_in=10)
        await web.quiet()
    assert (answer.status, answer.whole, answer.json()) == (403, False, None)
    assert len(answer.body) == 100_001
    # Sockets hold some megabytes; nothing beyond that was taken.
    assert written < 20_000_000


async def test_a_body_of_exactly_the_cap_is_whole(web: WebServer, tls: ssl.SSLContext) -> None:
    web.then(reply(200, b"x" * 1000), reply(200, b"x" * 1001))
    async with Http(tls, cap=1000) as http:
        assert (await http.request("GET", web.url(), deadline_in=5)).whole
        assert not (await http.request("GET", web.url(), deadline_in=5)).whole


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "GZIP", "identity, gzip"])
async def test_a_compressed_body_is_not_unpacked(encoding: str, web: WebServer, tls: ssl.SSLContext) -> None:
    bomb = gzip.compress(b'{"access_token": "' + b"x" * 20_000_000 + b'"}')
    web.then(reply(200, bomb, {"Content-Encoding": encoding}))
    async with Http(tls) as http:
        tracemalloc.start()
        try:
            answer = await http.request("GET", web.url(), deadline_in=5)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert (answer.status, answer.whole, answer.json()) == (200, False, None)
    assert peak < 3_000_000


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 2xx OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2_000_000 + b"\r\n\r\n",
        b"\x00" * 200_000,
        b"\x16\x03\x01",
    ],
)
async def test_what_is_not_http_is_no_answer(said: bytes, web: WebServer, tls: ssl.SSLContext) -> None:
    web.then(raw(said))
    async with Http(tls) as http:
        with pytest.raises(HttpFailure) as failure:
            await http.request("POST", web.url(), content=b"1", deadline_in=5)
    assert (failure.value.via, failure.value.kind, failure.value.sent) == ("http", "answer", True)


async def test_an_end_without_an_answer_is_none(web: WebServer, tls: ssl.SSLContext) -> None:
    web.then(raw(b""))
    async with Http(tls) as http:
        with pytest.raises(HttpFailure) as failure:
            await http.request("POST", web.url(), content=b"1", deadline_in=5)
    assert (failure.value.via, failure.value.kind, failure.value.sent) == ("net", "lost", True)


async def test_an_answer_that_is_cut_keeps_its_status(web: WebServer, tls: ssl.SSLContext) -> None:
    web.then(raw(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"access_token": "abc'))
    async with Http(tls) as http:
        answer = await http.request("GET", web.url(), deadline_in=5)
    assert (answer.status, answer.whole, answer.json()) == (200, False, None)


async def drip(visit: Visit) -> None:
    await visit.read()
    await visit.raw(b"HTTP/1.1 200 OK\r\n")
    while True:
        await visit.raw(b"X-More: 1\r\n")
        await asyncio.sleep(0.01)


async def drip_body(visit: Visit) -> None:
    await visit.read()
    await visit.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
    while True:
        await visit.raw(b" ")
        await asyncio.sleep(0.01)


async def drip_informational(visit: Visit) -> None:
    await visit.read()
    while True:
        await visit.raw(b"HTTP/1.1 102 Processing\r\n\r\n")
        await asyncio.sleep(0.01)


async def silence(visit: Visit) -> None:
    await visit.read()
    await visit.gone()


@pytest.mark.parametrize("act", [drip, drip_informational, silence])
async def test_one_deadline_holds_over_whatever_drips(act: Act, web: WebServer, tls: ssl.SSLContext) -> None:
    web.then(act)
    async with Http(tls) as http:
        with pytest.raises(HttpFailure) as failure:
            await http.request("POST", web.url(), content=b"1", deadline_in=SHORT)
        await web.quiet()
    assert (failure.value.kind, failure.value.sent, failure.value.step) == ("timeout", True, "")


async def test_a_body_that_drips_is_an_answer_that_is_not_whole(web: WebServer, tls: ssl.SSLContext) -> None:
    web.then(drip_body)
    async with Http(tls) as http:
        answer = await http.request("POST", web.url(), content=b"1", deadline_in=SHORT)
        await web.quiet()
    assert (answer.status, answer.whole, answer.complete) == (200, False, True)


async def test_a_server_that_takes_nothing_is_given_up_and_nothing_whole_has_left(
    web: WebServer, tls: ssl.SSLContext
) -> None:
    async def hold(visit: Visit) -> None:
        await visit.gone_without_reading()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 100_000

    web.then(hold)
    async with Http(tls) as http:
        with pytest.raises(HttpFailure) as failure:
            await http.request("POST", web.url(), content=Streamed(100_000_000, chunks), deadline_in=SHORT)
    assert (failure.value.kind, failure.value.sent) == ("timeout", False)


async def test_a_handshake_that_never_ends_is_given_up_at_encryption(tls: ssl.SSLContext) -> None:
    async with serving(None) as mute, Http(tls) as http:
        with pytest.raises(HttpFailure) as failure:
            await http.request("POST", mute.url(), content=b"1", deadline_in=SHORT)
        await mute.quiet()
    assert (failure.value.kind, failure.value.sent) == ("timeout", False)
    assert failure.value.step == "encryption"


async def test_a_deadline_that_is_over_sends_nothing(web: WebServer, tls: ssl.SSLContext) -> None:
    async with Http(tls) as http:
        for seconds in (0.0, -5.0):
            with pytest.raises(HttpFailure) as failure:
                await http.request("POST", web.url(), content=b"1", deadline_in=seconds)
            assert (failure.value.kind, failure.value.sent) == ("timeout", False)
    assert web.visits == []


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ("expired", "expired"),
        ("not_yet_valid", "not-yet-valid"),
        ("wrong_host", "name"),
        ("common_name_only", "name"),
        ("self_signed", "untrusted"),
        ("unknown", "untrusted"),
    ],
)
async def test_a_bad_certificate_gets_no_request(
    bad: str, kind: str, authority: CertificateAuthority, tls: ssl.SSLContext
) -> None:
    async with serving(getattr(authority, bad)()) as server:
        async with Http(tls) as http:
            with pytest.raises(HttpFailure) as failure:
                await http.request("POST", server.url(), content=b"secret", deadline_in=5)
        assert server.visits == []
    assert (failure.value.via, failure.value.kind, failure.value.step) == ("tls", kind, "encryption")
    assert not failure.value.sent


async def test_a_server_that_speaks_plain_http_gets_no_request(tls: ssl.SSLContext) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with Http(tls) as http, server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(HttpFailure) as failure:
            await http.request("GET", f"https://localhost:{port}/", deadline_in=5)
        assert (failure.value.via, failure.value.kind) == ("tls", "mode")


async def test_a_closed_port_and_a_missing_name_are_told_apart(tls: ssl.SSLContext) -> None:
    async with serving(None) as gone:
        pass
    async with Http(tls) as http:
        with pytest.raises(HttpFailure) as refused:
            await http.request("GET", gone.url(), deadline_in=5)
        with pytest.raises(HttpFailure) as missing:
            await http.request("GET", "https://no such.invalid/".replace(" ", "-"), deadline_in=5)
    assert (refused.value.kind, refused.value.step) == ("refused", "port")
    assert (missing.value.kind.startswith("dns"), missing.value.step) == (True, "name")
