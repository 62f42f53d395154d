"""Interceptors take what would have left."""

from collections.abc import Callable

import pytest

from recapito import (
    AsyncMailer,
    InvalidMessage,
    Mailer,
    Message,
    NotFound,
    NotSent,
    Outcome,
    Problem,
    Profile,
)
from recapito.outlet import Outgoing, intercept
from recapito.receipt import Receipt
from recapito.testing import MemoryTransport, memory_info


@pytest.fixture
def taken() -> list[Outgoing]:
    return []


def accept_into(taken: list[Outgoing]) -> Callable[[Outgoing], Receipt]:
    def take(outgoing: Outgoing) -> Receipt:
        taken.append(outgoing)
        return Receipt.for_all(outgoing.envelope.recipients, Outcome.ACCEPTED, reply="250 kept")

    return take


@pytest.mark.anyio
async def test_a_captured_message_opens_no_session(
    memory: MemoryTransport, anna: Profile, message: Message, taken: list[Outgoing]
) -> None:
    async with AsyncMailer({"anna": anna}, transports=[memory_info(memory)]) as mailer:
        with intercept(accept_into(taken)):
            receipt = await mailer.send("anna", message, reference="r")
        assert receipt.server_reply == "250 kept"
        assert receipt.reference == "r"
        assert taken[0].profile.key == anna.key
        assert taken[0].envelope.recipients == ("cliente@example.com",)
        assert memory.sessions == []
        await mailer.send("anna", message)
    assert len(memory.sent) == 1


def test_what_would_fail_before_the_wire_fails_while_capturing(
    memory: MemoryTransport, anna: Profile, message: Message, taken: list[Outgoing]
) -> None:
    with Mailer({"anna": anna}, transports=[memory_info(memory)]) as mailer, intercept(accept_into(taken)):
        with pytest.raises(NotFound):
            mailer.send("bruno", message)
        with pytest.raises(InvalidMessage):
            mailer.send("anna", Message(to=["nobody"], text="x"))
    assert taken == []


def test_an_interceptor_may_fail_as_a_session_would(
    memory: MemoryTransport, anna: Profile, message: Message, taken: list[Outgoing]
) -> None:
    def fail(_outgoing: Outgoing) -> Receipt:
        raise NotSent(Problem("NET-LOST", Outcome.NOT_SENT))

    outer = intercept(accept_into(taken))
    made = Mailer({"anna": anna}, transports=[memory_info(memory)])
    with made as mailer, outer, intercept(fail), pytest.raises(NotSent) as caught:
        mailer.send("anna", message)
    assert caught.value.receipt.outcome is Outcome.NOT_SENT
    assert taken == []
