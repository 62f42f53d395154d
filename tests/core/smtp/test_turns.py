"""What pipelining promises is a count: round trips, connections, handshakes, octets."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from recapito import AsyncMailer, Attachment, Found, Message, Profile, Secrets
from recapito.permits import Permits
from recapito.testing import SmtpServer

pytestmark = pytest.mark.anyio

CHUNKING = ("8BITMIME", "PIPELINING", "CHUNKING")
PIPELINING = ("8BITMIME", "PIPELINING")
NEITHER = ("8BITMIME",)
Send = Callable[..., object]


@pytest.fixture(autouse=True)
def _limits_of_its_own() -> None:
    Permits.forget()


@asynccontextmanager
async def mailer_of(server: SmtpServer, security: str = "plain") -> AsyncIterator[AsyncMailer]:
    settings = {"host": "localhost", "port": server.port, "security": security, "username": "anna"}
    if security != "plain":
        settings["ca"] = server.pem
    profile = Profile.of("anna", sender="anna@example.it", transport="smtp_basic", settings=settings)
    async with AsyncMailer({"anna": Found(profile, Secrets({"password": "segreto"}), "1")}) as mailer:
        yield mailer


def mails(number: int, recipients: int = 1) -> list[Message]:
    return [
        Message(to=[f"c{each}.{place}@example.com" for place in range(recipients)], text="x" * 1000)
        for each in range(number)
    ]


async def run(mailer: AsyncMailer, number: int, *, connections: int, recipients: int = 1) -> None:
    batch = mailer.send_many("anna", mails(number, recipients), connections=connections)
    assert {receipt.outcome.value async for receipt in batch} == {"accepted"}


def server_with(extensions: tuple[str, ...], tls: str = "plain") -> SmtpServer:
    return SmtpServer(tls=tls, users={"anna": "segreto"}, extensions=extensions)  # type: ignore[arg-type]


@pytest.mark.parametrize("recipients", [1, 50])
@pytest.mark.parametrize("connections", [1, 3])
async def test_with_chunking_a_message_is_one_turn(connections: int, recipients: int) -> None:
    with server_with(CHUNKING) as server:
        async with mailer_of(server) as mailer:
            await run(mailer, 12, connections=connections)
            before = server.turns
            await run(mailer, 30, connections=connections, recipients=recipients)
            assert server.turns - before <= 30
        assert server.connections == connections


@pytest.mark.parametrize("recipients", [1, 50])
async def test_with_pipelining_and_a_queue_a_message_is_one_turn_and_the_queue_one_more(
    recipients: int,
) -> None:
    with server_with(PIPELINING) as server:
        server.delay = 0.005
        async with mailer_of(server) as mailer:
            await run(mailer, 3, connections=1)
            before = server.turns
            await run(mailer, 30, connections=1, recipients=recipients)
            assert server.turns - before <= 31
        assert server.connections == 1


async def test_with_pipelining_alone_a_message_is_two_turns_without_a_queue() -> None:
    with server_with(PIPELINING) as server:
        async with mailer_of(server) as mailer:
            await mailer.send("anna", mails(1)[0])
            before = server.turns
            for message in mails(5, 50):
                assert (await mailer.send("anna", message)).accepted
            assert server.turns - before <= 10


@pytest.mark.parametrize(("security", "turns"), [("plain", 3), ("ssl", 3), ("starttls", 5)])
async def test_setting_up_a_line_is_as_few_turns_as_there_can_be(security: str, turns: int) -> None:
    """The greeting, EHLO and AUTH; with STARTTLS that command and another EHLO."""
    with server_with(CHUNKING, security) as server:
        async with mailer_of(server, security) as mailer:
            await mailer.send("anna", mails(1)[0])
            assert server.turns - 1 == turns


async def test_connections_are_the_sessions_and_each_has_one_handshake() -> None:
    with server_with(CHUNKING, "ssl") as server:
        async with mailer_of(server, "ssl") as mailer:
            await run(mailer, 60, connections=3)
            await run(mailer, 60, connections=3)
        assert server.connections == server.handshakes == 3
        assert len(server.messages) == 120


@pytest.mark.parametrize(
    "extensions", [CHUNKING, PIPELINING, NEITHER], ids=["chunking", "pipelining", "neither"]
)
async def test_little_more_is_handed_over_than_the_message_has(extensions: tuple[str, ...], tmp_path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(bytes(range(256)) * 4_000)
    with server_with(extensions) as server:
        async with mailer_of(server) as mailer:
            message = Message(to=["a@example.com"], text="x", attachments=[Attachment(path)])
            assert (await mailer.send("anna", message)).accepted
        size = len(server.messages[0].content)
        assert server.sent_bytes <= size + 600
        assert size <= 1.3 * 4 / 3 * path.stat().st_size
