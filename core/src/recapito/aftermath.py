"""What follows a receipt: the mailbox slows down, the profile pauses, hooks are told, a line is logged."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from recapito.attention import subject_of
from recapito.errors import RecapitoError
from recapito.hookspecs import Change
from recapito.limits import Limits
from recapito.outcome import Outcome
from recapito.problem import Problem, Scope
from recapito.profile import Profile
from recapito.receipt import Receipt
from recapito.redaction import fingerprint
from recapito.resolver import NOTHING
from recapito.route import mailbox_of

if TYPE_CHECKING:
    from recapito.engine import Engine
    from recapito.route import Route
    from recapito.store import Store

__all__ = ["MAILER", "Aftermath", "CallHook"]

T = TypeVar("T")

log = logging.getLogger("recapito.mailer")

#: Who paused a profile, in its state and in the audit, where the mailer did it.
MAILER = "recapito"


class CallHook(Protocol):
    """Runs hooks where they belong: in the caller's thread, or in the one worker thread for them."""

    async def __call__(self, function: Callable[..., T], /, *args: Any) -> T:
        """The result of ``function(*args)``."""
        ...


class Aftermath:
    """What one receipt of one profile leads to."""

    def __init__(self, engine: "Engine", route: "Route", call_hook: CallHook) -> None:
        self._engine = engine
        self._route = route
        self._call_hook = call_hook

    async def follow(self, receipt: Receipt, *, attempted: bool) -> None:
        """All of it. ``attempted`` where a server, or the way to it, was met: only then is there news."""
        plugins = self._engine.plugins
        if receipt.accepted:
            self._route.context.worked = True
        if attempted and receipt.problem is not None:
            try:
                await self._learn(receipt)
            except RecapitoError:
                # A store that fails now must not turn the receipt of a message into an error about itself.
                log.exception("%s: what was learned could not be kept", receipt.profile)
        if plugins.implements("recapito_record_receipt"):
            await self._call_hook(plugins.record_receipt, self._route.profile, receipt)
        if log.isEnabledFor(logging.INFO):
            _log(receipt)

    async def _learn(self, receipt: Receipt) -> None:
        for problem in _problems(receipt):
            if _slows_down(problem):
                await self._slow_down(problem)
            if problem.pauses:
                await self._call_hook(self._pause, problem)

    async def _slow_down(self, problem: Problem) -> None:
        """Here at once; other processes of the same store learn it with the store's next version."""
        assert problem.retry_at is not None
        mailbox, store, until = self._route.mailbox, self._engine.store, problem.retry_at
        self._engine.permits.block(mailbox, until)
        if store is not None:
            await self._engine.in_thread(store.lower_limit, mailbox, until, Limits(rates=(NOTHING,)))

    def _pause(self, problem: Problem) -> None:
        """Stop every profile of this mailbox, and ask once for the person who can put it right."""
        route, store = self._route, self._engine.store
        key = route.profile.key
        if store is not None:
            # By its source, not by what was resolved: the profile may have been edited while this was under way.
            current = self._engine.resolver.current(key)
            if current is None or current.revision != route.found.revision:
                return
            stopped = {profile.key: profile for profile in self._sharing(store)}
            for each in store.pause_mailbox(stopped, problem, by=MAILER):
                self._tell(stopped[each], Change("paused", MAILER, datetime.now(UTC), problem=problem))
        self._engine.attention.tell(subject_of(key, problem), problem)

    def _tell(self, profile: Profile, change: Change) -> None:
        self._engine.plugins.record_change(profile, change)

    def _sharing(self, store: "Store") -> Iterator[Profile]:
        """This profile, and those that sign in to the same mailbox in the same way."""
        mine = self._route.profile
        offered = self._engine.plugins.info(mine.transport)
        yield mine
        for row in store.profiles():
            if row.key == mine.key or row.profile.transport != mine.transport:
                continue
            if mailbox_of(offered, row.profile) == self._route.mailbox:
                yield row.profile


def _problems(receipt: Receipt) -> list[Problem]:
    """Each different problem of the receipt, once."""
    found: list[Problem] = []
    for problem in (receipt.problem, *(row.problem for row in receipt.recipients)):
        if problem is not None and problem not in found:
            found.append(problem)
    return found


def _slows_down(problem: Problem) -> bool:
    """Whether the server means the mailbox, not this message (greylisting names a time too)."""
    later = problem.outcome is Outcome.NOT_SENT and problem.retry_at is not None
    return later and problem.scope is not Scope.MESSAGE


def _log(receipt: Receipt) -> None:
    problem = receipt.problem
    log.info(
        "%s: %s to %s%s",
        receipt.profile,
        receipt.outcome,
        ", ".join(fingerprint(row.address) for row in receipt.recipients[:10]),
        f" ({problem.code})" if problem else "",
        extra={
            "operator": str(receipt.profile),
            "transport": receipt.transport,
            "message_id": receipt.message_id,
            "code": problem.code if problem else "",
            "step": (problem.step if problem else None) or "",
            "ms": round(receipt.seconds * 1000, 1),
        },
    )
