"""A host's tests see what would have left, and nothing leaves."""

import anyio
import pytest

from recapito import AsyncMailer, Held, InvalidMessage, Mailer, Message, Profile, Refused
from recapito.catalogue import problem
from recapito.profile import ProfileKey
from recapito.testing import MemoryTransport, capture, memory_info

ANNA = Profile.of("anna", sender="anna@example.it", transport="memory")
INVOICE = Message(
    to=["cliente@example.com"], bcc=["capo@example.com"], subject="Fattura n. 12 è pronta", text="Sì."
)


def mailers(transport: MemoryTransport) -> Mailer:
    return Mailer({"anna": ANNA}, transports=[memory_info(transport)])


def test_what_a_mailer_sends_is_captured_and_goes_nowhere() -> None:
    transport = MemoryTransport()
    with mailers(transport) as mailer, capture() as outbox:
        receipt = mailer.send("anna", INVOICE, reference="invoice:12")
    assert transport.sessions == []
    (captured,) = outbox
    assert captured.profile.key == ProfileKey("", "anna")
    assert captured.email["Subject"] == "Fattura n. 12 è pronta"
    assert captured.email.get_content().strip() == "Sì."
    assert captured.envelope.recipients == ("cliente@example.com", "capo@example.com")
    assert b"capo@example.com" not in captured.content
    assert captured.reference == "invoice:12"
    assert captured.receipt is not None
    assert receipt.accepted == captured.receipt.accepted == captured.envelope.recipients


def test_after_the_block_messages_leave_again() -> None:
    transport = MemoryTransport()
    with mailers(transport) as mailer:
        with capture() as outbox:
            mailer.send("anna", INVOICE)
        mailer.send("anna", INVOICE)
    assert len(outbox) == len(transport.sent) == 1


def test_the_innermost_capture_gets_the_message() -> None:
    with mailers(MemoryTransport()) as mailer, capture() as outer, capture() as inner:
        mailer.send("anna", INVOICE)
    assert (len(outer), len(inner)) == (0, 1)


def test_an_asynchronous_mailer_is_captured_too() -> None:
    async def send() -> None:
        async with AsyncMailer({"anna": ANNA}, transports=[memory_info()]) as mailer:
            await mailer.send("anna", INVOICE)

    with capture() as outbox:
        anyio.run(send)
    assert [captured.email["To"] for captured in outbox] == ["cliente@example.com"]


def test_a_send_can_be_told_to_fail() -> None:
    with mailers(MemoryTransport()) as mailer:
        with capture(fail_with=Held(problem("AUTH-FAILED"))) as outbox, pytest.raises(Held) as held:
            mailer.send("anna", INVOICE)
        assert held.value.problem.code == "AUTH-FAILED"
        assert [captured.receipt for captured in outbox] == [None]


def test_one_recipient_can_be_told_to_fail() -> None:
    gone = {"capo@example.com": problem("RCPT-UNKNOWN", rcpt="capo@example.com")}
    with mailers(MemoryTransport()) as mailer:
        with capture(fail_with=gone):
            receipt = mailer.send("anna", INVOICE)
        assert receipt.partial
        assert receipt.accepted == ("cliente@example.com",)
        with capture(fail_with=lambda envelope: gone if len(envelope.recipients) == 1 else None):
            assert not mailer.send("anna", INVOICE).partial
            with pytest.raises(Refused):
                mailer.send("anna", Message(to=["capo@example.com"], text="Sì."))


def test_what_is_refused_before_the_wire_is_not_captured() -> None:
    with mailers(MemoryTransport()) as mailer, capture() as outbox, pytest.raises(InvalidMessage):
        mailer.send("anna", Message(to=["not an address"], text="Sì."))
    assert outbox == []
