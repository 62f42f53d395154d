"""Renewing grants before they die of idleness, and telling a new failure once, before a send meets it."""

import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from recapito.access import NO_PERSON
from recapito.aftermath import MAILER, Aftermath
from recapito.attention import client_subject, profile_subject, subject_of
from recapito.errors import DeliveryError, Misconfigured
from recapito.following import CallHook, Hooks
from recapito.hookspecs import Change
from recapito.problem import Problem, Scope, Who
from recapito.settings import completed
from recapito.signing.begun import CHECKED_EVERY
from recapito.signing.desk import Desk

if TYPE_CHECKING:
    from recapito.engine import Engine
    from recapito.profile import ProfileKey
    from recapito.resolver import Resolved
    from recapito.signin import SignIn
    from recapito.store import GrantRow, ProfileRow

__all__ = ["Checked", "Health", "Scan"]

log = logging.getLogger("recapito.mailer")

#: A grant that was renewed since is left alone: a daily round that begins a little earlier misses none.
FRESH = timedelta(hours=20)
#: Of a profile that waits for its person: known, and no news.
_AWAITED = "SIGN-IN-MISSING"
#: The pause of a person's wish.
_WISHED = "PROFILE-PAUSED"


@dataclass(frozen=True, slots=True)
class Scan:
    """Which grants: of one company, of one operator, and ``everything``, those that are fresh too."""

    company: str | None = None
    operator: str | None = None
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """One grant as it was found: ``problem`` is why it gives no tokens, or why its profile is paused although it
    does; ``renewed`` whether it was renewed now.

    ``account`` is empty where the vendor does not say it. ``next_check`` is when it should be looked at by.
    """

    key: "ProfileKey"
    account: str
    problem: Problem | None
    renewed: bool
    next_check: datetime


class Health:
    """One round of one mailer."""

    def __init__(self, engine: "Engine", scan: Scan, call_hook: CallHook) -> None:
        self._engine = engine
        self._scan = scan
        self._hooks = Hooks(call_hook)
        self._store = Desk(engine, call_hook).store("health")
        self._worked: set[tuple[str, str]] = set()
        self._failed: set[tuple[str, str]] = set()

    async def checked(self) -> AsyncGenerator[Checked, None]:
        """Each grant in the order of their keys, one after the other; what one meets stops no other."""
        for key, row in await self._engine.in_thread(self._wanted):
            yield await self._one(key, row)
        for company, name in self._worked - self._failed:
            await self._engine.in_thread(self._engine.attention.solved, client_subject(company, name))

    def _wanted(self) -> "list[tuple[ProfileKey, GrantRow | None]]":
        store, company = self._store, self._scan.company
        rows: dict[ProfileKey, GrantRow | None] = {row.key: row for row in store.grants(company)}
        for profile in store.profiles(company):
            if profile.key not in rows and self._asks_nobody(profile):
                rows[profile.key] = None
        operator = self._scan.operator
        return sorted((key, row) for key, row in rows.items() if operator in (None, key.operator))

    def _asks_nobody(self, row: "ProfileRow") -> bool:
        """Whether the application itself signs in: such a grant may not have been needed yet."""
        info = self._engine.plugins.transports.get(row.profile.transport)
        if info is None:
            return False
        profile = row.profile.with_(settings=completed(info.settings, row.profile.settings))
        make = info.sign_ins.get(info.sign_in(profile))
        return make is not None and make(profile).kind in NO_PERSON

    async def _one(self, key: "ProfileKey", row: "GrantRow | None") -> Checked:
        try:
            resolved = await self._engine.resolver.resolve(key)
            return await self._looked_at(key, row, resolved)
        except (DeliveryError, Misconfigured) as exc:
            return Checked(key, row.account if row else "", exc.problem, False, _later(row, exc.problem))

    async def _looked_at(self, key: "ProfileKey", row: "GrantRow | None", resolved: "Resolved") -> Checked:
        access, context = resolved.route.access, resolved.route.context
        if access.objection is not None or access.make is None:
            return await self._objected(key, row, resolved)
        sign_in = access.make()
        if row is not None and not self._is_due(row, sign_in, access.client_revision):
            found = row.problem or _held_back(resolved)
            return Checked(key, row.account, found, False, _later(row, row.problem))
        vault = context.vault()
        done = await vault.renew(context.holder(), sign_in.resource, force=True)
        which = key.company, sign_in.client
        found = done.problem
        if done.problem is None:
            self._worked.add(which)
            resumed = await self._resume(resolved, row.problem if row else None)
            found = None if resumed else _held_back(resolved)
        else:
            if done.problem.scope is Scope.CLIENT:
                self._failed.add(which)
            await self._failure(resolved, done.problem)
        renewed = done.row
        account = renewed.account if renewed else ""
        return Checked(key, account, found, done.problem is None, _later(renewed, done.problem))

    async def _objected(self, key: "ProfileKey", row: "GrantRow | None", resolved: "Resolved") -> Checked:
        found = resolved.route.access.objection
        if found is not None and found.code != _AWAITED:
            await self._failure(resolved, found)
        return Checked(key, row.account if row else "", found, False, _later(row, found))

    def _is_due(self, row: "GrantRow", sign_in: "SignIn", client_revision: str) -> bool:
        now, known = datetime.now(UTC), row.problem
        if known is None:
            return self._scan.everything or now >= _due(row)
        if row.client_revision != client_revision:
            return True
        if known.pauses:
            # What only the person's own sign-in mends is not asked again; others mend it elsewhere, unseen.
            return sign_in.kind in NO_PERSON or known.who is not Who.OPERATOR
        return known.retry_at is None or now >= known.retry_at

    async def _failure(self, resolved: "Resolved", problem: Problem) -> None:
        """Pause the profile and ask for its person, once; a pause that a person wished stays theirs."""
        if not problem.pauses:
            return
        engine = self._engine
        if resolved.paused is None or resolved.paused_by == MAILER:
            await Aftermath(engine, resolved.route, self._hooks).pause(problem)
            return
        subject = subject_of(resolved.route.profile.key, problem)
        new = await engine.in_thread(engine.attention.remember, subject, problem)
        if new and engine.plugins.implements("recapito_request_attention"):
            await self._hooks(engine.plugins.request_attention, subject, problem)

    async def _resume(self, resolved: "Resolved", mended: Problem | None) -> bool:
        """Let a profile run again that just this problem of its grant had paused; True where it does."""
        paused, profile = resolved.paused, resolved.route.profile
        if mended is None or paused is None or resolved.paused_by != MAILER or paused.code != mended.code:
            return False
        engine = self._engine
        if not await engine.in_thread(self._store.resume, profile.key, by=MAILER):
            return False
        await engine.in_thread(engine.attention.solved, profile_subject(profile.key))
        if engine.plugins.implements("recapito_record_change"):
            change = Change("resumed", MAILER, datetime.now(UTC))
            await self._hooks(engine.plugins.record_change, profile, change)
        return True


def _held_back(resolved: "Resolved") -> Problem | None:
    """Why the profile sends nothing though its grant is good; a pause that a person wished is no trouble."""
    paused = resolved.paused
    return None if paused is None or paused.code == _WISHED else paused


def _due(row: "GrantRow") -> datetime:
    """After 20 hours, and where a grant dies sooner, when half of its idle time is over."""
    last = row.refreshed or row.granted
    due = last + FRESH
    return due if row.idle_until is None else min(due, last + (row.idle_until - last) / 2)


def _later(row: "GrantRow | None", problem: Problem | None) -> datetime:
    """When it should be looked at by: a day after it was renewed last, and not in the past."""
    now = datetime.now(UTC)
    if problem is not None:
        return problem.retry_at or now + CHECKED_EVERY
    if row is None:
        return now + CHECKED_EVERY
    last = row.refreshed or row.granted
    return max(now, min(last + CHECKED_EVERY, _due(row) + (CHECKED_EVERY - FRESH)))
