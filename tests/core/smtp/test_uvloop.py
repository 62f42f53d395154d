"""The same on uvloop's event loop, whose transports are none of asyncio's."""

import sys

import pytest

from recapito.testing import SmtpServer

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not made for Windows"),
]

EXTENSIONS = {
    "chunking": ("8BITMIME", "PIPELINING", "CHUNKING"),
    "pipelining": ("8BITMIME", "PIPELINING"),
    "neither": ("8BITMIME",),
}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    pytest.importorskip("uvloop")
    return "asyncio", {"use_uvloop": True}


@pytest.mark.parametrize("tls", ["ssl", "starttls", "plain"])
@pytest.mark.parametrize("offered", list(EXTENSIONS))
async def test_messages_arrive(desk, authority, tls, offered: str) -> None:
    with SmtpServer(tls=tls, authority=authority, extensions=EXTENSIONS[offered]) as server:
        async with desk.open(server, tls) as session:
            for _ in range(3):
                assert (await desk.send(session, ("a@example.com",))).accepted
        assert len(server.messages) == 3


async def test_a_child_leaves_the_line_without_a_byte(desk, authority) -> None:
    with SmtpServer(tls="ssl", authority=authority) as server:
        async with desk.open(server, "ssl") as session:
            session.abandon()
        assert [command.verb for command in server.commands] == ["EHLO"]
