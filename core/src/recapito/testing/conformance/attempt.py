"""What every check does: open, deliver, and look at what became of it without caring who raised it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ParamSpec

from recapito.envelope import Envelope, Notify
from recapito.errors import DeliveryError, InvalidMessage
from recapito.outcome import Outcome
from recapito.problem import Problem
from recapito.profile import Found
from recapito.receipt import Receipt
from recapito.testing.bench import Arrived, Bench
from recapito.testing.specimen import Specimen
from recapito.transport import Session

__all__ = ["Settled", "attempt", "eventually", "mail", "only_arrival", "opened", "scenario", "send_once"]

P = ParamSpec("P")

#: Seconds for one delivery, and for a whole check.
PATIENCE = 10.0
WHOLE = 45.0


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one try. ``session`` is None where opening failed; ``error`` what was raised."""

    outcome: Outcome
    problem: Problem | None
    receipt: Receipt | None = None
    session: Session | None = None
    error: Exception | None = None


def scenario(check: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """A check written as a coroutine, run on a loop of its own, so that no plugin of pytest is needed."""

    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(WHOLE):
                await check(*args, **kwargs)

        asyncio.run(bounded())

    run.__name__ = check.__name__
    run.__qualname__ = check.__qualname__
    run.__doc__ = check.__doc__
    run.__wrapped__ = check  # type: ignore[attr-defined]  # pytest reads the fixtures' names from it
    return run


def mail(
    bench: Bench,
    found: Found,
    recipients: Sequence[str] | None = None,
    *,
    mark: str = "specimen",
    size: int | None = None,
    changes_after: int | None = None,
    notify: frozenset[Notify] = frozenset(),
) -> tuple[Envelope, Specimen]:
    """A message of ``found`` whose envelope and headers agree."""
    addresses = tuple(bench.recipients[:1] if recipients is None else recipients)
    content = Specimen.of(found.profile.sender, addresses, mark=mark, size=size, changes_after=changes_after)
    return Envelope(found.profile.sender, addresses, notify), content


@asynccontextmanager
async def opened(bench: Bench, found: Found) -> AsyncIterator[Session]:
    """An open session, closed at the end."""
    async with asyncio.timeout(PATIENCE):
        session = await bench.info.factory().open(found.profile, bench.context(found))
    try:
        yield session
    finally:
        async with asyncio.timeout(PATIENCE):
            await session.close()


async def attempt(
    session: Session, envelope: Envelope, content: Specimen, *, seconds: float = PATIENCE
) -> Settled:
    """One delivery; what it raises becomes part of the answer, unless it is no error of this library's."""
    deadline = asyncio.get_running_loop().time() + seconds
    try:
        async with asyncio.timeout(seconds + PATIENCE):
            receipt = await session.deliver(envelope, content, deadline=deadline)
    except DeliveryError as exc:
        return Settled(exc.outcome, exc.problem, None, session, exc)
    except InvalidMessage as exc:
        return Settled(Outcome.REFUSED, exc.problem, None, session, exc)
    addresses = tuple(row.address for row in receipt.recipients)
    assert addresses == envelope.recipients, (
        "a receipt has one row for each recipient, in the envelope's order"
    )
    return Settled(receipt.outcome, receipt.problem, receipt, session)


async def send_once(
    bench: Bench, found: Found, envelope: Envelope, content: Specimen, *, seconds: float = PATIENCE
) -> Settled:
    """Open, deliver once, close: a problem may show at either of the first two."""
    try:
        async with opened(bench, found) as session:
            return await attempt(session, envelope, content, seconds=seconds)
    except DeliveryError as exc:
        return Settled(exc.outcome, exc.problem, None, None, exc)


def only_arrival(bench: Bench) -> Arrived:
    """The only message that the far side has."""
    arrived = list(bench.arrived())
    assert len(arrived) == 1, f"one message was to arrive, not {len(arrived)}"
    return arrived[0]


async def eventually(happened: Callable[[], bool], what: str) -> None:
    """Wait until ``happened``; a failed check that says ``what`` did not happen otherwise."""
    until = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < until, f"this did not happen: {what}"
        await asyncio.sleep(0.005)
