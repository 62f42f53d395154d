"""What is known to be too much is refused before the wire, and what can be split is counted as it leaves."""

from dataclasses import replace
from typing import Any

import pytest

from recapito import AsyncMailer, InvalidMessage, Limits, Mailer, Message, Notify, NotSent, Profile, Rate
from recapito.testing import MemoryTransport, memory_info
from recapito.transport import Capabilities

MANY = [f"c{number}@example.com" for number in range(12)]


def send(memory: MemoryTransport, profile: Profile, message: Message, **info: Any) -> None:
    offered = replace(memory_info(memory), **info)
    with Mailer({"anna": profile}, transports=[offered]) as mailer:
        mailer.send("anna", message)


@pytest.mark.parametrize(
    ("capabilities", "message", "code"),
    [
        (Capabilities(maximum_size=500), Message(to=["a@example.com"], text="x" * 900), "MSG-TOO-BIG"),
        (Capabilities(maximum_recipients=10), Message(to=MANY, text="x"), "RCPT-OVER-LIMIT"),
        (
            Capabilities(delivery_notices=False),
            Message(to=["a@example.com"], text="x", notify=frozenset({Notify.FAILURE})),
            "DSN-NOT-OFFERED",
        ),
    ],
)
def test_what_a_transport_does_not_claim_is_refused(
    capabilities: Capabilities, message: Message, code: str, memory: MemoryTransport, anna: Profile
) -> None:
    with pytest.raises(InvalidMessage) as caught:
        send(memory, anna, message, capabilities=capabilities)
    assert caught.value.problem.code == code
    assert memory.sessions == []


def test_a_transport_without_an_envelope_of_its_own_sends_to_whom_the_headers_say(
    memory: MemoryTransport, anna: Profile
) -> None:
    headers_decide = Capabilities(own_envelope=False)
    send(
        memory,
        anna,
        Message(to=["a@example.com"], bcc=["b@example.com"], text="x"),
        capabilities=headers_decide,
    )
    with (
        Mailer(
            {"anna": anna}, transports=[replace(memory_info(memory), capabilities=headers_decide)]
        ) as mailer,
        pytest.raises(InvalidMessage) as caught,
    ):
        mailer.send("anna", Message(to=["a@example.com"], text="x"), to=["b@example.com"])
    assert caught.value.problem.code == "ENVELOPE-DIFFERS"
    assert len(memory.sent) == 1


@pytest.fixture
def pec() -> Profile:
    return Profile.of("anna", sender="studio@pec.aruba.it", transport="memory")


def test_certified_mail_has_no_hidden_recipients(memory: MemoryTransport, pec: Profile) -> None:
    host = {"host": lambda _profile: "smtps.pec.aruba.it"}
    send(memory, pec, Message(to=["a@pec.it"], cc=["B@pec.it"], text="x"), **host)
    with pytest.raises(InvalidMessage) as caught:
        send(memory, pec, Message(to=["a@pec.it"], bcc=["b@pec.it"], text="x"), **host)
    assert caught.value.problem.code == "PEC-BCC"
    assert len(memory.sent) == 1


def test_certified_mail_counts_size_times_recipients(memory: MemoryTransport, pec: Profile) -> None:
    host = {"host": lambda _profile: "smtps.pec.aruba.it"}
    big = Message(to=MANY, text="x", attachments=[("a.pdf", b"x" * 8_000_000)])
    with pytest.raises(InvalidMessage) as caught:
        send(memory, pec, big, **host)
    assert caught.value.problem.code == "PEC-TOO-BIG"


def test_limits_of_the_provider_hold_and_a_profile_may_lower_them(
    memory: MemoryTransport, message: Message
) -> None:
    from recapito.catalogue import builtin

    provider = builtin().for_host("smtps.aruba.it")
    assert provider is not None
    known = provider.limits.rates[0]
    profile = Profile.of(
        "anna", sender="anna@example.it", transport="memory", limits=Limits(rates=(Rate(2, known.window),))
    )
    offered = replace(memory_info(memory), host=lambda _profile: "smtps.aruba.it")
    with Mailer({"anna": profile}, transports=[offered]) as mailer:
        for _ in range(2):
            mailer.send("anna", message)
        with pytest.raises(NotSent):
            mailer.send("anna", message)


@pytest.mark.anyio
async def test_a_message_in_several_transactions_counts_as_several(
    memory: MemoryTransport, anna: Profile
) -> None:
    limits = Limits(rates=(Rate(3, 3600),), recipients_per_message=5)
    async with AsyncMailer({"anna": anna.with_(limits=limits)}, transports=[memory_info(memory)]) as mailer:
        await mailer.send("anna", Message(to=MANY, text="x"))
        with pytest.raises(NotSent):
            await mailer.send("anna", Message(to=["a@example.com"], text="x"))


def test_a_message_that_no_window_could_ever_hold_is_invalid(memory: MemoryTransport, anna: Profile) -> None:
    limits = Limits(rates=(Rate(10, 3600, "recipients"),))
    with pytest.raises(InvalidMessage) as caught:
        send(memory, anna.with_(limits=limits), Message(to=MANY, text="x"))
    assert caught.value.problem.code == "RCPT-OVER-LIMIT"
