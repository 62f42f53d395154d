"""What a host's tests do with mail: send it nowhere, and look at what would have left."""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from recapito.content import Content
from recapito.envelope import Envelope
from recapito.message import AnyMessage
from recapito.outlet import Outgoing, intercept
from recapito.profile import Profile
from recapito.receipt import Receipt
from recapito.testing.failure import Failure, settle

__all__ = ["Captured", "capture"]


@dataclass(frozen=True, slots=True)
class Captured:
    """One message that would have left, whatever its sender was told: ``receipt`` is None where it failed.

    ``message`` is what the application sent, as hooks left it; ``content`` every byte that a server would get.
    """

    profile: Profile
    message: AnyMessage = field(repr=False)
    envelope: Envelope
    content: bytes = field(repr=False)
    reference: str | None = None
    receipt: Receipt | None = None

    @property
    def email(self) -> EmailMessage:
        """The content, parsed by the standard library: what the recipient sees."""
        return message_from_bytes(self.content, policy=policy.default)


@contextmanager
def capture(*, fail_with: "Failure | Callable[[Envelope], Failure]" = None) -> Iterator[list[Captured]]:
    """While the block runs, whatever any mailer of this process sends comes to this list, and goes nowhere.

    Profiles are resolved, hooks called, messages rendered and checked as ever, so that what would be refused
    before the wire is; no session is opened. Every send is accepted, unless
    ``fail_with`` says what it meets: an error, problems of some recipients, or a function of the envelope::

        with capture() as outbox:
            place_order(...)
        assert outbox[0].email["Subject"] == "Ordine 7"
    """
    outbox: list[Captured] = []

    def take(outgoing: Outgoing) -> Receipt:
        failure = fail_with(outgoing.envelope) if callable(fail_with) else fail_with
        content = _at_once(_read(outgoing.content))
        facts = (outgoing.profile, outgoing.message, outgoing.envelope, content, outgoing.reference)
        try:
            receipt = settle(outgoing.envelope, failure, identity=f"captured-{len(outbox) + 1}")
        except BaseException:
            outbox.append(Captured(*facts))
            raise
        outbox.append(Captured(*facts, receipt))
        return receipt

    with intercept(take):
        yield outbox


async def _read(content: Content) -> bytes:
    return b"".join([chunk async for chunk in content.chunks()])


def _at_once(work: Coroutine[Any, Any, bytes]) -> bytes:
    """The result of a coroutine that waits for nothing: rendered content reads files, not the network."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: bytes = stop.value
        return result
    work.close()
    raise RuntimeError("the content waits for something: it cannot be captured")
