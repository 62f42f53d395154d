"""Requests: what is sent, what comes back, and over which connection."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
from web_server import Visit, WebServer, reply, serving

from recapito.oauth import Http, HttpFailure, Streamed
from recapito.secret import Secret
from recapito.testing import CertificateAuthority

pytestmark = pytest.mark.anyio


def in_pieces(data: bytes, size: int) -> Streamed:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    return Streamed(len(data), chunks)


async def test_a_request_arrives_as_it_was_given(web: WebServer, tls: ssl.SSLContext) -> None:
    async with Http(tls) as http:
        answer = await http.request(
            "POST", web.url("/a?b=c%20d"), headers={"X-One": "1"}, content=b"body", deadline_in=5
        )
    visit = web.visits[0]
    assert (visit.method, visit.path, visit.body) == ("POST", "/a?b=c%20d", b"body")
    assert visit.headers["x-one"] == "1"
    assert visit.headers["host"] == f"localhost:{web.port}"
    assert visit.headers["accept-encoding"] == "identity"
    assert (answer.status, answer.json(), answer.whole, answer.complete) == (200, {"ok": True}, True, True)


async def test_secrets_are_revealed_on_the_wire_only(web: WebServer, tls: ssl.SSLContext) -> None:
    async with Http(tls) as http:
        await http.request(
            "POST",
            web.url(),
            headers={"Authorization": Secret("Bearer abc")},
            content=Secret("password=perché"),
            deadline_in=5,
        )
    assert web.visits[0].headers["authorization"] == "Bearer abc"
    assert web.visits[0].body == "password=perché".encode()


async def test_a_stream_arrives_whole_and_in_order(web: WebServer, tls: ssl.SSLContext) -> None:
    data = bytes(range(256)) * 5000
    async with Http(tls) as http:
        await http.request("POST", web.url(), content=in_pieces(data, 70_000), deadline_in=5)
    assert web.visits[0].headers["content-length"] == str(len(data))
    assert web.visits[0].body == data


async def test_a_post_without_a_body_says_that_it_has_none(web: WebServer, tls: ssl.SSLContext) -> None:
    async with Http(tls) as http:
        await http.request("POST", web.url(), deadline_in=5)
        await http.request("GET", web.url(), deadline_in=5)
    assert web.visits[0].headers["content-length"] == "0"
    assert "content-length" not in web.visits[1].headers


async def test_one_connection_carries_requests_one_after_the_other(
    web: WebServer, tls: ssl.SSLContext
) -> None:
    async with Http(tls) as http:
        await asyncio.gather(*(http.request("GET", web.url(f"/{n}"), deadline_in=5) for n in range(5)))
        assert (http.connections, http.requests) == (1, 5)
    assert (web.connections, len(web.visits)) == (1, 5)


async def test_only_one_connection_is_kept(web: WebServer, other: WebServer, tls: ssl.SSLContext) -> None:
    async with Http(tls) as http:
        await http.request("GET", web.url(), deadline_in=5)
        await http.request("GET", other.url(), deadline_in=5)
        await web.quiet()
        assert (web.open, other.open) == (0, 1)
    await other.quiet()


async def test_an_informational_answer_is_not_the_answer(web: WebServer, tls: ssl.SSLContext) -> None:
    async def act(visit: Visit) -> None:
        await visit.raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await visit.read()
        await visit.say(201)

    web.then(act)
    async with Http(tls) as http:
        answer = await http.request("POST", web.url(), content=b"x" * 500_000, deadline_in=5)
    assert (answer.status, answer.complete, len(web.visits[0].body)) == (201, True, 500_000)


async def test_a_chunked_body_is_read(web: WebServer, tls: ssl.SSLContext) -> None:
    async def act(visit: Visit) -> None:
        await visit.raw(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b'7\r\n{"a": 1\r\n1\r\n}\r\n0\r\nX-Trailer: 1\r\n\r\n'
        )

    web.then(act)
    async with Http(tls) as http:
        assert (await http.request("GET", web.url(), deadline_in=5)).json() == {"a": 1}
        await http.request("GET", web.url(), deadline_in=5)
    assert web.connections == 1


async def test_a_server_that_closes_after_each_answer_is_connected_to_anew(
    web: WebServer, tls: ssl.SSLContext
) -> None:
    web.default = reply(200, b"", {"Connection": "close"})
    async with Http(tls) as http:
        await http.request("GET", web.url(), deadline_in=5)
        await http.request("GET", web.url(), deadline_in=5)
    assert web.connections == 2


async def test_the_context_of_a_request_is_left_as_it_was(
    web: WebServer, authority: CertificateAuthority
) -> None:
    # SMTP lines share the context: what HTTP would have it say to a server they would say too.
    async with serving(_choosing(authority)) as choosing:
        context = authority.client_context()
        async with Http(context) as http:
            await http.request("GET", choosing.url(), deadline_in=5)
        _, writer = await asyncio.open_connection("localhost", choosing.port, ssl=context)
        while choosing.connections < 2:  # noqa: ASYNC110 - a server counts, and tells nobody
            await asyncio.sleep(0.005)
        writer.close()
        assert choosing.alpn == [None, None]


def _choosing(authority: CertificateAuthority) -> ssl.SSLContext:
    context = authority.server_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "https:///path",
        "https://user:password@localhost/",
        "https://localhost:99999/",
        "https://localhost/a b",
        "https://localhost/\r\nX: 1",
        "https://localhost/é",
        "file:///etc/passwd",
        "",
    ],
)
async def test_only_plain_https_addresses_are_sent_to(url: str, tls: ssl.SSLContext) -> None:
    async with Http(tls) as http:
        with pytest.raises(HttpFailure) as failure:
            await http.request("GET", url, deadline_in=5)
    assert (failure.value.kind, failure.value.sent, http.connections) == ("url", False, 0)
    assert "password" not in str(failure.value)


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\x00", "a\x7f", "é", "a\u2028b"])
async def test_no_header_can_begin_another(value: str, web: WebServer, tls: ssl.SSLContext) -> None:
    async with Http(tls) as http:
        with pytest.raises(ValueError, match="the value of Authorization") as error:
            await http.request("GET", web.url(), headers={"Authorization": value}, deadline_in=5)
    assert value not in str(error.value)
    assert web.visits == []


@pytest.mark.parametrize("name", ["X Y", "", "X\r\nY", "Content-Length", "Transfer-Encoding", "Host", "é"])
async def test_names_of_headers_are_names_and_the_body_is_framed_by_us(
    name: str, tls: ssl.SSLContext
) -> None:
    async with Http(tls) as http:
        with pytest.raises(ValueError, match="is not a header that can be set"):
            await http.request("GET", "https://localhost/", headers={name: "1"}, deadline_in=5)
