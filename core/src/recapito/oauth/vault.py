"""The vault: one refresh for all who need a token at once, in whatever thread, process or machine.

A grant is renewed under a lease on its row: taken in one short transaction, the network asked outside any, the
result saved in another that compares the row's generation. Whoever finds the lease taken waits for the result.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import uuid4

from recapito.catalogue import problem
from recapito.errors import DeliveryError, Held, NotSent, delivery_error
from recapito.oauth.holder import Holder
from recapito.oauth.refreshing import NO_PERSON, Got, refresh
from recapito.outcome import Outcome
from recapito.problem import Problem
from recapito.signin import Grant, SignIn, Token

if TYPE_CHECKING:
    from recapito.profile import ProfileKey
    from recapito.store import GrantRow, Store, StoredGrant, StoredToken

__all__ = ["Holder", "Renewed", "Vault"]

log = logging.getLogger("recapito.oauth.vault")

T = TypeVar("T")

#: A token is renewed when it has less left than this: a send must not outlast it.
MARGIN = timedelta(seconds=60)
# One that could not be renewed is used to its end, while something of it is left.
_LAST = timedelta(seconds=10)
# Seconds between two looks at a grant that somebody else renews.
_LOOK = (0.03, 0.1)
# A grant that is signed in anew again and again while it is being renewed is given up.
_TRIES = 5


class InThread(Protocol):
    """Runs blocking functions in worker threads."""

    def __call__(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Awaitable[T]:
        """The result of ``function(*args, **kwargs)``."""
        ...


@dataclass(frozen=True, slots=True)
class Renewed:
    """What came of renewing a grant: as it is now (None: there is none), and why that failed."""

    row: "GrantRow | None"
    problem: Problem | None


class _Superseded(Exception):
    """Somebody signed in, or renewed the grant, while it was being renewed: theirs holds."""


class Vault:
    """Tokens of one mailer's profiles, from the grants that its store keeps; all on one loop.

    ``lease_seconds`` is how long others wait for a process that died while it renewed a grant; it is longer than
    ``refresh_within``, the seconds that a refresh may take.
    """

    def __init__(
        self,
        store: "Store",
        in_thread: InThread,
        *,
        lease_seconds: float = 30.0,
        refresh_within: float = 25.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._in_thread = in_thread
        self._lease_seconds = lease_seconds
        self._refresh_within = refresh_within
        self._now = now
        self._warm: dict[tuple[ProfileKey, str], tuple[str, str, Token]] = {}
        self._under_way: dict[tuple[Holder, str, bool], asyncio.Task[Token]] = {}

    async def token(self, holder: Holder, resource: str, *, refused: Token | None = None) -> Token:
        """A token for ``resource``: the one that is held, else a new one. ``refused`` was rejected by a server.

        One that is held costs no network, no thread and no look at the store. Raises Held where a person must
        act, NotSent where it could not be had for now, and Misconfigured as the store.
        """
        warm = self._warm.get((holder.key, resource))
        if warm is not None and warm[:2] == (holder.grant_id, holder.client_revision):
            token = warm[2]
            if token.expires_at > self._now() + MARGIN and not _same(token, refused):
                return token
        return await self._shared(holder, resource, refused, force=False)

    async def renew(self, holder: Holder, resource: str, *, force: bool = True) -> Renewed:
        """Renew the grant; ``force``: though its token is good, or it failed before. Raises as the store."""
        found = None
        try:
            await self._shared(holder, resource, None, force=force)
        except DeliveryError as exc:
            found = exc.problem
        return Renewed(await self._in_thread(self._store.grant, holder.key), found)

    def forget(self, key: "ProfileKey") -> None:
        """Forget the tokens that are held for a profile: its grant is another, or gone."""
        for held in [held for held in self._warm if held[0] == key]:
            del self._warm[held]

    async def _shared(self, holder: Holder, resource: str, refused: Token | None, *, force: bool) -> Token:
        """The result of one search for all who ask at once; it goes on though one of them has gone."""
        which = holder, resource, force
        task = self._under_way.get(which)
        joined = task is not None
        if task is None:
            task = asyncio.get_running_loop().create_task(
                self._searched(holder, resource, refused, force=force)
            )
            self._under_way[which] = task
            task.add_done_callback(partial(self._ended, which))
        try:
            token = await asyncio.shield(task)
        except DeliveryError as exc:
            raise type(exc)(exc.problem) from None  # each caller's own: one error has one traceback
        if joined and _same(token, refused):
            return await self._shared(holder, resource, refused, force=force)
        return token

    def _ended(self, which: tuple[Holder, str, bool], task: "asyncio.Task[Token]") -> None:
        if self._under_way.get(which) is task:
            del self._under_way[which]
        if not task.cancelled():
            task.exception()  # somebody may have gone meanwhile: nobody is left to hear of it

    async def _searched(self, holder: Holder, resource: str, refused: Token | None, *, force: bool) -> Token:
        began: tuple[str, int] | None = None
        for _ in range(_TRIES):
            sign_in = holder.make()
            stored = await self._found(holder, sign_in)
            now_at = stored.row.id, stored.row.generation
            began = began or now_at
            kept = _token(stored.tokens.get(resource))
            if kept is not None and self._is_good(kept, refused) and not (force and now_at == began):
                return self._held(holder, resource, stored.row, kept)
            self._refuse_known(holder, stored.row, force=force and now_at == began)
            owner = uuid4().hex
            if not await self._leased(holder, stored.row, owner):
                await self._wait(holder, stored.row)
                continue
            try:
                return await self._renewed(holder, sign_in, stored, resource, owner)
            except _Superseded:
                continue
            except NotSent:
                if kept is not None and not _same(kept, refused) and kept.expires_at > self._now() + _LAST:
                    return kept
                raise
        raise NotSent(problem("OAUTH-TEMPORARY", step="sign-in", retry_at=self._now() + MARGIN))

    async def _found(self, holder: Holder, sign_in: SignIn) -> "StoredGrant":
        """The grant, fit for what is asked of it. Raises Held (SIGN-IN-MISSING, OAUTH-SCOPE) without any network."""
        if sign_in.kind in NO_PERSON:
            await self._in_thread(
                self._store.ensure_grant,
                holder.key,
                transport=holder.transport,
                sign_in=holder.sign_in,
                client=sign_in.client,
            )
        stored = await self._in_thread(self._store.open_grant, holder.key)
        operator = holder.key.operator
        fits = stored is not None and (stored.row.transport, stored.row.client) == (
            holder.transport,
            sign_in.client,
        )
        if stored is None or not fits:
            missing = problem(
                "SIGN-IN-MISSING", profile=str(holder.key), transport=holder.transport, operator=operator
            )
            raise Held(missing)
        lacking = sign_in.scopes - stored.row.scopes
        if lacking and sign_in.kind not in NO_PERSON:
            raise Held(problem("OAUTH-SCOPE", scopes=" ".join(sorted(lacking)), operator=operator))
        return stored

    def _is_good(self, token: Token, refused: Token | None) -> bool:
        return token.expires_at > self._now() + MARGIN and not _same(token, refused)

    def _refuse_known(self, holder: Holder, row: "GrantRow", *, force: bool) -> None:
        """Raise what the grant met before, while it still holds: nobody is asked again until something changed."""
        known = row.problem
        if known is None or row.client_revision != holder.client_revision:
            return
        later = known.retry_at is not None and known.retry_at > self._now()
        if known.outcome is Outcome.NOT_SENT:
            if later:
                raise delivery_error(known)
        elif not force:
            raise delivery_error(known)

    async def _leased(self, holder: Holder, row: "GrantRow", owner: str) -> bool:
        return await self._in_thread(
            self._store.lease_grant, holder.key, row.id, row.generation, owner, self._lease_seconds
        )

    async def _wait(self, holder: Holder, before: "GrantRow") -> None:
        """Until the grant was renewed, or that failed, or whoever had the lease is given up."""
        while True:
            await asyncio.sleep(random.uniform(*_LOOK))  # noqa: S311 - spreads looks, hides nothing
            row = await self._in_thread(self._store.grant, holder.key)
            if row is None or (row.id, row.generation, row.problem) != (
                before.id,
                before.generation,
                before.problem,
            ):
                return
            if row.lease_until is None or row.lease_until <= datetime.now(UTC):
                return

    async def _renewed(
        self, holder: Holder, sign_in: SignIn, stored: "StoredGrant", resource: str, owner: str
    ) -> Token:
        row = stored.row
        saved = False
        try:
            got = await refresh(holder, sign_in, _grant(stored), resource, self._refresh_within)
            generation = await self._saved(holder, row, resource, got, owner)
            saved = generation is not None
        except DeliveryError as exc:
            saved = await self._remembered(holder, row, exc.problem, owner)
            raise
        finally:
            if not saved:
                await self._released(holder, row, owner)
        if not saved:
            raise _Superseded
        log.info("%s: the grant was renewed", holder.key, extra={"operator": str(holder.key)})
        return self._held(holder, resource, row, got.token)

    async def _saved(
        self, holder: Holder, row: "GrantRow", resource: str, got: Got, owner: str
    ) -> int | None:
        from recapito.store import StoredToken

        changed: dict[str, Any] = {}
        if got.grant is not None:
            changed = {
                "secret": got.grant.secret,
                "scopes": got.grant.scopes,
                "account": got.grant.account,
                "idle_until": got.grant.idle_until,
            }
        return await self._in_thread(
            self._store.renew_grant,
            holder.key,
            row.id,
            row.generation,
            resource=resource,
            token=StoredToken(got.token.value, got.token.expires_at),
            owner=owner,
            **changed,
        )

    async def _remembered(self, holder: Holder, row: "GrantRow", found: Problem, owner: str) -> bool:
        """Whether it was kept, so that the next one need not ask: never a failure of the way there."""
        answered = found.reply is not None or found.code in ("TOKEN-ILL-FORMED", "OAUTH-ANSWER")
        if found.outcome is Outcome.NOT_SENT and not (answered and found.retry_at is not None):
            return False
        return await self._in_thread(
            self._store.fail_grant,
            holder.key,
            row.id,
            row.generation,
            found,
            client_revision=holder.client_revision,
            owner=owner,
        )

    async def _released(self, holder: Holder, row: "GrantRow", owner: str) -> None:
        try:
            await self._in_thread(self._store.release_grant, holder.key, row.id, owner)
        except Exception as exc:  # noqa: BLE001 - it must not take the place of what happened; the lease runs out
            log.warning("%s: the lease could not be given back: %s", holder.key, type(exc).__name__)

    def _held(self, holder: Holder, resource: str, row: "GrantRow", token: Token) -> Token:
        if len(self._warm) >= 10_000:
            self._warm.clear()
        self._warm[holder.key, resource] = row.id, holder.client_revision, token
        return token


def _same(token: Token, refused: Token | None) -> bool:
    return refused is not None and token.value == refused.value


def _token(stored: "StoredToken | None") -> Token | None:
    return None if stored is None else Token(stored.value, stored.expires_at)


def _grant(stored: "StoredGrant") -> Grant:
    row = stored.row
    return Grant(account=row.account, scopes=row.scopes, secret=stored.secret, idle_until=row.idle_until)
