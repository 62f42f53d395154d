"""A line that has ended stays ended, however late somebody says so again."""

import asyncio
import logging
import socket
from typing import Any

import pytest

from recapito.smtp.channel import Channel, Lost


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_a_line_closed_with_bytes_to_send_may_be_failed_after_its_end() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    log: Any = logging.LoggerAdapter(logging.getLogger("recapito.transport.test"), {})
    _, channel = await loop.connect_accepted_socket(lambda: Channel(log), ours)
    sent = b"x" * 400_000  # more than the socket takes at once, less than makes a writer wait
    channel.write(sent)
    closing = loop.create_task(channel.close(5))
    received = 0
    while chunk := await loop.sock_recv(theirs, 1_000_000):
        received += len(chunk)
    await closing
    channel.fail(Lost("again"))
    assert received == len(sent)
    assert not channel.usable
    theirs.close()
