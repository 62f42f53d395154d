"""Where messages leave the process, for tests that want them to go nowhere (:func:`recapito.testing.capture`)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from recapito.content import Content
from recapito.envelope import Envelope
from recapito.message import AnyMessage
from recapito.profile import Profile
from recapito.receipt import Receipt

__all__ = ["Interceptor", "Outgoing", "intercept", "interceptor"]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message that is about to leave: ``message`` as hooks left it, ``content`` as a server would get it."""

    profile: Profile
    message: AnyMessage
    envelope: Envelope
    content: Content
    reference: str | None


#: Takes the message instead of the transport; called on the mailer's loop, so it must not block. What it returns
#: or raises stands for what a session would have (:meth:`recapito.transport.Session.deliver`).
Interceptor: TypeAlias = Callable[[Outgoing], Receipt]

_interceptors: list[Interceptor] = []


@contextmanager
def intercept(take: Interceptor) -> Iterator[None]:
    """While the block runs, every mailer of this process hands its messages to ``take`` and opens no session.

    Profiles are resolved, hooks called, messages rendered and checked as ever; permits and the journal are left
    alone. Of several interceptors the innermost is asked.
    """
    _interceptors.append(take)
    try:
        yield
    finally:
        _interceptors.remove(take)


def interceptor() -> Interceptor | None:
    """The innermost interceptor, or None where messages really leave."""
    return _interceptors[-1] if _interceptors else None
