"""A line that died while it was idle costs no message, and makes none uncertain."""

import asyncio
import os
import signal
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recapito import AsyncMailer, Limits, Mailer, Message, NotSent
from recapito.testing import SmtpServer

pytestmark = pytest.mark.anyio

USERS = {"anna@example.it": "segreto"}


@pytest.mark.parametrize("ending", ["close", "reset", "silence"])
async def test_fifty_sends_after_the_idle_line_ended_are_all_accepted(
    ending: Any, smtp_info: Any, found_at: Any, message: Message
) -> None:
    # Every line counts as idle, and nobody answering is noticed soon: the real figures are 10 s each.
    info = smtp_info(probe_after=0.0, probe=0.03 if ending == "silence" else 5.0)
    with SmtpServer(tls="plain", users=USERS) as server:
        async with AsyncMailer({"anna": found_at(server, "anna")}, transports=[info]) as mailer:
            await mailer.send("anna", message)
            outcomes = Counter[str]()
            for _ in range(50):
                assert server.drop_idle(ending) == 1
                outcomes[(await mailer.send("anna", message, check=False)).outcome] += 1
        assert outcomes == {"accepted": 50}
        assert len(server.messages) == 51
        assert server.connections == 51


async def test_an_idle_line_is_probed_by_a_lone_reset_before_the_next_message(
    smtp_info: Any, found_at: Any, message: Message
) -> None:
    with SmtpServer(tls="plain", users=USERS) as server:
        async with AsyncMailer(
            {"anna": found_at(server, "anna")}, transports=[smtp_info(probe_after=0.0)]
        ) as mailer:
            for _ in range(2):
                await mailer.send("anna", message)
        verbs = [command.verb for command in server.commands]
        assert verbs.count("RSET") == 2
        assert server.connections == 1


async def test_a_new_line_that_dies_is_not_replaced_again(
    smtp_info: Any, found_at: Any, message: Message
) -> None:
    with SmtpServer(tls="plain", users=USERS) as server:
        server.drop("mail")
        async with AsyncMailer({"anna": found_at(server, "anna")}, transports=[smtp_info()]) as mailer:
            with pytest.raises(NotSent):
                await mailer.send("anna", message)
        assert server.connections == 1


async def test_a_dead_line_is_replaced_only_once(smtp_info: Any, found_at: Any, message: Message) -> None:
    with SmtpServer(tls="plain", users=USERS) as server:
        async with AsyncMailer({"anna": found_at(server, "anna")}, transports=[smtp_info()]) as mailer:
            await mailer.send("anna", message)
            server.drop("mail")
            with pytest.raises(NotSent):
                await mailer.send("anna", message)
        assert server.connections == 2


async def held(server: SmtpServer, verb: str, count: int) -> None:
    """Return once the server has heard ``verb`` so often."""
    async with asyncio.timeout(10):
        while sum(command.verb == verb for command in server.commands) < count:  # noqa: ASYNC110 - it signals nothing
            await asyncio.sleep(0.002)


@pytest.mark.parametrize(("phase", "verb"), [("mail", "MAIL"), ("rcpt", "RCPT"), ("data", "DATA")])
async def test_a_cancelled_send_is_not_taken_for_a_line_that_died(
    phase: Any, verb: str, smtp_info: Any, found_at: Any, message: Message
) -> None:
    with SmtpServer(tls="plain", users=USERS) as server:
        async with AsyncMailer({"anna": found_at(server, "anna")}, transports=[smtp_info()]) as mailer:
            await mailer.send("anna", message)
            with server.hold(phase):
                sending = asyncio.create_task(mailer.send("anna", message))
                await held(server, verb, 2)
                sending.cancel()
                done, _ = await asyncio.wait([sending], timeout=5)
            assert done, "a cancelled send must end"
            assert sending.cancelled()
        assert len(server.messages) == 1
        assert server.connections == 1


async def test_a_file_that_changed_is_not_sent_on_another_line(
    smtp_info: Any, found_at: Any, tmp_path: Path
) -> None:
    attached = tmp_path / "fattura.pdf"
    attached.write_bytes(b"x" * 300_000)
    message = Message(to=["cliente@example.com"], subject="Fattura", text="", attachments=[str(attached)])
    with SmtpServer(tls="plain", users=USERS) as server:
        async with AsyncMailer({"anna": found_at(server, "anna")}, transports=[smtp_info()]) as mailer:
            await mailer.send("anna", message)
            with server.hold("data"):
                sending = asyncio.create_task(mailer.send("anna", message))
                await held(server, "DATA", 2)
                attached.write_bytes(b"y" * 400_000)
            with pytest.raises(NotSent) as caught:
                await sending
        assert caught.value.problem.code == "MSG-CHANGED"
        assert server.connections == 1


def test_ctrl_c_sends_nothing_on_another_line(smtp_info: Any, found_at: Any, message: Message) -> None:
    def interrupt() -> None:
        asyncio.run(held(server, "RCPT", 2))
        os.kill(os.getpid(), signal.SIGINT)

    with SmtpServer(tls="plain", users=USERS) as server:
        found = found_at(server, "anna")
        narrow = replace(found, profile=found.profile.with_(limits=Limits(concurrency=1)))
        with Mailer({"anna": narrow}, transports=[smtp_info()]) as mailer:
            mailer.send("anna", message)
            with server.hold("rcpt"):
                threading.Thread(target=interrupt).start()
                with pytest.raises(KeyboardInterrupt):
                    mailer.send("anna", message)
            mailer.send("anna", message)  # its permit comes when the other send has ended
        assert len(server.messages) == 2
