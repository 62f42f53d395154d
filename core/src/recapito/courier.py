"""Takes one message to a session of the pool, and comes back with a receipt, whatever happened."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from recapito.catalogue import problem
from recapito.envelope import Envelope
from recapito.errors import DeliveryError, NotSent, RecapitoError, UnknownOutcome
from recapito.outcome import Outcome
from recapito.overdue import Overdue
from recapito.pool import Lease, Pool, Wanted
from recapito.problem import Problem
from recapito.receipt import Receipt, RecipientReceipt
from recapito.rendering import Rendered
from recapito.route import Route

__all__ = ["Carried", "Courier", "complete", "crashed", "failed"]

#: Seconds after the deadline at which a session that ignores it is cancelled.
_GRACE = 0.5
#: Core's own words for what is no fault of the line: a caller who gave up, time that is over, a file that changed.
_NOT_THE_LINE = ("SEND-CANCELLED", "SEND-TIMEOUT", "MSG-CHANGED")


def failed(envelope: Envelope, exc: DeliveryError) -> Receipt:
    """The receipt of a message for which ``exc`` covers every recipient: the session's own, if it gave one."""
    if exc.carried is not None:
        return complete(envelope, exc.carried)
    # The error's class decides: a problem that says something else would be told wrongly.
    why = exc.problem if exc.problem.outcome is exc.outcome else exc.problem.with_(outcome=exc.outcome)
    return Receipt.for_all(envelope.recipients, exc.outcome, reply=why.reply, problem=why)


def complete(envelope: Envelope, receipt: Receipt) -> Receipt:
    """``receipt`` with one row for each recipient, in order: of whom a session says nothing, nobody knows."""
    rows = {row.address: row for row in receipt.recipients}
    if tuple(rows) == envelope.recipients and len(receipt.recipients) == len(rows):
        return receipt
    unsaid = problem("UNCERTAIN")
    return receipt.with_(
        recipients=tuple(
            rows.get(address) or RecipientReceipt(address, Outcome.UNKNOWN, problem=unsaid)
            for address in envelope.recipients
        )
    )


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of a message; ``error`` is what covers all its recipients."""

    receipt: Receipt
    error: DeliveryError | None = None


class Courier:
    """Carries messages for one mailer. ``open_within`` bounds connecting and signing in, in seconds."""

    def __init__(self, pool: Pool, *, open_within: float = 60.0) -> None:
        self._pool = pool
        self._open_within = open_within
        self._overdue = Overdue()
        self._last: tuple[Route, int | None, Wanted] | None = None

    async def carry(
        self,
        route: Route,
        rendered: Rendered,
        *,
        deadline: float,
        begins: Callable[[Lease], None],
        connections: int | None = None,
    ) -> Carried:
        """What became of the message, by ``deadline`` on the loop's clock.

        ``begins`` is called before a session is asked to take it; at most ``connections`` are open to the mailbox.
        Raises only what is no outcome: InvalidMessage and Misconfigured from the transport, and cancellation. A
        session that proves dead before the content is replaced once; never for a caller who gave up, since a session
        answers its cancellation with NotSent.
        """
        task = asyncio.current_task()
        cancelled = task.cancelling() if task else 0
        wanted = self._wanted(route, connections)
        try:
            lease = await self._take(route, wanted, deadline)
            if task is not None and task.cancelling() > cancelled:
                self._pool.give(
                    lease
                )  # a transport that opened a session all the same, and forgot who gave up
                raise asyncio.CancelledError
            begins(lease)
            reused = lease.reused
            try:
                return Carried(await self._deliver(route, lease, rendered, deadline))
            except NotSent as exc:
                given_up = task is not None and task.cancelling() > cancelled
                if given_up or not (reused and self._was_dead(lease, exc, deadline)):
                    raise
            lease = await self._take(route, wanted, deadline, fresh=True)
            return Carried(await self._deliver(route, lease, rendered, deadline))
        except DeliveryError as exc:
            return Carried(failed(rendered.envelope, exc), exc)

    def _wanted(self, route: Route, connections: int | None) -> Wanted:
        """Kept for the next message, which is mostly one of the same profile."""
        if self._last is None or self._last[0] is not route or self._last[1] != connections:
            opens = partial(route.transport.open, route.profile, route.context)
            most = connections or route.limits.concurrency
            wanted = Wanted(route.found, route.mailbox, opens, most, route.access.generation)
            self._last = route, connections, wanted
        return self._last[2]

    def _was_dead(self, lease: Lease, exc: NotSent, deadline: float) -> bool:
        """An idle line that had ended unseen. A server that answers is alive, and obeyed."""
        in_time = asyncio.get_running_loop().time() < deadline
        found = exc.problem
        silent = found.reply is None and found.retry_at is None and found.code not in _NOT_THE_LINE
        return not lease.session.usable and silent and in_time

    async def _take(self, route: Route, wanted: Wanted, deadline: float, *, fresh: bool = False) -> Lease:
        if not fresh and (lease := self._pool.ready(wanted)):
            return lease
        now = asyncio.get_running_loop().time()
        within = min(self._open_within, max(0.0, deadline - now))
        try:
            async with asyncio.timeout(within):
                return await self._pool.take(wanted, fresh=fresh)
        except TimeoutError:
            key = route.profile.key
            raise NotSent(
                problem(
                    "OPEN-TIMEOUT",
                    transport=route.info.shown,
                    seconds=round(within, 1),
                    operator=key.operator,
                )
            ) from None
        except RecapitoError:
            raise
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - a plugin's fault has an outcome like any failure
            raise NotSent(crashed(route, exc, Outcome.NOT_SENT)) from exc.with_traceback(None)

    async def _deliver(self, route: Route, lease: Lease, rendered: Rendered, deadline: float) -> Receipt:
        broken = True
        try:
            with self._overdue.at(deadline + _GRACE):
                receipt = await lease.session.deliver(rendered.envelope, rendered.content, deadline=deadline)
                receipt = complete(rendered.envelope, receipt)
            broken = False
        except RecapitoError:
            broken = False  # the session says itself whether it can go on
            raise
        except TimeoutError:
            # It ignored its deadline and was cancelled: nobody knows how far it had come.
            raise UnknownOutcome(problem("UNCERTAIN", host=route.info.host(route.profile))) from None
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - the content may have left all the same
            raise UnknownOutcome(crashed(route, exc, Outcome.UNKNOWN)) from exc.with_traceback(None)
        finally:
            self._pool.give(lease, broken=broken)
        return receipt


def crashed(route: Route, exc: BaseException, outcome: Outcome) -> Problem:
    """The problem of a transport that raised what is none of ours; the details go to its redacting log."""
    route.context.log.error("%s failed", route.info.name, exc_info=exc)
    return problem("TRANSPORT-CRASHED", outcome=outcome, transport=route.info.shown, error=type(exc).__name__)
