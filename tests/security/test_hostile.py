"""Hostile servers and large numbers, through the whole public path: an explained end, and the next send works."""

from collections.abc import Callable

import pytest

from recapito import Found, Mailer, Message, Outcome, RecapitoError
from recapito.testing import SmtpServer

MESSAGE = Message(to=["cliente@example.com"], subject="Fattura", text="In allegato.")


def test_ten_thousand_recipients_are_each_accounted_for(
    server: SmtpServer, anna: Callable[..., Found]
) -> None:
    addresses = [f"cliente{number}@example.com" for number in range(10_000)]
    unlucky = addresses[7_000]
    server.refuse("rcpt", "550 5.1.1 no such user", address=unlucky)
    with Mailer({"anna": anna()}) as mailer:
        receipt = mailer.send("anna", Message(bcc=addresses, subject="Listino", text="-"))
    assert receipt.partial
    assert {row.address: row.outcome for row in receipt.recipients} == {
        address: Outcome.REFUSED if address == unlucky else Outcome.ACCEPTED for address in addresses
    }
    reached = [address for message in server.messages for address in message.rcpt_tos]
    assert sorted(reached) == sorted(set(addresses) - {unlucky}), "nobody twice, nobody left out"
    assert all(b"@example.com" not in message.content for message in server.messages)


def test_a_reply_with_markup_reaches_a_person_as_short_plain_text(
    server: SmtpServer, anna: Callable[..., Found]
) -> None:
    nasty = "\x1b[31mrosso\x1b]0;titolo\x07 <script>alert(1)</script> \u202egnp.exe " + "A" * 300
    server.refuse("rcpt", f"550 5.1.1 {nasty}")
    with Mailer({"anna": anna()}) as mailer, pytest.raises(RecapitoError) as caught:
        mailer.send("anna", MESSAGE)
    for shown in (
        caught.value.problem.reply or "",
        str(caught.value),
        str(caught.value.problem.explain("it")),
    ):
        assert not {character for character in shown if ord(character) < 32 and character != "\n"}
        assert "\u202e" not in shown
        assert len(shown) < 5_000
