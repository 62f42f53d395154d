"""One message's way from ``send`` to its receipt."""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

from recapito import outlet
from recapito.aftermath import Aftermath
from recapito.catalogue import problem
from recapito.courier import failed
from recapito.envelope import Envelope
from recapito.errors import (
    DeliveryError,
    Held,
    InvalidMessage,
    Misconfigured,
    NotSent,
    Refused,
    UnknownOutcome,
)
from recapito.following import CallHook, Hooks
from recapito.invalid import shown
from recapito.journalling import Record
from recapito.limits import Limits
from recapito.message import AnyMessage, Message
from recapito.permits import NoPermit, Permit
from recapito.profile import Profile, ProfileKey
from recapito.receipt import Receipt
from recapito.rendering import Rendered, can_render_again, is_cheap, render, same_again
from recapito.store.names import LONGEST
from recapito.vetting import transactions, vet

if TYPE_CHECKING:
    from concurrent.futures import Future

    from recapito.engine import Engine
    from recapito.pool import Lease
    from recapito.resolver import Resolved
    from recapito.route import Route

__all__ = ["Order", "Sending"]

log = logging.getLogger("recapito.mailer")

#: Seconds that hooks still get when a send's time is over.
_HOOKS_GRACE = 0.5
#: Seconds for which what a profile was at the beginning is taken for what it is, where no permit was waited for.
_STILL_TRUE = 0.05


@dataclass(frozen=True, slots=True)
class Order:
    """What ``send`` was asked for. ``timeout`` in seconds bounds all of it."""

    key: ProfileKey
    message: AnyMessage
    reference: str | None = None
    timeout: float | None = None
    to: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        # Refused at the door: in a group of the journal it would fail other operators' sends.
        given = self.reference
        if given is not None and not isinstance(given, str):
            raise InvalidMessage(problem("MSG-TEXT", field="reference", value=shown(given)))
        if given is not None and len(given) > LONGEST:
            raise InvalidMessage(problem("MSG-REFERENCE-LONG", count=len(given), limit=LONGEST))


@dataclass(slots=True, eq=False)
class Sending:
    """One call of ``send``, from the look-up of the profile to the receipt."""

    engine: "Engine"
    order: Order
    call_hook: CallHook
    started: float = field(init=False)
    ends: float | None = field(init=False)
    record: Record = field(init=False)
    route: "Route | None" = None
    rendered: Rendered | None = None
    error: DeliveryError | None = None
    #: Whether a server, or the way to it, was about to be met.
    attempted: bool = False
    #: Whether a session was asked to take it: then it counts, and content may be on its way.
    begun: bool = False
    #: What became of it, once that is known, whatever follows.
    settled: Receipt | None = None
    #: At most so many sessions of its mailbox; None: as its limits say.
    connections: int | None = None
    _permit: Permit | None = None
    _task: "asyncio.Task[object] | None" = None
    _ended: "asyncio.Future[None] | None" = None
    _closed: bool = False

    def __post_init__(self) -> None:
        self.started = self.engine.loop.time()
        self.ends = None if self.order.timeout is None else self.started + self.order.timeout
        self.record = Record(self.engine.journal, self.order.key, self.order.reference)

    async def run(self) -> Receipt:
        """The receipt, whatever the outcome. Raises InvalidMessage and Misconfigured, and when cancelled."""
        self._task = asyncio.current_task()
        self.engine.sends.add(self)
        try:
            return await self._finish(await self._attempt())
        finally:
            self._end_permit()
            self.engine.sends.discard(self)
            if self._ended is not None and not self._ended.done():
                self._ended.set_result(None)

    def close(self) -> "asyncio.Future[None]":
        """The mailer is being closed: end now, with the outcome that it has. The future is done when it has ended."""
        if self._ended is None:
            self._ended = self.engine.loop.create_future()
            if self._task is not None and self.settled is None:
                self._closed = True
                self._task.cancel()
        return self._ended

    def lost(self, *, over: bool) -> Receipt:
        """What is known where the loop ended, or hung, under it; ``over``: it surely goes no further."""
        if self.settled is not None:
            return self.settled
        error = self._cut_off() if over else UnknownOutcome(problem("UNCERTAIN"))
        return self._receipt(failed(self._envelope(), error))

    async def _attempt(self) -> Receipt:
        before = self._task.cancelling() if self._task else 0
        clock = asyncio.timeout_at(self.ends) if self.ends is not None else None
        try:
            if clock is None:
                receipt = await self._try()
            else:
                async with clock:
                    receipt = await self._try(clock)
        except DeliveryError as exc:
            self.error = exc
            receipt = failed(self._envelope(), exc)
        except TimeoutError:
            if clock is None or not clock.expired():
                raise
            receipt = failed(self._envelope(), NotSent(problem("SEND-TIMEOUT", seconds=self.order.timeout)))
        except asyncio.CancelledError:
            if not self._closed or self._given_up(before):
                self._leave(None)
                raise
            receipt = failed(self._envelope(), self._cut_off())
        except BaseException as exc:
            self._leave(exc)
            raise
        finally:
            if self.rendered is not None:
                self.rendered.content.close()
        if self._given_up(before):
            self._settle(receipt)  # the session answered its cancellation with what became of the message
            raise asyncio.CancelledError
        return receipt

    def _given_up(self, before: int) -> bool:
        """Whether the caller cancelled it. That the mailer closed is no cancellation, it is an outcome."""
        if self._task is None:
            return False
        if self._closed:
            self._closed = False
            self._task.uncancel()
        return self._task.cancelling() > before

    def _cut_off(self) -> DeliveryError:
        return UnknownOutcome(problem("UNCERTAIN")) if self.begun else NotSent(problem("MAILER-CLOSED"))

    async def _try(self, clock: asyncio.Timeout | None = None) -> Receipt:
        engine, order = self.engine, self.order
        resolved = await engine.resolver.resolve(order.key)
        route = self.route = resolved.route
        message = order.message
        if engine.plugins.implements("recapito_prepare_message"):
            message = await self._prepared(route, message)
        self.rendered = await self._render(route, message)
        if taken := self._admitted(resolved, message):
            return taken
        await self._permitted(resolved, message, clock)
        return await self._carry(self.route, self.rendered, clock)

    def _admitted(self, resolved: "Resolved", message: AnyMessage) -> Receipt | None:
        """What an interceptor says of the message; raises what is known before the wire."""
        assert self.rendered is not None
        _admit(resolved, self.rendered)
        if (take := outlet.interceptor()) is None:
            return None
        content, envelope = self.rendered.content, self.rendered.envelope
        return take(outlet.Outgoing(resolved.route.profile, message, envelope, content, self.order.reference))

    @property
    def _patience(self) -> float:
        """Seconds for which a permit is waited for."""
        return self.engine.patience.permit

    def _still_true(self, permit: Permit) -> bool:
        """Whether what was read of the profile holds at this moment, as far as anybody can tell."""
        return not permit.waited and self.engine.loop.time() - self.started < _STILL_TRUE

    async def _permitted(
        self, resolved: "Resolved", message: AnyMessage, clock: asyncio.Timeout | None
    ) -> None:
        """Wait for a permit; whatever happened to the profile meanwhile holds for this message."""
        assert self.rendered is not None
        loop = self.engine.loop
        until = loop.time() + self._patience
        until = until if self.ends is None else min(until, self.ends)
        while True:
            if clock is not None:
                clock.reschedule(None)  # the queue keeps to the time itself, and says when to come back
            permit = self._permit = await self._take_permit(resolved, self.rendered.envelope, until)
            if clock is not None:
                clock.reschedule(self.ends)
            if self._still_true(permit):
                return
            before, resolved = resolved, await self.engine.resolver.resolve(self.order.key)
            await self._adopt(resolved, message)
            if (resolved.route.mailbox, resolved.limits) == (before.route.mailbox, before.limits):
                return
            permit.end(counted=False)

    async def _adopt(self, resolved: "Resolved", message: AnyMessage) -> None:
        """Send as the profile is now. Raises Held where it was paused, and what rendering raises."""
        assert self.route is not None
        assert self.rendered is not None
        old, new = self.route.profile, resolved.route.profile
        self.route = resolved.route
        if _face(old) != _face(new) and resolved.paused is None:
            if not can_render_again(message):
                raise NotSent(problem("PROFILE-MEANWHILE", profile=str(new.key), operator=new.key.operator))
            first = self.rendered
            first.content.close()
            self.rendered = await self._render(resolved.route, same_again(message, first))
        _admit(resolved, self.rendered)

    def _end_permit(self) -> None:
        if self._permit is not None:
            self._permit.end(counted=self.begun, messages=self.settled.transactions if self.settled else 1)

    async def _carry(self, route: "Route", rendered: Rendered, clock: asyncio.Timeout | None) -> Receipt:
        engine = self.engine
        hard = engine.loop.time() + route.info.hard_timeout(rendered.content.size)
        deadline = hard if self.ends is None else min(hard, self.ends)
        if not self.record.id:
            await self.record.intend(route, rendered, deadline)
        if clock is not None:
            clock.reschedule(None)  # from here on the session is asked first, and answers by the deadline
        self.attempted = True
        carried = await engine.courier.carry(
            route, rendered, deadline=deadline, begins=self._begins, connections=self.connections
        )
        self.error = carried.error
        return carried.receipt

    def _begins(self, _lease: "Lease") -> None:
        self.begun = True

    async def _prepared(self, route: "Route", message: AnyMessage) -> AnyMessage:
        try:
            return await self.call_hook(self.engine.plugins.prepare_message, route.profile, message)
        except Refused:
            self.rendered = await self._render(route, message)  # for the receipt: whom it would have gone to
            raise

    async def _render(self, route: "Route", message: AnyMessage) -> Rendered:
        if is_cheap(message):
            return render(message, route.profile, to=self.order.to)
        work = self.engine.workers.submit(render, message, route.profile, to=self.order.to)
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            work.add_done_callback(_close_unused)
            raise

    def _limits(self, resolved: "Resolved") -> Limits:
        return resolved.limits

    async def _take_permit(self, resolved: "Resolved", envelope: Envelope, until: float) -> Permit:
        engine, route = self.engine, resolved.route
        try:
            return await engine.permits.take(
                route.mailbox,
                self._limits(resolved),
                messages=transactions(route, envelope),
                recipients=len(envelope.recipients),
                until=monotonic() + until - engine.loop.time(),
            )
        except NoPermit as exc:
            if exc.never is not None:
                raise InvalidMessage(
                    problem("RCPT-OVER-LIMIT", count=len(envelope.recipients), limit=exc.never.maximum)
                ) from None
            raise NotSent(problem("LIMIT-WAIT", mailbox=route.mailbox, retry_at=exc.retry_at)) from None

    async def _finish(self, receipt: Receipt) -> Receipt:
        """All that follows an attempt; with a timeout it is left to itself when that is over."""
        receipt = self._settle(receipt)
        if self.route is None:
            return receipt
        hooks = Hooks(self.call_hook)
        aftermath = Aftermath(self.engine, self.route, hooks, self._end_permit)
        follow = aftermath.follow(receipt, attempted=self.attempted)
        late = None if self.ends is None else max(self.ends, self.engine.loop.time()) + _HOOKS_GRACE
        hooked = self.engine.plugins.implements("recapito_record_receipt")
        if not aftermath.is_news(receipt, attempted=self.attempted) and not (hooked and late):
            await follow  # nothing can take long, or may: a task of its own is paid for each message
            return receipt
        if not await self.engine.following.wait(follow, hooks, late):
            log.warning("%s: what follows was still at work when the time was over", self.order.key)
        return receipt

    def _settle(self, receipt: Receipt) -> Receipt:
        """The receipt with what the mailer knows, and the journal's outcome; not waited for."""
        receipt = self.settled = self._receipt(receipt)
        self.record.settle(receipt)
        return receipt

    def _receipt(self, receipt: Receipt) -> Receipt:
        # Made anew, not by replace(): that costs four times as much, and is paid for each message.
        return Receipt(
            receipt.recipients,
            receipt.server_reply,
            receipt.provider_id,
            receipt.problem,
            self.rendered.message_id if self.rendered else "",
            self.order.reference,
            self.order.key,
            self.route.info.name if self.route else "",
            self.engine.loop.time() - self.started,
            datetime.now(UTC),
            receipt.transactions,
        )

    def _leave(self, exc: BaseException | None) -> None:
        """Cancelled, or ended by what is no outcome: the journal must not keep an intent for ever."""
        if not self.record.id:
            return
        if not self.begun:
            error: DeliveryError = NotSent(problem("SEND-CANCELLED"))
        elif isinstance(exc, InvalidMessage):
            error = Refused(exc.problem)
        elif isinstance(exc, Misconfigured):
            error = Held(exc.problem)
        else:
            error = UnknownOutcome(problem("UNCERTAIN"))
        self._settle(failed(self._envelope(), error))

    def _envelope(self) -> Envelope:
        """Whom it would go to; before it was rendered, as far as that can be said."""
        if self.rendered is not None:
            return self.rendered.envelope
        message = self.order.message
        named = self.order.to or ()
        if not named and isinstance(message, Message):
            named = (*message.to, *message.cc, *message.bcc)
        return Envelope("", tuple(named) or ("",))


def _admit(resolved: "Resolved", rendered: Rendered) -> None:
    """Raise what is known before the wire: InvalidMessage, and Held where the profile is paused."""
    vet(resolved.route, rendered.envelope, rendered.content)
    if resolved.paused is not None:
        raise Held(resolved.paused)


def _face(profile: Profile) -> tuple[object, ...]:
    """What of a profile is written into its messages, or decides whether one may leave."""
    return profile.sender, profile.sender_name, profile.reply_to, frozenset(profile.aliases)


def _close_unused(work: "Future[Rendered]") -> None:
    if not work.cancelled() and work.exception() is None:
        work.result().content.close()
