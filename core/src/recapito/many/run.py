"""What carries a batch: one task reads and prepares groups of messages, others send them, in the order of reading.

Theory of operation. A group is what the sessions can carry in a tenth of a second, a hundred messages at most: for
each the profile is read once, hooks are called once, and the journal is written once before any of it leaves. So a
crash leaves about a fifth of a second of work *unknown*, and no more (a group on its way, another that is ready).
Where the mailbox has limits by time a message may wait for hours: then each is written down when it may go.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from recapito.aftermath import log_receipt
from recapito.catalogue import problem
from recapito.errors import InvalidMessage, Misconfigured, Refused
from recapito.journalling import committed
from recapito.many.crew import CONNECTIONS, Crew
from recapito.many.part import Part
from recapito.many.progress import Tally
from recapito.sending import Order

if TYPE_CHECKING:
    from recapito.engine import Engine
    from recapito.following import CallHook
    from recapito.many.feed import Feed
    from recapito.message import AnyMessage, Item
    from recapito.plugins import Plugins
    from recapito.problem import Problem
    from recapito.profile import Profile, ProfileKey
    from recapito.receipt import Receipt
    from recapito.resolver import Resolved

__all__ = ["Run", "Wanted"]

log = logging.getLogger("recapito.mailer")

#: Messages of one group at most: one transaction of the journal.
_GROUP = 100
#: Seconds in which a group should have left.
_SPAN = 0.1
#: Messages that were read and whose receipts are not taken yet.
_AHEAD = 200
#: Seconds by which a message that is written down may wait for its turn behind its group.
_SLACK = 600.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What ``send_many`` was asked for; ``timeout`` in seconds bounds all of it."""

    key: "ProfileKey"
    connections: int | None = None
    timeout: float | None = None


class Run:
    """One call of ``send_many``."""

    def __init__(self, engine: "Engine", wanted: Wanted, feed: "Feed", call_hook: "CallHook") -> None:
        self._engine = engine
        self._key = wanted.key
        self._feed = feed
        self._call_hook = call_hook
        self._ends = None if wanted.timeout is None else engine.loop.time() + wanted.timeout
        self.tally = Tally()
        self._crew = Crew(self._done, self._end_early, wanted.connections)
        self._order: deque[Part] = deque()
        self._group = 2 * CONNECTIONS
        self._measured = (engine.loop.time(), 0)
        self._changed: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._stopping: Problem | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    # What the caller does

    async def take(self) -> "list[Receipt]":
        """The next receipts in order, as many as are there; none at the end. Raises what ended the batch early."""
        if self._feeder is None:
            self._engine.sends.add(self)
            self._feeder = self._engine.loop.create_task(self._read())
        while True:
            parts = self._finished()
            if parts:
                await self._tell(parts)
                return [part.receipt for part in parts if part.receipt is not None]
            if self._feeder.done() and not self._order:
                await self._end(None)
                if self._failure is not None:
                    raise self._failure
                return []
            self._changed = self._engine.loop.create_future()
            await self._changed

    async def stop(self, timeout: float) -> None:
        """Begin no other message, and wait for those on their way; after ``timeout`` seconds they are cut off."""
        await self._end(problem("SEND-CANCELLED"), timeout)

    def close(self) -> "asyncio.Future[None]":
        """The mailer is being closed: no other message begins. Done when that holds."""
        if self._ended is None:
            self._ended = self._engine.loop.create_future()
            self._failure = self._failure or Misconfigured(problem("MAILER-CLOSED"))
            ending = self._engine.loop.create_task(self._end(problem("MAILER-CLOSED")))
            ended = self._ended
            ending.add_done_callback(lambda _: ended.set_result(None))
        return self._ended

    # Reading and preparing

    async def _read(self) -> None:
        try:
            while self._stopping is None:
                await self._wait_for_room()
                self._fit_group()
                items = await self._feed.take(self._group)
                if not items:
                    return
                await self._prepare(items)
        except asyncio.CancelledError:
            raise
        except Exception as exc:  # noqa: BLE001 - the caller's to see, after the receipts of what came before
            self._failure = self._failure or exc
            await self._skip(problem("SEND-CANCELLED"), given=False)
        finally:
            self._crew.feed_is_over()
            self._wake()

    async def _wait_for_room(self) -> None:
        while not self._has_room:
            self._room = self._engine.loop.create_future()
            await self._room

    @property
    def _has_room(self) -> bool:
        return self._crew.waiting < self._group and len(self._order) + self._group <= _AHEAD

    def _fit_group(self) -> None:
        """As many as left in the last tenth of a second; it grows step by step."""
        now, done = self._engine.loop.time(), self.tally.done
        since, before = self._measured
        if now - since >= _SPAN / 5 and done > before:
            left = int((done - before) / (now - since) * _SPAN)
            self._group = max(2 * CONNECTIONS, min(left, 2 * self._group, _GROUP))
            self._measured = now, done

    async def _prepare(self, items: "list[Item]") -> None:
        engine = self._engine
        resolved = await engine.resolver.resolve(self._key)
        self._crew.suits(resolved.limits)
        parts = [self._part(item) for item in items]
        self._order.extend(parts)
        for part, message in zip(parts, await self._hooked(resolved, parts), strict=True):
            if part.receipt is None:
                await part.prepare(resolved, message)
            if part.receipt is not None:
                self._done(part)
        ready = [part for part in parts if part.ready]
        await self._write_down(resolved, ready)
        self._crew.give(ready)

    def _part(self, item: "Item") -> Part:
        to = None if item.to is None else tuple(item.to)
        try:
            order = Order(self._key, item.message, item.reference, None, to)
        except InvalidMessage as exc:
            part = Part(self._engine, Order(self._key, item.message, None, None, to), self._call_hook)
            part.refuse(exc)
            return part
        part = Part(self._engine, order, self._call_hook)
        part.ends = self._ends
        part.connections = self._crew.connections
        part.opened = self._crew.opened
        part.waits = self.tally.waits
        part.stale = partial(self._crew.has_met_trouble_since, self._crew.troubles)
        return part

    async def _hooked(self, resolved: "Resolved", parts: list[Part]) -> "list[AnyMessage | Refused]":
        messages: list[AnyMessage | Refused] = [part.order.message for part in parts]
        if not self._engine.plugins.implements("recapito_prepare_message"):
            return messages
        return await self._call_hook(_prepared, self._engine.plugins, resolved.route.profile, messages)

    async def _write_down(self, resolved: "Resolved", parts: list[Part]) -> None:
        """One transaction for the group, where nothing makes its messages wait."""
        journal = self._engine.journal
        if journal is None or resolved.limits.rates or not parts:
            return
        seconds = resolved.route.info.hard_timeout
        entries = [
            part.record.entry(resolved.route, part.rendered, seconds(part.rendered.content.size) + _SLACK)
            for part in parts
            if part.rendered is not None
        ]
        await committed(journal.intend_many(entries), self._engine.loop)

    # Sent, or not

    def _finished(self) -> list[Part]:
        parts = []
        while self._order and self._order[0].receipt is not None:
            parts.append(self._order.popleft())
        if parts:
            self._make_room()
        return parts

    def _done(self, part: Part) -> None:
        """``part`` has its receipt."""
        assert part.receipt is not None
        self.tally.add(part.receipt.outcome)
        if self._order and part is self._order[0]:
            self._wake()
        self._make_room()

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done() and self._has_room:
            self._room.set_result(None)

    async def _tell(self, parts: list[Part]) -> None:
        """The hooks, in one call for all of them, and the log."""
        told = [(part.route.profile, part.receipt) for part in parts if part.route and part.receipt]
        plugins = self._engine.plugins
        if plugins.implements("recapito_record_receipt"):
            await self._call_hook(_record, plugins, told)
        if log.isEnabledFor(logging.INFO):
            for _, receipt in told:
                log_receipt(receipt)

    def _end_early(self, exc: Exception) -> None:
        """What is no outcome of one message: the rest is not sent, and the caller sees ``exc`` in the end."""
        self._failure = self._failure or exc
        if self._stopping is None:
            self._ending = self._engine.loop.create_task(self._stop_reading(problem("SEND-CANCELLED")))

    async def _skip(self, why: "Problem", *, given: bool = True) -> None:
        """Whatever was not begun gets its receipt: it was not sent; with ``given``, what waits for its turn too."""
        if given:
            self._crew.forget()
        for part in tuple(self._order):
            if part.receipt is None and not part.taken and (given or not part.given):
                await part.skip(why)
                self._done(part)

    async def _stop_reading(self, why: "Problem") -> None:
        self._stopping = why
        if self._feeder is not None and not self._feeder.done():
            self._feeder.cancel()
            await asyncio.wait({self._feeder})
        await self._skip(why)

    async def _end(self, why: "Problem | None", timeout: float | None = None) -> None:
        if why is not None:
            await self._stop_reading(why)
        self._crew.feed_is_over()
        await self._crew.leave(timeout)
        self._engine.sends.discard(self)
        self._wake()


def _prepared(
    plugins: "Plugins", profile: "Profile", messages: "list[AnyMessage | Refused]"
) -> "list[AnyMessage | Refused]":
    """Each message as hooks left it, or their reason to refuse it."""
    results: list[AnyMessage | Refused] = []
    for message in messages:
        try:
            results.append(plugins.prepare_message(profile, message))  # type: ignore[arg-type]
        except Refused as exc:
            results.append(exc)
    return results


def _record(plugins: "Plugins", told: "list[tuple[Profile, Receipt]]") -> None:
    for profile, receipt in told:
        plugins.record_receipt(profile, receipt)
