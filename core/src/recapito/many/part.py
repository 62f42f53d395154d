"""One message of a batch: a send whose profile was read with its group's, and whose hooks run with its group's."""

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recapito.aftermath import Aftermath
from recapito.courier import failed
from recapito.envelope import Envelope
from recapito.errors import DeliveryError, InvalidMessage, NotSent, Refused
from recapito.limits import Limits
from recapito.permits import Permit
from recapito.problem import Problem
from recapito.receipt import Receipt
from recapito.sending import Sending

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from recapito.message import AnyMessage
    from recapito.pool import Lease
    from recapito.resolver import Resolved

__all__ = ["Part"]

#: Seconds for which what was read for the whole group is taken for what a profile is.
_STILL_TRUE = 0.5
#: A batch waits for the limits of its mailbox as long as they make it wait.
_FOR_EVER = 10.0 * 365 * 86_400


@dataclass(slots=True, eq=False)
class Part(Sending):
    """Made in the order of the messages; ``receipt`` is there once it is known what became of it."""

    receipt: Receipt | None = None
    resolved: "Resolved | None" = None
    #: As hooks left it.
    message: "AnyMessage | None" = None
    #: Its profile may have changed since: something went wrong that concerns others too.
    stale: "Callable[[], bool]" = lambda: False
    opened: "Callable[[Lease], None]" = lambda _lease: None
    #: Told until when a limit is waited for, and None once it is not.
    waits: "Callable[[datetime | None], None]" = lambda _until: None
    ready: bool = False
    #: It waits for somebody to send it; somebody sends it.
    given: bool = False
    taken: bool = False
    #: It goes with another one on a line: that is one connection to the server, not two.
    extra: bool = False

    def refuse(self, exc: InvalidMessage) -> None:
        """It cannot be sent, and there is no more to know of it."""
        self.error = Refused(exc.problem)
        self.receipt = self._receipt(failed(self._envelope(), self.error))

    async def prepare(self, resolved: "Resolved", message: "AnyMessage | Refused") -> None:
        """Render and check it; what cannot be sent gets its receipt now, and is not ``ready``."""
        self.resolved, self.route = resolved, resolved.route
        try:
            if isinstance(message, Refused):
                self.rendered = await self._render(resolved.route, self.order.message)
                raise message
            self.message = message
            self.rendered = await self._render(resolved.route, message)
            taken = self._admitted(resolved, message)
        except (DeliveryError, InvalidMessage) as exc:
            await self.fail(exc)
            return
        if taken is not None:
            await self._keep(taken)
            return
        self.ready = True

    async def fail(self, exc: DeliveryError | InvalidMessage) -> None:
        """It goes no further."""
        self.error = exc if isinstance(exc, DeliveryError) else Refused(exc.problem)
        await self._keep(failed(self._envelope(), self.error))

    async def skip(self, why: Problem) -> None:
        """It was not begun, and will not be."""
        await self.fail(NotSent(why))

    async def carry(self) -> None:
        """Send it; its receipt afterwards. Raises Misconfigured, and when cancelled."""
        try:
            self.receipt = await self.run()
        except InvalidMessage as exc:
            self.receipt = self.settled or self._receipt(failed(self._envelope(), Refused(exc.problem)))

    async def _keep(self, receipt: Receipt) -> None:
        try:
            self.receipt = await self._finish(receipt)
        finally:
            if self.rendered is not None:
                self.rendered.content.close()

    async def _try(self, clock: asyncio.Timeout | None = None) -> Receipt:
        assert self.resolved is not None
        assert self.message is not None
        await self._permitted(self.resolved, self.message, clock)
        assert self.route is not None
        assert self.rendered is not None
        return await self._carry(self.route, self.rendered, clock)

    def _limits(self, resolved: "Resolved") -> Limits:
        limits = resolved.limits
        return replace(limits, concurrency=None) if self.extra and limits.concurrency else limits

    async def _take_permit(self, resolved: "Resolved", envelope: Envelope, until: float) -> Permit:
        try:
            return await super(Part, self)._take_permit(resolved, envelope, self.engine.loop.time())
        except NotSent as exc:
            self.waits(exc.problem.retry_at)
        try:
            return await super(Part, self)._take_permit(resolved, envelope, until)
        finally:
            self.waits(None)

    @property
    def _patience(self) -> float:
        return _FOR_EVER

    def _still_true(self, permit: Permit) -> bool:
        young = self.engine.loop.time() - self.started < _STILL_TRUE
        return young and not permit.waited and not self.stale()

    def _begins(self, lease: "Lease") -> None:
        self.begun = True
        self.opened(lease)

    async def _finish(self, receipt: Receipt) -> Receipt:
        """What the state and the limits learn, now; hooks are told by the batch, of many at once."""
        receipt = self._settle(receipt)
        if self.route is not None and receipt.problem is None and self.engine.store is not None:
            self.route.context.worked = True
            self._end_permit()
        elif self.route is not None:
            aftermath = Aftermath(self.engine, self.route, self.call_hook, self._end_permit)
            await aftermath.learn(receipt, attempted=self.attempted)
        return receipt
