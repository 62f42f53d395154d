"""A session of :class:`MemoryTransport`: the contract of a session, with nothing behind it."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from email.utils import getaddresses
from typing import TYPE_CHECKING, Literal, Protocol

from recapito.catalogue import problem
from recapito.content import Content
from recapito.envelope import Envelope
from recapito.errors import NotSent, Refused, UnknownOutcome
from recapito.profile import Profile
from recapito.receipt import Receipt
from recapito.testing.failure import Failure, settle, taken

if TYPE_CHECKING:
    from recapito.problem import Problem
    from recapito.testing.stored import Ending
    from recapito.transport import Capabilities

__all__ = ["FarSide", "MemorySession"]


class FarSide(Protocol):
    """What a session asks of its transport, and hands to it."""

    depth: int
    capabilities: "Capabilities"
    lose: Literal["before", "after", "answer"] | None
    numbers: Iterator[int]

    def failure(self, envelope: Envelope) -> Failure:
        """What this send meets."""
        ...

    def limits(self) -> tuple[int | None, bool]:
        """The size that is taken, and whether delivery notices are."""
        ...

    async def answer(self) -> None:
        """Wait while answers are held."""
        ...

    def keep(self, profile: Profile, envelope: Envelope, content: bytes) -> None:
        """Take one message."""
        ...


class MemorySession:
    """One open channel. ``dropped`` is what became of its line while nobody was sending."""

    def __init__(self, transport: FarSide, profile: Profile) -> None:
        self.profile = profile
        self.dropped: Ending | None = None
        self._transport = transport
        self._usable = True
        self._under_way = 0

    @property
    def depth(self) -> int:
        """As the transport was told."""
        return self._transport.depth

    @property
    def usable_until(self) -> datetime | None:
        """None: there is no token."""
        return None

    @property
    def usable(self) -> bool:
        """Until it is closed, lost, or its state is in doubt."""
        return self._usable

    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        """Keep the message in ``transport.sent``, or fail as told."""
        if self._under_way >= self.depth:
            raise RuntimeError(f"more than {self.depth} deliver calls at once on one session")
        self._under_way += 1
        data = bytearray()
        try:
            async with asyncio.timeout_at(deadline):
                return await self._deliver(envelope, content, data)
        except (TimeoutError, asyncio.CancelledError) as exc:
            self._usable = False
            if len(data) == content.size:
                raise UnknownOutcome(problem("UNCERTAIN")) from exc
            late = isinstance(exc, TimeoutError)
            raise NotSent(self._lost() if late else problem("SEND-CANCELLED")) from exc
        finally:
            self._under_way -= 1

    async def close(self) -> None:
        """Nothing to say goodbye to."""
        self._usable = False

    async def _deliver(self, envelope: Envelope, content: Content, data: bytearray) -> Receipt:
        transport = self._transport
        await self._wake()
        self._refuse_unclaimed(envelope, content)
        failure = transport.failure(envelope)
        receipt = settle(envelope, failure, identity=f"memory-{next(transport.numbers)}")
        reached = taken(envelope, failure)
        if reached:
            await self._carry(content, data)
            if transport.lose == "answer":
                raise NotSent(problem("REPLY-TEMPORARY"))
            transport.keep(self.profile, Envelope(envelope.sender, reached, envelope.notify), bytes(data))
        return receipt

    async def _wake(self) -> None:
        """An idle line that was dropped shows here, before any content."""
        if self.dropped == "silence" and self._usable:
            await asyncio.get_running_loop().create_future()  # nobody answers: the deadline ends it
        if self.dropped or not self._usable:
            self._usable = False
            raise NotSent(self._lost())

    async def _carry(self, content: Content, data: bytearray) -> None:
        """The content, and the wait for its answer; whatever is raised meanwhile ends the session."""
        try:
            async for chunk in content.chunks():
                self._meet("before")
                data += chunk
                await asyncio.sleep(0)
            await self._transport.answer()
            self._meet("after")
        except BaseException:
            self._usable = False
            raise

    def _meet(self, place: str) -> None:
        if self._transport.lose == place:
            raise NotSent(self._lost()) if place == "before" else UnknownOutcome(problem("UNCERTAIN"))

    def _refuse_unclaimed(self, envelope: Envelope, content: Content) -> None:
        claimed = self._transport.capabilities
        size, notices = self._transport.limits()
        count, most = len(envelope.recipients), claimed.maximum_recipients
        name = self.profile.transport
        if size is not None and content.size > size:
            raise Refused(problem("MSG-TOO-BIG", n=_megabytes(content.size), max=_megabytes(size)))
        if most is not None and count > most:
            raise Refused(problem("RCPT-OVER-LIMIT", count=count, limit=most))
        if envelope.notify and not notices:
            raise Refused(problem("DSN-NOT-OFFERED", transport=name))
        if not claimed.own_envelope and not _in_headers(content) <= set(envelope.recipients):
            raise Refused(problem("ENVELOPE-DIFFERS", transport=name))

    def _lost(self) -> "Problem":
        return problem("NET-LOST", host=self.profile.transport)


def _in_headers(content: Content) -> set[str]:
    fields = [value for name, value in content.headers if name.lower() in ("to", "cc")]
    return {address for _, address in getaddresses(fields)}


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.2f}"
