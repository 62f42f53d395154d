"""A line that died while it was idle costs no message, and makes none uncertain."""

from collections import Counter
from typing import Any

import pytest

from recapito import AsyncMailer, Message, NotSent
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
