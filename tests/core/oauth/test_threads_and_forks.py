"""Requests that threads make, and connections that a forked child inherits."""

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from web_server import Visit, WebServer, reply

from recapito.oauth import BlockingHttp, Http, HttpFailure

pytestmark = pytest.mark.anyio


async def test_a_thread_makes_requests_on_the_loop(web: WebServer, tls: ssl.SSLContext) -> None:
    async with Http(tls) as http:
        blocking = BlockingHttp(http, patience=5)

        def twice() -> list[int]:
            return [
                blocking.request("POST", web.url(), headers={"X": "1"}, body=b"1").status,
                blocking.request("GET", web.url()).status,
            ]

        assert await asyncio.to_thread(twice) == [200, 200]
    assert [(visit.method, visit.body) for visit in web.visits] == [("POST", b"1"), ("GET", b"")]
    assert web.connections == 1


async def test_one_patience_holds_for_all_requests_of_a_thread(web: WebServer, tls: ssl.SSLContext) -> None:
    async with Http(tls) as http:
        over = BlockingHttp(http, patience=0)
        with pytest.raises(HttpFailure) as failure:
            await asyncio.to_thread(over.request, "GET", web.url())
    assert (failure.value.kind, web.connections) == ("timeout", 0)


async def test_a_thread_does_not_wait_for_an_owner_that_is_gone(web: WebServer, tls: ssl.SSLContext) -> None:
    came = asyncio.Event()

    async def hold(visit: Visit) -> None:
        await visit.read()
        came.set()
        await visit.gone()

    web.then(hold)
    http = Http(tls)
    blocking = BlockingHttp(http, patience=30)
    waiting = asyncio.create_task(asyncio.to_thread(blocking.request, "POST", web.url(), body=b"1"))
    await came.wait()
    await http.aclose()
    with pytest.raises(HttpFailure) as failure:
        await waiting
    assert failure.value.sent
    with pytest.raises(HttpFailure):
        await asyncio.to_thread(blocking.request, "POST", web.url(), body=b"2")
    await web.quiet()
    assert [visit.body for visit in web.visits] == [b"1"]


def test_a_thread_is_told_where_the_loop_has_ended(tls: ssl.SSLContext) -> None:
    async def make() -> BlockingHttp:
        return BlockingHttp(Http(tls), patience=30)

    blocking = asyncio.run(make())
    with pytest.raises(HttpFailure) as failure:
        blocking.request("GET", "https://localhost/")
    assert (failure.value.kind, failure.value.sent) == ("lost", False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
async def test_a_forked_child_leaves_the_connection_to_its_parent(
    web: WebServer, tls: ssl.SSLContext
) -> None:
    held, go = asyncio.Event(), asyncio.Event()

    async def hold(visit: Visit) -> None:
        await visit.read()
        held.set()
        await go.wait()
        await visit.say(200, {"held": True})

    web.then(reply(200), hold)
    async with Http(tls) as http:
        await http.request("GET", web.url(), deadline_in=5)
        assert _in_a_child(http) == 0
        asking = asyncio.create_task(http.request("GET", web.url(), deadline_in=5))
        await held.wait()
        assert _in_a_child(http) == 0  # while a request is under way, too
        go.set()
        assert (await asking).json() == {"held": True}
        assert (await http.request("GET", web.url(), deadline_in=5)).status == 200
    assert web.connections == 1


def _in_a_child(http: Any) -> int:
    wire = http._in_use or http._kept[1]
    descriptor: int = wire._socket.fileno()
    child = os.fork()
    if child == 0:
        http.abandon()
        os._exit(0 if _is_closed(descriptor, os.fstat) else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _is_closed(descriptor: int, look: Callable[[int], Any]) -> bool:
    try:
        look(descriptor)
    except OSError:
        return True
    return False
