"""Connections that end: what was idle costs nothing, and what may have left is told apart from what cannot have."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Self

import pytest
from web_server import Visit, WebServer, reply

from recapito.oauth import Http, HttpFailure, Streamed
from recapito.testing import CertificateAuthority

pytestmark = pytest.mark.anyio

BIG = 4_000_000


class Counted:
    """A body of ``size`` bytes that counts how often it was begun, and what was taken of it."""

    def __init__(self, size: int, piece: int = 100_000, before_last: "asyncio.Event | None" = None) -> None:
        self.begun = 0
        self.taken = 0
        self.body = Streamed(size, self._chunks)
        self._piece = piece
        self._before_last = before_last

    async def _chunks(self) -> AsyncIterator[bytes]:
        self.begun += 1
        for start in range(0, self.body.size, self._piece):
            chunk = b"x" * min(self._piece, self.body.size - start)
            if self._before_last and start + len(chunk) == self.body.size:
                await self._before_last.wait()
            self.taken += len(chunk)
            yield chunk


async def reset(visit: Visit) -> None:
    visit.writer.transport.abort()


async def read_and_reset(visit: Visit) -> None:
    await visit.read()
    visit.writer.transport.abort()


class OneAnswerEach:
    """A server in a thread: one answer on each connection, which stays open until it is told to end."""

    def __init__(self, authority: CertificateAuthority) -> None:
        self._tls = authority.server_context()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(5)  # where the client fails, it never comes
        self._end = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self.url = f"https://localhost:{self._listening.getsockname()[1]}/"
        self.heads = 0

    def close_the_first(self) -> None:
        self._end.set()
        self._ended.wait(5)

    def _serve(self) -> None:
        for _ in range(2):
            try:
                accepted, _ = self._listening.accept()
            except TimeoutError:
                return
            accepted.settimeout(5)
            with self._tls.wrap_socket(accepted, server_side=True) as line:
                said = b""
                while b"\r\n\r\n" not in said or (b"Length: 1" in said and said[-1:] not in b"12"):
                    said += line.recv(65536)
                self.heads += 1
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                self._end.wait(5)
            self._ended.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._end.set()
        self._thread.join(5)
        self._listening.close()


# An empty body leaves with its head, as the "send" of a draft does: there is no later moment to look at the line.
BODIES = pytest.mark.parametrize("body", [b"2", b""])


@BODIES
async def test_an_idle_connection_that_the_server_closed_is_replaced_unseen(
    body: bytes, web: WebServer, tls: ssl.SSLContext
) -> None:
    ended = asyncio.Event()

    async def end_later(visit: Visit) -> None:
        await visit.read()
        await visit.say(200)
        await ended.wait()
        visit.end()

    web.then(end_later)
    async with Http(tls) as http:
        await http.request("POST", web.url(), content=b"1", deadline_in=5)
        ended.set()
        await web.quiet()
        answer = await http.request("POST", web.url(), content=body, deadline_in=5)
    assert answer.status == 200
    assert [visit.body for visit in web.visits] == [b"1", body]
    assert web.connections == 2


@BODIES
async def test_an_end_that_the_loop_has_not_looked_at_is_seen_before_anything_is_written(
    body: bytes, authority: CertificateAuthority, tls: ssl.SSLContext
) -> None:
    with OneAnswerEach(authority) as server:
        async with Http(tls) as http:
            await http.request("POST", server.url, content=b"1", deadline_in=5)
            server.close_the_first()  # and the loop stands still meanwhile
            answer = await http.request("POST", server.url, content=body, deadline_in=5)
    assert (answer.status, server.heads) == (200, 2)


async def test_a_connection_that_ends_while_the_body_waits_is_replaced_unseen(
    web: WebServer, tls: ssl.SSLContext
) -> None:
    ended = asyncio.Event()

    async def end(visit: Visit) -> None:
        visit.writer.transport.abort()
        await visit.writer.wait_closed()
        ended.set()

    web.then(reply(200), end)
    counted = Counted(300_000, before_last=ended)
    async with Http(tls) as http:
        await http.request("GET", web.url(), deadline_in=5)
        answer = await http.request("POST", web.url(), content=counted.body, deadline_in=5)
    assert (answer.status, counted.begun, web.connections) == (200, 2, 2)
    assert web.visits[-1].body == b"x" * 300_000


async def test_a_connection_is_not_used_after_its_idle_time(web: WebServer, tls: ssl.SSLContext) -> None:
    async with Http(tls, idle=0.0) as http:
        await http.request("GET", web.url(), deadline_in=5)
        await http.request("GET", web.url(), deadline_in=5)
    assert web.connections == 2


async def test_a_connection_is_not_used_longer_than_the_server_said(
    web: WebServer, tls: ssl.SSLContext
) -> None:
    web.default = reply(200, b"", {"Keep-Alive": "timeout=1, max=100"})
    async with Http(tls) as http:
        await http.request("GET", web.url(), deadline_in=5)
        await http.request("GET", web.url(), deadline_in=5)
    assert web.connections == 2


async def test_bytes_that_nobody_asked_for_end_a_connection(web: WebServer, tls: ssl.SSLContext) -> None:
    """Taken for the answer to the next request they would say that another message was accepted."""

    async def twice(visit: Visit) -> None:
        await visit.read()
        await visit.say(200, {"id": "1"})
        await visit.say(200, {"id": "of nobody"})

    web.then(twice)
    async with Http(tls) as http:
        assert (await http.request("GET", web.url(), deadline_in=5)).json() == {"id": "1"}
        assert (await http.request("GET", web.url(), deadline_in=5)).json() == {"ok": True}
    assert web.connections == 2


async def test_a_new_connection_that_ends_before_the_last_byte_has_not_sent(
    web: WebServer, tls: ssl.SSLContext
) -> None:
    web.then(reset)
    counted = Counted(BIG)
    async with Http(tls) as http:
        with pytest.raises(HttpFailure) as failure:
            await http.request("POST", web.url(), content=counted.body, deadline_in=5)
    assert (failure.value.kind, failure.value.sent, counted.begun) == ("lost", False, 1)
    assert counted.taken < BIG


async def test_a_connection_that_ends_after_the_last_byte_may_have_sent(
    web: WebServer, tls: ssl.SSLContext
) -> None:
    web.default = read_and_reset
    counted = Counted(300_000)
    async with Http(tls) as http:
        with pytest.raises(HttpFailure) as failure:
            await http.request("POST", web.url(), content=counted.body, deadline_in=5)
    assert (failure.value.kind, failure.value.sent, counted.begun) == ("lost", True, 1)


async def test_what_may_have_left_on_a_kept_connection_is_not_sent_again(
    web: WebServer, tls: ssl.SSLContext
) -> None:
    web.then(reply(200), read_and_reset)
    async with Http(tls) as http:
        await http.request("GET", web.url(), deadline_in=5)
        with pytest.raises(HttpFailure) as failure:
            await http.request("POST", web.url(), content=b"a message", deadline_in=5)
    assert (failure.value.kind, failure.value.sent) == ("lost", True)
    assert [visit.body for visit in web.visits] == [b"", b"a message"]


async def test_a_request_without_a_body_may_have_left_with_its_head(
    web: WebServer, tls: ssl.SSLContext
) -> None:
    web.default = reset
    async with Http(tls) as http:
        with pytest.raises(HttpFailure) as failure:
            await http.request("POST", web.url("/send"), deadline_in=5)
    assert failure.value.sent


@pytest.mark.parametrize("status", [401, 413, 202])
async def test_an_early_answer_stops_the_body_and_is_the_answer(
    status: int, web: WebServer, tls: ssl.SSLContext
) -> None:
    async def early(visit: Visit) -> None:
        await visit.say(status, {"error": "early"})
        await visit.gone()

    web.then(early)
    counted = Counted(40_000_000)
    async with Http(tls) as http:
        answer = await http.request("POST", web.url(), content=counted.body, deadline_in=10)
        assert (answer.status, answer.complete, answer.json()) == (status, False, {"error": "early"})
        await http.request("GET", web.url(), deadline_in=5)
    assert counted.taken < 40_000_000
    assert web.connections == 2  # half a request is left on the first


async def test_an_answer_before_a_reset_is_the_answer(web: WebServer, tls: ssl.SSLContext) -> None:
    async def refuse(visit: Visit) -> None:
        await visit.say(413, b"", {"Connection": "close"})
        visit.end()

    web.then(refuse)
    async with Http(tls) as http:
        answer = await http.request("POST", web.url(), content=Counted(BIG).body, deadline_in=5)
    assert (answer.status, answer.complete) == (413, False)


@pytest.mark.parametrize(("announced", "found"), [(10, b"123"), (2, b"123"), (0, b"123")])
async def test_a_body_of_another_size_is_never_sent_whole(
    announced: int, found: bytes, web: WebServer, tls: ssl.SSLContext
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield found

    async with Http(tls) as http:
        with pytest.raises(ValueError, match=f"a body of {announced} bytes was announced"):
            await http.request("POST", web.url(), content=Streamed(announced, chunks), deadline_in=5)
        await web.quiet()
    assert [visit.body for visit in web.visits] in ([], [b""])


async def test_what_a_body_raises_comes_through_and_nothing_whole_has_left(
    web: WebServer, tls: ssl.SSLContext
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        raise LookupError("the file changed")

    async with Http(tls) as http:
        with pytest.raises(LookupError, match="the file changed"):
            await http.request("POST", web.url(), content=Streamed(200_000, chunks), deadline_in=5)
        await web.quiet()
        assert (await http.request("GET", web.url(), deadline_in=5)).status == 200
    assert web.connections == 2


async def test_a_cancelled_request_leaves_no_connection_and_spoils_no_later_one(
    web: WebServer, tls: ssl.SSLContext
) -> None:
    came = asyncio.Event()

    async def hold(visit: Visit) -> None:
        await visit.read()
        came.set()
        await visit.gone()

    web.then(hold)
    async with Http(tls) as http:
        asking = asyncio.create_task(http.request("POST", web.url(), content=b"1", deadline_in=30))
        await came.wait()
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        await web.quiet()
        answer = await http.request("POST", web.url(), content=b"2", deadline_in=5)
    assert (answer.json(), web.connections) == ({"ok": True}, 2)


async def test_a_request_that_waits_for_another_is_cancelled_by_itself(
    web: WebServer, tls: ssl.SSLContext
) -> None:
    came, go = asyncio.Event(), asyncio.Event()

    async def hold(visit: Visit) -> None:
        await visit.read()
        came.set()
        await go.wait()
        await visit.say(200, {"held": True})

    web.then(hold)
    async with Http(tls) as http:
        first = asyncio.create_task(http.request("GET", web.url(), deadline_in=5))
        await came.wait()
        second = asyncio.create_task(http.request("GET", web.url(), deadline_in=5))
        await asyncio.sleep(0)
        second.cancel()
        with suppress(asyncio.CancelledError):
            await second
        go.set()
        assert (await first).json() == {"held": True}
    assert len(web.visits) == 1


async def test_a_closed_one_makes_no_requests(web: WebServer, tls: ssl.SSLContext) -> None:
    http = Http(tls)
    await http.request("GET", web.url(), deadline_in=5)
    await http.aclose()
    await http.aclose()
    await web.quiet()
    with pytest.raises(HttpFailure) as failure:
        await http.request("GET", web.url(), deadline_in=5)
    assert (failure.value.kind, failure.value.sent, web.connections) == ("lost", False, 1)


async def test_what_is_closed_while_a_request_is_under_way_keeps_no_connection(
    web: WebServer, tls: ssl.SSLContext
) -> None:
    came, go = asyncio.Event(), asyncio.Event()

    async def hold(visit: Visit) -> None:
        await visit.read()
        came.set()
        await go.wait()
        await visit.say(200, {"held": True})

    web.then(hold)
    http = Http(tls)
    asking = asyncio.create_task(http.request("GET", web.url(), deadline_in=5))
    await came.wait()
    await http.aclose()
    go.set()
    assert (await asking).json() == {"held": True}
    await web.quiet()
    assert web.open == 0
