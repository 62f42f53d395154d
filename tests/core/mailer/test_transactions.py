"""A message that goes in several transactions counts as what the server counts."""

from dataclasses import replace
from typing import Any

import pytest

from recapito import AsyncMailer, Limits, Message, NotSent, Rate, Refused
from recapito.testing import SmtpServer

pytestmark = pytest.mark.anyio

USERS = {"anna@example.it": "segreto"}
THREE = Message(to=["a@example.com", "b@example.com", "c@example.com"], subject="s", text="t")


def limited(found: Any, messages: int) -> Any:
    return replace(found, profile=found.profile.with_(limits=Limits(rates=(Rate(messages, 3600),))))


async def test_a_server_that_takes_few_recipients_at_once_counts_each_time(
    smtp_info: Any, found_at: Any, message: Message
) -> None:
    with SmtpServer(tls="plain", users=USERS) as server:
        server.extensions.add("LIMITS RCPTMAX=1")
        found = limited(found_at(server, "anna"), 4)
        async with AsyncMailer({"anna": found}, transports=[smtp_info()]) as mailer:
            receipt = await mailer.send("anna", THREE)
            assert receipt.transactions == 3
            assert (await mailer.send("anna", message)).transactions == 1
            with pytest.raises(NotSent) as caught:
                await mailer.send("anna", message)
        assert caught.value.problem.code == "LIMIT-WAIT"
        assert len(server.messages) == 4


async def test_transactions_that_are_refused_count_too(smtp_info: Any, found_at: Any) -> None:
    with SmtpServer(tls="plain", users=USERS) as server:
        server.extensions.add("LIMITS RCPTMAX=1")
        server.refuse("rcpt", "550 5.1.1 No such user")
        found = limited(found_at(server, "anna"), 3)
        async with AsyncMailer({"anna": found}, transports=[smtp_info()]) as mailer:
            with pytest.raises(Refused) as caught:
                await mailer.send("anna", THREE)
            assert caught.value.receipt.transactions == 3
            with pytest.raises(NotSent):
                await mailer.send("anna", THREE)
