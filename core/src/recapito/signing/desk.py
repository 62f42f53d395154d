"""What every act of signing in needs of its mailer."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from recapito.attention import client_subject, profile_subject, subject_of
from recapito.catalogue import problem
from recapito.client_context import ClientContext
from recapito.errors import DeliveryError, Held
from recapito.following import CallHook, Hooks
from recapito.hookspecs import Change
from recapito.problem import Problem, Scope
from recapito.signing.aim import Aim, Aiming
from recapito.signing.asking import Asking

if TYPE_CHECKING:
    from recapito.engine import Engine
    from recapito.profile import Profile, ProfileKey
    from recapito.secret import Secrets
    from recapito.store import Store

__all__ = ["Desk", "change"]

T = TypeVar("T")

log = logging.getLogger("recapito.mailer")


class Desk:
    """One mailer's store, threads and hooks, for one act."""

    def __init__(self, engine: "Engine", call_hook: CallHook) -> None:
        self.engine = engine
        self._hooks = Hooks(call_hook)

    def store(self, profile: str, transport: object = "OAuth") -> "Store":
        """Where grants are kept; Held (SIGN-IN-STORE) where the mailer has no store."""
        if self.engine.store is None:
            raise Held(problem("SIGN-IN-STORE", profile=profile, transport=transport))
        return self.engine.store

    def aiming(self, store: "Store") -> Aiming:
        """What finds out what a sign-in is for."""
        resolver = self.engine.resolver
        return Aiming(store, self.engine.plugins, resolver.current, hosted=not resolver.keeps(store))

    def asking(self, aim: Aim, secrets: "Secrets") -> Asking:
        """How the sign-in of ``aim`` is asked; ``secrets`` must not come into its log."""
        engine = self.engine
        key = aim.found.profile.key
        context = ClientContext(
            key, aim.client, engine.plugins.catalogue, engine.tls.get, engine.workers, secrets
        )
        return Asking(context, aim.info.shown, key.operator, engine.patience.open)

    async def ask(self, key: "ProfileKey", asking: Asking, call: Callable[[], Awaitable[T]]) -> T:
        """What ``call`` comes back with; where the client is at fault, its administrator is told once."""
        try:
            return await asking(call)
        except DeliveryError as exc:
            if exc.problem.pauses and exc.problem.scope is Scope.CLIENT:
                await self._request_attention(key, exc.problem)
            raise

    async def tell(self, profile: "Profile", changes: list[Change]) -> None:
        """Tell the hooks, even where the caller has gone meanwhile: what happened is saved."""
        plugins = self.engine.plugins
        if not changes or not plugins.implements("recapito_record_change"):
            return

        async def all_of_them() -> None:
            for change in changes:
                await self._hooks(plugins.record_change, profile, change)

        await self.engine.following.wait(all_of_them(), self._hooks, None)

    async def works(self, key: "ProfileKey", client: str) -> None:
        """Forget what was told of profile and client: the same fault, come back, is news."""
        for subject in (profile_subject(key), client_subject(key.company, client)):
            await self.engine.in_thread(self.engine.attention.solved, subject)

    async def _request_attention(self, key: "ProfileKey", problem: Problem) -> None:
        engine, subject = self.engine, subject_of(key, problem)
        new = await engine.in_thread(engine.attention.remember, subject, problem)
        if new and engine.plugins.implements("recapito_request_attention"):
            await self._hooks(engine.plugins.request_attention, subject, problem)


def change(action: Any, by: str, **more: Any) -> Change:
    """What happened to a profile just now."""
    return Change(action, by, datetime.now(UTC), **more)
