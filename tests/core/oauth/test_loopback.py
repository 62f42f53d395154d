"""The loopback address: one answer, of the sign-in that waits, and a page that gives nothing away."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from recapito.errors import Misconfigured
from recapito.oauth.loopback import Loopback

pytestmark = pytest.mark.anyio
IPV4, NAMED = "http://127.0.0.1:{port}/", "http://localhost:{port}/back"
STATE = "the-state-of-this-sign-in"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def say(loopback: Loopback, raw: str | bytes, host: str = "127.0.0.1") -> tuple[str, str]:
    """Head and body of what comes back; empty where the line was only closed."""
    port = int(loopback.redirect_uri.split(":")[2].split("/")[0])
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(raw if isinstance(raw, bytes) else raw.encode())
    answer = ""
    with suppress(ConnectionResetError):  # closed with some of the request unread
        answer = (await reader.read()).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return head, body


def get(loopback: Loopback, query: str, *, path: str = "/", method: str = "GET", host: str = "") -> str:
    named = host or loopback.redirect_uri.split("/")[2]
    return f"{method} {path}?{query} HTTP/1.1\r\nHost: {named}\r\n\r\n"


@asynccontextmanager
async def waiting(loopback: Loopback) -> AsyncIterator["asyncio.Task[dict[str, str]]"]:
    async with loopback:
        answer = asyncio.create_task(loopback.answer(STATE))
        await asyncio.sleep(0)
        try:
            yield answer
        finally:
            answer.cancel()


async def test_the_answer_is_the_whole_query_and_the_page_waits_for_the_verdict() -> None:
    loopback = Loopback(IPV4)
    async with waiting(loopback) as answer:
        page = asyncio.create_task(say(loopback, get(loopback, f"code=4%2Fabc&state={STATE}&iss=https://x")))
        assert await answer == {"code": "4/abc", "state": STATE, "iss": "https://x"}
        assert not page.done()
        loopback.judge()
        head, body = await page
    assert head.startswith("HTTP/1.1 200")
    assert "You are signed in." in body
    assert "You can close this window." in body


@pytest.mark.parametrize(
    ("language", "words"), [("it", "L'accesso non è riuscito"), ("en", "did not succeed")]
)
async def test_the_page_says_what_went_wrong_as_text_in_the_persons_language(
    language: str, words: str
) -> None:
    loopback = Loopback(IPV4, language=language)
    async with waiting(loopback) as answer:
        page = asyncio.create_task(say(loopback, get(loopback, f"error=server_error&state={STATE}")))
        assert (await answer)["error"] == "server_error"
        loopback.judge('Mario said: <script>alert("1")</script>')
        _head, body = await page
    assert words.replace("'", "&#x27;") in body
    assert f'lang="{language}"' in body
    assert "<script>" not in body
    assert "&lt;script&gt;" in body


async def test_what_the_page_was_asked_with_is_kept_nowhere_and_sent_to_nobody() -> None:
    loopback = Loopback(IPV4)
    async with waiting(loopback) as answer:
        page = asyncio.create_task(say(loopback, get(loopback, f"code=c0de-of-anna&state={STATE}")))
        await answer
        loopback.judge()
        head, body = await page
    for line in (
        "Cache-Control: no-store",
        "Referrer-Policy: no-referrer",
        "X-Content-Type-Options: nosniff",
    ):
        assert line in head
    assert "Content-Security-Policy: default-src 'none'" in head
    assert "c0de-of-anna" not in head + body
    assert STATE not in head + body


@pytest.mark.parametrize(
    "query",
    [
        "code=x&state=of-another-window",
        "error=access_denied&state=of-another-window",
        f"code=x&state={STATE}&state={STATE}",
        f"code=x&code=y&state={STATE}",
        "code=x",
        f"state={STATE}",
        "",
        "&".join(f"x{number}=1" for number in range(50)) + f"&code=x&state={STATE}",
    ],
    ids=["other", "other-error", "state-twice", "code-twice", "no-state", "no-code", "empty", "many"],
)
async def test_anything_but_the_answer_of_this_sign_in_is_waited_past(query: str) -> None:
    loopback = Loopback(IPV4)
    async with waiting(loopback) as answer:
        _head, body = await say(loopback, get(loopback, query))
        assert "signed in." not in body
        assert not answer.done()
        loopback.judge()
        await say(loopback, get(loopback, f"code=good&state={STATE}"))
        assert (await answer)["code"] == "good"


async def test_only_a_get_of_the_very_address_counts() -> None:
    loopback = Loopback(NAMED)
    async with waiting(loopback) as answer:
        good = f"code=x&state={STATE}"
        asked = [
            get(loopback, "", path="/favicon.ico"),
            get(loopback, good, path="/other"),
            get(loopback, good, path="/back", method="POST"),
            get(loopback, good, path="/back", method="HEAD"),
            get(loopback, good, path="/back", host="evil.example"),
            get(loopback, good, path="/back").replace("Host:", "X:"),
            "nonsense\r\n\r\n",
        ]
        for each in asked:
            head, body = await say(loopback, each)
            assert (head[:12], body) == ("HTTP/1.1 404", ""), each
        assert not answer.done()
        loopback.judge()
        head, _body = await say(loopback, get(loopback, good, path="/back"))
        assert head.startswith("HTTP/1.1 200")


async def test_a_request_without_end_is_let_go() -> None:
    loopback = Loopback(IPV4)
    async with waiting(loopback) as answer:
        long = get(loopback, f"code=x&state={STATE}&more={'x' * 40_000}")
        assert await say(loopback, long) == ("", "")
        assert not answer.done()


async def test_the_same_answer_twice_is_one_answer_with_one_verdict() -> None:
    loopback = Loopback(IPV4)
    async with waiting(loopback) as answer:
        pages = [asyncio.create_task(say(loopback, get(loopback, f"code=x&state={STATE}"))) for _ in range(2)]
        await answer
        loopback.judge("It was mario@example.com.")
        bodies = [body for _head, body in await asyncio.gather(*pages)]
    assert ["It was mario" in body for body in bodies] == [True, True]


@pytest.mark.parametrize("template", [IPV4, NAMED])
async def test_it_is_reached_from_this_machine_alone_and_by_either_address_of_localhost(
    template: str,
) -> None:
    loopback = Loopback(template)
    async with waiting(loopback):
        sockets = [each.getsockname() for server in loopback._servers for each in server.sockets]
        assert {name[0] for name in sockets} <= {"127.0.0.1", "::1"}
        assert len({name[1] for name in sockets}) == 1
        for host in {name[0] for name in sockets}:
            assert (await say(loopback, "GET / HTTP/1.1\r\n\r\n", host))[0].startswith("HTTP/1.1 404")


async def test_a_port_that_is_taken_is_told_by_its_number() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured) as caught:
            async with Loopback(IPV4, port):
                pass
    assert caught.value.problem.code == "LOOPBACK-PORT"
    assert str(port) in str(caught.value)


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
async def test_nobody_else_may_hold_the_other_address_of_localhost() -> None:
    """A browser that tries ::1 first would bring the code to whoever listens there."""
    try:
        other = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no ::1")
    with other, pytest.raises(Misconfigured):
        async with Loopback(NAMED, other.getsockname()[1]):
            pass


async def test_leaving_early_tells_the_browser_that_waits() -> None:
    loopback = Loopback(IPV4)
    with suppress(KeyboardInterrupt):
        async with waiting(loopback) as answer:
            page = asyncio.create_task(say(loopback, get(loopback, f"code=x&state={STATE}")))
            await answer
            raise KeyboardInterrupt
    assert "The sign-in was not finished." in (await page)[1]
