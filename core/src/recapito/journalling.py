"""One send in the journal: before anything leaves, and what became of it."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import TYPE_CHECKING

from recapito.entropy import random_hex

if TYPE_CHECKING:
    from concurrent.futures import Future

    from recapito.ledger.journal import Journal, JournalEntry
    from recapito.profile import ProfileKey
    from recapito.receipt import Receipt
    from recapito.rendering import Rendered
    from recapito.route import Route

__all__ = ["Record", "committed"]

log = logging.getLogger("recapito.mailer")


@dataclass(slots=True, eq=False)
class Record:
    """What ``journal`` (None: there is none) is told about one send. ``id`` is empty until that begins."""

    journal: "Journal | None"
    key: "ProfileKey"
    reference: str | None
    id: str = ""

    async def intend(self, route: "Route", rendered: "Rendered", deadline: float) -> None:
        """Write what is about to be tried, and wait until that cannot be lost: a crash then leaves *unknown*.

        ``deadline`` is on the running loop's clock. Raises Misconfigured (STORE-…).
        """
        if self.journal is None:
            return
        loop = asyncio.get_running_loop()
        await committed(self.journal.intend(self.entry(route, rendered, deadline - loop.time())), loop)

    def entry(self, route: "Route", rendered: "Rendered", seconds: float) -> "JournalEntry":
        """What is about to be tried, and will have ended in ``seconds`` at the latest."""
        from recapito.ledger.journal import JournalEntry

        started = datetime.now(UTC)
        # The time first, so that rows are added at the end of the index, and not to a page of their own each.
        self.id = f"{time_ns():016x}{random_hex(8)}"
        return JournalEntry(
            id=self.id,
            key=self.key,
            transport=route.info.name,
            reference=self.reference,
            message_id=rendered.message_id,
            recipients=rendered.envelope.recipients,
            size=rendered.content.size,
            started=started,
            deadline=started + timedelta(seconds=seconds),
        )

    def settle(self, receipt: "Receipt") -> None:
        """Hand over the outcome; not waited for. Nothing is raised: somebody may have accepted the message."""
        if self.journal is None or not self.id:
            return
        try:
            self.journal.settle(self.id, receipt)
        except Exception:
            log.exception("%s: the outcome could not be written down", self.key)


async def committed(intent: "Future[None]", loop: asyncio.AbstractEventLoop) -> None:
    """Wait for an intent. As ``asyncio.wrap_future``, at a third of its cost: it is paid for each message."""
    waiter = loop.create_future()

    def wake() -> None:
        if not waiter.done():
            waiter.set_result(None)

    def done(_: "Future[None]") -> None:
        with suppress(RuntimeError):  # the loop has ended: nobody waits
            loop.call_soon_threadsafe(wake)

    intent.add_done_callback(done)
    try:
        await waiter
    except asyncio.CancelledError:
        intent.cancel()
        raise
    intent.result()
