"""Trying a profile step by step, and letting it run again where that went well."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

from recapito.aftermath import MAILER
from recapito.attention import profile_subject, subject_of
from recapito.catalogue import problem
from recapito.courier import crashed
from recapito.errors import NotSent, RecapitoError
from recapito.following import CallHook, Hooks
from recapito.hookspecs import Change
from recapito.outcome import Outcome
from recapito.permits import NoPermit, Permit
from recapito.profile import Found, ProfileKey
from recapito.transport import CheckStep

if TYPE_CHECKING:
    from recapito.engine import Engine
    from recapito.resolver import Resolved
    from recapito.route import Route
    from recapito.store import Store

__all__ = ["Checking", "Trial"]

log = logging.getLogger("recapito.mailer")

#: Seconds that the end of a check still gets when its time is over.
_GRACE = 0.5


@dataclass(frozen=True, slots=True)
class Trial:
    """What ``check`` was asked for."""

    key: ProfileKey
    send_to: str | None = None
    draft: Found | None = None
    timeout: float | None = None


class Checking:
    """One check of one profile."""

    def __init__(self, engine: "Engine", trial: Trial, call_hook: CallHook) -> None:
        self._engine = engine
        self._trial = trial
        self._hooks = Hooks(call_hook)
        self._ends = None if trial.timeout is None else engine.loop.time() + trial.timeout

    async def steps(self) -> AsyncGenerator[CheckStep, None]:
        """Each step as it is done. Raises NotFound, Misconfigured, and NotSent where no permit came in time."""
        trial, engine = self._trial, self._engine
        if trial.draft is not None:
            resolved = await engine.resolver.draft(trial.draft)
        else:
            resolved = await engine.resolver.resolve(trial.key)
        route = resolved.route
        permit = await self._permit(resolved)
        seen: list[CheckStep] = []
        try:
            room = engine.pool.outside(route.mailbox, route.limits.concurrency)
            async with room, aclosing(self._tried(route)) as steps:
                async for step in steps:
                    seen.append(step)
                    yield step
        finally:
            permit.end(counted=trial.send_to is not None)
            await self._conclude(resolved, seen)

    async def _tried(self, route: "Route") -> AsyncGenerator[CheckStep, None]:
        """The transport's own steps, all of them by one deadline."""
        trial = self._trial
        seconds = route.info.hard_timeout(0) if trial.timeout is None else trial.timeout
        ends = self._engine.loop.time() + seconds
        steps = route.transport.check(route.profile, route.context, trial.send_to)
        try:
            while True:
                # Around each step, not around all: what the caller does between two of them is not ours to cancel.
                async with asyncio.timeout_at(ends):
                    step = await anext(steps, None)
                if step is None:
                    return
                yield step
        except TimeoutError:
            name = route.profile.key.operator
            raise NotSent(
                problem("OPEN-TIMEOUT", transport=route.info.shown, seconds=seconds, operator=name)
            ) from None
        except RecapitoError:
            raise
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - a plugin's fault is explained like any failure
            raise NotSent(crashed(route, exc, Outcome.NOT_SENT)) from exc.with_traceback(None)
        finally:
            await steps.aclose()

    async def _permit(self, resolved: "Resolved") -> Permit:
        """A check is a connection like any other; its message, if it sends one, counts like any other."""
        messages = 1 if self._trial.send_to is not None else 0
        wait = self._engine.patience.permit
        if self._trial.timeout is not None:
            wait = min(wait, self._trial.timeout)
        mailbox = resolved.route.mailbox
        try:
            return await self._engine.permits.take(
                mailbox, resolved.limits, messages=messages, recipients=messages, until=monotonic() + wait
            )
        except NoPermit as exc:
            raise NotSent(problem("LIMIT-WAIT", mailbox=mailbox, retry_at=exc.retry_at)) from None

    async def _conclude(self, resolved: "Resolved", seen: list[CheckStep]) -> None:
        """Let a profile run again that its own failure had paused; a person's pause is a person's to end.

        A draft has no state: it is never paused.
        """
        store = self._engine.store
        if store is None or resolved.paused_by != MAILER:
            return
        signed_in = any(step.name == "sign-in" and not step.problem and not step.skipped for step in seen)
        if signed_in and not any(step.problem and step.problem.pauses for step in seen):
            late = None if self._ends is None else max(self._ends, self._engine.loop.time()) + _GRACE
            work = self._resume(resolved, store)
            if not await self._engine.following.wait(work, self._hooks, late):
                log.warning("%s: it was still being resumed when the time was over", self._trial.key)

    async def _resume(self, resolved: "Resolved", store: "Store") -> None:
        engine, profile = self._engine, resolved.route.profile
        if not await engine.in_thread(store.resume, profile.key, by=MAILER):
            return
        subjects = {profile_subject(profile.key)}
        if resolved.paused is not None:
            subjects.add(subject_of(profile.key, resolved.paused))
        for subject in subjects:
            await engine.in_thread(engine.attention.solved, subject)
        if engine.plugins.implements("recapito_record_change"):
            change = Change("resumed", MAILER, datetime.now(UTC))
            await self._hooks(engine.plugins.record_change, profile, change)
