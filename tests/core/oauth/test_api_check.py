"""A check of an API: each step as it is done, through the connection that the next call uses."""

import asyncio
import ssl
from contextlib import aclosing

import pytest
from web_server import WebServer, context, reply, serving

from recapito.oauth import ApiLine, api_steps
from recapito.testing import CertificateAuthority, TestContext
from recapito.transport import CheckStep

pytestmark = pytest.mark.anyio


def soon(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


def lined(given: TestContext, tls: ssl.SSLContext, proxy: str | None = None) -> ApiLine:
    return ApiLine(given, "send", tls=tls, host="api.example.com", account="anna@example.it", proxy=proxy)


async def checked(line: ApiLine, url: str, seconds: float = 5.0) -> list[CheckStep]:
    try:
        return [step async for step in api_steps(line, url, deadline=soon(seconds))]
    finally:
        await line.aclose()


async def test_each_step_says_what_it_found(
    web: WebServer, authority: CertificateAuthority, tls: ssl.SSLContext
) -> None:
    given = context(authority.pem, "first")
    steps = await checked(lined(given, tls), web.url())
    assert [step.name for step in steps] == ["name", "port", "encryption", "sign-in"]
    assert [step.problem for step in steps] == [None] * 4
    name, port, encryption, sign_in = (step.detail for step in steps)
    assert "127.0.0.1" in name
    assert port == f"127.0.0.1, port {web.port}"
    assert "TLSv1.3" in encryption
    assert "localhost" in encryption
    assert sign_in.startswith("20")
    assert (web.visits, given.asked) == ([], ["send"])
    assert "first" not in repr(steps)


async def test_the_next_call_uses_the_connection_that_was_checked(
    web: WebServer, authority: CertificateAuthority, tls: ssl.SSLContext
) -> None:
    line = lined(context(authority.pem, "first"), tls)
    async with aclosing(api_steps(line, web.url(), deadline=soon())) as steps:
        async for _ in steps:
            pass
    await line.call("GET", web.url(), accept={200}, deadline=soon())
    await line.aclose()
    assert (web.connections, line.http.connections) == (1, 1)


async def test_a_check_that_is_left_closes_what_it_opened(
    authority: CertificateAuthority, tls: ssl.SSLContext
) -> None:
    line = lined(context(authority.pem, "first"), tls)
    async with serving(None) as plain:  # where a connection counts before any handshake
        async with aclosing(api_steps(line, plain.url(), deadline=soon())) as steps:
            async for step in steps:
                if step.name == "port":
                    break
        await plain.quiet(after=1)
    await line.aclose()


@pytest.mark.parametrize(
    ("host", "ends", "codes"),
    [("no-such.invalid", "name", {"NET-DNS"}), ("localhost", "port", {"NET-BLOCKED"})],
)
async def test_it_ends_at_the_first_problem(
    host: str, ends: str, codes: set[str], authority: CertificateAuthority, tls: ssl.SSLContext
) -> None:
    async with serving(None) as gone:
        pass
    steps = await checked(lined(context(authority.pem, "t"), tls), gone.url(host=host))
    assert steps[-1].name == ends
    assert steps[-1].problem is not None
    assert {steps[-1].problem.code} == codes
    assert all(step.problem is None for step in steps[:-1])


@pytest.mark.parametrize(
    ("bad", "code"),
    [("expired", "TLS-UNTRUSTED"), ("wrong_host", "TLS-NAME"), ("unknown", "TLS-UNTRUSTED")],
)
async def test_a_bad_certificate_ends_it_at_encryption(
    bad: str, code: str, authority: CertificateAuthority, tls: ssl.SSLContext
) -> None:
    async with serving(getattr(authority, bad)()) as server:
        steps = await checked(lined(context(authority.pem, "t"), tls), server.url())
    problem = steps[-1].problem
    assert problem is not None
    assert (steps[-1].name, problem.code, problem.host) == ("encryption", code, "api.example.com")


async def test_a_grant_that_is_dead_ends_it_at_the_sign_in(
    web: WebServer, authority: CertificateAuthority, tls: ssl.SSLContext
) -> None:
    steps = await checked(lined(context(authority.pem), tls), web.url())
    problem = steps[-1].problem
    assert problem is not None
    assert (steps[-1].name, problem.code) == ("sign-in", "OAUTH-REVOKED")


async def test_a_server_that_keeps_silent_ends_it_at_the_deadline(
    authority: CertificateAuthority, tls: ssl.SSLContext
) -> None:
    async with serving(None) as mute:
        steps = await checked(lined(context(authority.pem, "t"), tls), mute.url(), 0.2)
        await mute.quiet()
    problem = steps[-1].problem
    assert problem is not None
    assert (steps[-1].name, problem.code) == ("encryption", "SEND-TIMEOUT")


async def test_through_a_proxy_name_and_port_are_the_proxys(
    web: WebServer, authority: CertificateAuthority, tls: ssl.SSLContext
) -> None:
    async with serving(None) as proxy:
        proxy.default = reply(403)
        line = lined(context(authority.pem, "t"), tls, f"http://localhost:{proxy.port}")
        steps = await checked(line, web.url())
    assert steps[1].detail == f"127.0.0.1, port {proxy.port}"
    problem = steps[-1].problem
    assert problem is not None
    assert (steps[-1].name, problem.code) == ("encryption", "NET-BLOCKED")
    assert web.connections == 0
