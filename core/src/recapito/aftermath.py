"""What follows a receipt: the mailbox slows down, the profile pauses, hooks are told, a line is logged."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from recapito.attention import profile_subject, subject_of
from recapito.following import CallHook
from recapito.hookspecs import Change, Subject
from recapito.limits import Limits
from recapito.outcome import Outcome
from recapito.problem import Problem, Scope
from recapito.profile import Found, Profile
from recapito.receipt import Receipt
from recapito.redaction import fingerprint
from recapito.resolver import NOTHING
from recapito.route import mailbox_of

if TYPE_CHECKING:
    from recapito.engine import Engine
    from recapito.route import Route
    from recapito.store import Store

__all__ = ["MAILER", "Aftermath", "log_receipt"]

log = logging.getLogger("recapito.mailer")

#: Who paused a profile, in its state and in the audit, where the mailer did it.
MAILER = "recapito"

_OF_A_GRANT = frozenset({"OAUTH-TEMPORARY", "OAUTH-ANSWER", "TOKEN-ILL-FORMED"})


class Aftermath:
    """What one receipt of one profile leads to.

    ``let_next`` lets the next message of the mailbox begin: called once its state says what was learned, so that
    those who waited do not meet a wrong password one after the other; before any hook.
    """

    def __init__(
        self,
        engine: "Engine",
        route: "Route",
        call_hook: CallHook,
        let_next: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._route = route
        self._call_hook = call_hook
        self._let_next = let_next

    def is_news(self, receipt: Receipt, *, attempted: bool) -> bool:
        """Whether there is what must be kept, and told, though nobody waits for it any more."""
        return attempted and receipt.problem is not None

    async def follow(self, receipt: Receipt, *, attempted: bool) -> None:
        """All of it. ``attempted`` where a server, or the way to it, was met: only then is there news.

        What fails here is logged, and nothing is raised: it must not take the place of a message's receipt.
        """
        await self.learn(receipt, attempted=attempted)
        plugins = self._engine.plugins
        try:
            if plugins.implements("recapito_record_receipt"):
                await self._call_hook(plugins.record_receipt, self._route.profile, receipt)
            if log.isEnabledFor(logging.INFO):
                log_receipt(receipt)
        except Exception:
            log.exception("%s: the receipt could not be recorded", receipt.profile)

    async def learn(self, receipt: Receipt, *, attempted: bool) -> None:
        """What profile, mailbox and limits learn from it, and nobody is told; nothing is raised."""
        try:
            if receipt.problem is None or receipt.accepted:
                self._works()
            if attempted and receipt.problem is not None:
                await self._learn(receipt)
        except Exception:
            log.exception("%s: what was learned could not be kept", receipt.profile)
        self._let_next()

    def _works(self) -> None:
        self._route.context.worked = True
        if self._engine.store is None:  # with one, what was told is forgotten when the profile runs again
            self._engine.attention.solved(profile_subject(self._route.profile.key))

    async def _learn(self, receipt: Receipt) -> None:
        for problem in _problems(receipt):
            if _slows_down(problem):
                await self._slow_down(problem)
            if problem.pauses:
                await self.pause(problem)

    async def _slow_down(self, problem: Problem) -> None:
        """Here at once; other processes of the same store learn it with the store's next version."""
        assert problem.retry_at is not None
        mailbox, store, until = self._route.mailbox, self._engine.store, problem.retry_at
        self._engine.permits.block(mailbox, until)
        if store is not None:
            await self._engine.in_thread(store.lower_limit, mailbox, until, Limits(rates=(NOTHING,)))

    async def pause(self, problem: Problem) -> None:
        """Stop what would fail in the very same way, and ask once for the person who can put it right.

        That is every profile of this mailbox with the same settings and secrets. A profile that signs in by a
        grant stops alone: its colleagues have their own; of a client that is at fault each stops as it meets it,
        and its administrator is told once.
        """
        engine, plugins = self._engine, self._engine.plugins
        subject = subject_of(self._route.profile.key, problem)
        if engine.store is None:
            stopped: list[Profile] = []
            new = engine.attention.remember(subject, problem)
        else:
            stopped, new = await engine.in_thread(self._stop, engine.store, subject, problem)
        self._let_next()
        if plugins.implements("recapito_record_change"):
            for profile in stopped:
                change = Change("paused", MAILER, datetime.now(UTC), problem=problem)
                await self._call_hook(plugins.record_change, profile, change)
        if new and plugins.implements("recapito_request_attention"):
            await self._call_hook(plugins.request_attention, subject, problem)

    def _stop(self, store: "Store", subject: Subject, problem: Problem) -> tuple[list[Profile], bool]:
        """The profiles that were paused, and whether that is news for ``subject``."""
        route = self._route
        # By its source, not by what was resolved: the profile may have been edited while this was under way.
        current = self._engine.resolver.current(route.profile.key)
        if current is None or current.revision != route.found.revision:
            return [], False
        # Signed in again, or through another client: what failed was the one before.
        if self._engine.resolver.access_now(current.profile).generation != route.access.generation:
            return [], False
        sharing = {profile.key: profile for profile in self._sharing(store, current)}
        stopped = [sharing[key] for key in store.pause_mailbox(sharing, problem, by=MAILER)]
        return stopped, self._engine.attention.remember(subject, problem)

    def _sharing(self, store: "Store", mine: Found) -> Iterator[Profile]:
        """This profile, and those of its company that would fail in the very same way.

        With the same settings and secrets, that is: a wrong password that one operator typed for a mailbox must
        not stop a colleague who has the right one, let alone another company.
        """
        profile = mine.profile
        offered = self._engine.plugins.info(profile.transport)
        yield profile
        if self._route.access.sign_in:
            return
        for row in store.profiles(profile.key.company):
            other = row.profile
            if (
                row.key == profile.key
                or other.transport != profile.transport
                or other.settings != profile.settings
            ):
                continue
            if mailbox_of(offered, other) == self._route.mailbox:
                opened = store.opened(row.key)
                if opened is not None and not opened.lost and opened.found.secrets == mine.secrets:
                    yield other


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
    # A grant that gives no token for now is one operator's: its own row says until when, and others have theirs.
    of_a_grant = problem.code in _OF_A_GRANT
    return later and not of_a_grant and problem.scope is not Scope.MESSAGE


def log_receipt(receipt: Receipt) -> None:
    """One line: who, what became of it, to whom (as fingerprints)."""
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
