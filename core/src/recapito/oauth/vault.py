"""The vault: one refresh for all who need a token at once, in whatever thread, process or machine.

A grant is renewed under a lease on its row: taken in one short transaction, the network asked outside any, the
result saved in another that compares the row's generation. Whoever finds the lease taken waits for the result.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from recapito.catalogue import problem
from recapito.errors import DeliveryError, Held, NotSent, delivery_error
from recapito.oauth.holder import Holder
from recapito.oauth.lease import InThread, Leases
from recapito.oauth.refreshing import AGAIN, NO_PERSON
from recapito.oauth.renewing import Renewals, missing
from recapito.outcome import Outcome
from recapito.problem import Problem
from recapito.signin import SignIn, Token

if TYPE_CHECKING:
    from recapito.profile import ProfileKey
    from recapito.store import GrantRow, Store, StoredGrant, StoredToken

__all__ = ["Holder", "Renewed", "Vault"]

#: A token is renewed when it has less left than this: a send must not outlast it.
MARGIN = timedelta(seconds=60)
# One that could not be renewed is used to its end, while something of it is left.
_LAST = timedelta(seconds=10)
# A grant that changes again and again while it is being renewed is given up.
_TRIES = 10
# Profiles whose tokens are held.
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Renewed:
    """What came of renewing a grant: as it is now (None: there is none), and why that failed."""

    row: "GrantRow | None"
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class _Sought:
    """A token that is looked for: those who look for the same one at once share what is found."""

    holder: Holder
    resource: str
    force: bool


class Vault:
    """Tokens of one mailer's profiles, from the grants that its store keeps; all on one loop.

    ``lease_seconds`` is how long others wait for a process that died while it renewed a grant; it is longer than
    ``refresh_within``, the seconds that a refresh may take. ``now`` is the clock by which tokens expire.
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
        self._now = now
        self._leases = Leases(store, in_thread, lease_seconds)
        self._renewals = Renewals(store, in_thread, refresh_within, now)
        self._warm: dict[tuple[ProfileKey, str], tuple[Holder, Token]] = {}
        self._under_way: dict[_Sought, asyncio.Task[Token]] = {}
        # Here nobody has to look into the store for the end of a refresh.
        self._turns: WeakValueDictionary[ProfileKey, asyncio.Lock] = WeakValueDictionary()

    async def token(self, holder: Holder, resource: str, *, refused: Token | None = None) -> Token:
        """A token for ``resource``: the one that is held, else a new one. ``refused`` was rejected by a server.

        One that is held costs no network, no thread and no look at the store. Raises Held where a person must
        act, NotSent where it could not be had for now, and Misconfigured as the store.
        """
        warm = self._warm.get((holder.key, resource))
        if warm is not None and warm[0] == holder and self._is_good(warm[1], refused):
            return warm[1]
        return await self._shared(_Sought(holder, resource, force=False), refused)

    async def renew(self, holder: Holder, resource: str, *, force: bool = True) -> Renewed:
        """Renew the grant; ``force``: though its token is good, or it failed before. Raises as the store."""
        found = None
        try:
            await self._shared(_Sought(holder, resource, force), None)
        except DeliveryError as exc:
            found = exc.problem
        return Renewed(await self._in_thread(self._store.grant, holder.key), found)

    def forget(self, key: "ProfileKey") -> None:
        """Forget what is held for a profile: its grant is another, or gone."""
        for held in [held for held in self._warm if held[0] == key]:
            del self._warm[held]
        self._renewals.forget(key)

    async def close(self, within: float) -> None:
        """Let what is under way end, for so many seconds at most: a grant that is being renewed would be lost."""
        tasks = set(self._under_way.values())
        if not tasks:
            return
        for waiting in tasks - self._renewals.asking:
            waiting.cancel()
        _, late = await asyncio.wait(tasks, timeout=within * 0.8)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=within * 0.2)

    async def _shared(self, sought: _Sought, refused: Token | None) -> Token:
        """The result of one search for all who ask at once; it goes on though one of them has gone."""
        task = self._under_way.get(sought)
        joined = task is not None
        if task is None:
            task = asyncio.get_running_loop().create_task(self._searched(sought, refused))
            self._under_way[sought] = task
            task.add_done_callback(partial(self._ended, sought))
        try:
            token = await asyncio.shield(task)
        except DeliveryError as exc:
            raise type(exc)(exc.problem) from None  # each caller's own: one error has one traceback
        if joined and _same(token, refused):  # the others had not met the refusal
            return await self._shared(sought, refused)
        return token

    def _ended(self, sought: _Sought, task: "asyncio.Task[Token]") -> None:
        if self._under_way.get(sought) is task:
            del self._under_way[sought]
        if not task.cancelled():
            task.exception()  # somebody may have gone meanwhile: nobody is left to hear of it

    async def _searched(self, sought: _Sought, refused: Token | None) -> Token:
        turn = self._turns.setdefault(sought.holder.key, asyncio.Lock())
        async with turn:
            for _ in range(_TRIES):
                token = await self._tried(sought, refused)
                if token is not None:
                    return token
                # Somebody else has renewed it, or failed to, and what they met holds for all who waited.
                sought = _Sought(sought.holder, sought.resource, force=False)
        raise NotSent(problem("OAUTH-TEMPORARY", step="sign-in", retry_at=self._now() + AGAIN))

    async def _tried(self, sought: _Sought, refused: Token | None) -> Token | None:
        """The token as the store has it, or a new one; None where the grant changed meanwhile."""
        holder, resource = sought.holder, sought.resource
        sign_in = holder.make()
        stored = await self._found(holder, sign_in)
        if await self._renewals.saved_late(stored.row):
            return None
        kept = _token(stored.tokens.get(resource)) if sign_in.scopes <= stored.row.scopes else None
        if kept is not None and not sought.force and self._is_good(kept, refused):
            return self._held(sought, stored.row, kept)
        last = None if kept is None or sought.force or _same(kept, refused) else kept
        if last is not None and last.expires_at <= self._now() + _LAST:
            last = None
        try:
            self._refuse_known(holder, stored.row, force=sought.force)
        except NotSent:
            if last is None:
                raise
            return last
        owner = await self._leases.taken(stored.row)
        if owner is None:
            return None
        ended = False
        try:
            token = await self._renewals.renewed(holder, sign_in, stored, resource, owner)
            ended = True
        except NotSent:
            if last is None:
                raise
            return last
        finally:
            if not ended:
                await self._leases.given_back(stored.row, owner)
        return None if token is None else self._held(sought, stored.row, token)

    async def _found(self, holder: Holder, sign_in: SignIn) -> "StoredGrant":
        """The grant, fit for what is asked of it. Raises Held without any network."""
        stored = await self._in_thread(self._store.open_grant, holder.key)
        asks_nobody = sign_in.kind in NO_PERSON
        if stored is None and asks_nobody:
            await self._in_thread(
                self._store.ensure_grant,
                holder.key,
                transport=holder.transport,
                sign_in=holder.sign_in,
                client=sign_in.client,
                account=holder.account,
            )
            stored = await self._in_thread(self._store.open_grant, holder.key)
        if stored is None or not _fits(stored.row, holder, sign_in):
            raise missing(holder)
        _refuse_other_account(stored.row, holder)
        lacking = sign_in.scopes - stored.row.scopes
        if lacking and not asks_nobody:
            scopes = " ".join(sorted(lacking))
            raise Held(problem("OAUTH-SCOPE", scopes=scopes, operator=holder.key.operator))
        return stored

    def _refuse_known(self, holder: Holder, row: "GrantRow", *, force: bool) -> None:
        """Raise what the grant met before, while it still holds: nobody is asked again until something changed."""
        known = row.problem
        if known is None or row.client_revision != holder.client_revision:
            return
        if known.outcome is Outcome.NOT_SENT:
            holds = known.retry_at is not None and known.retry_at > self._now()
        else:
            holds = not force
        if holds:
            raise delivery_error(known)

    def _is_good(self, token: Token, refused: Token | None) -> bool:
        return token.expires_at > self._now() + MARGIN and not _same(token, refused)

    def _held(self, sought: _Sought, row: "GrantRow", token: Token) -> Token:
        if sought.holder.grant_id == row.id:
            if len(self._warm) >= _MOST:
                self._warm.clear()
            self._warm[sought.holder.key, sought.resource] = sought.holder, token
        return token


def _fits(row: "GrantRow", holder: Holder, sign_in: SignIn) -> bool:
    if (row.transport, row.client) != (holder.transport, sign_in.client):
        return False
    # Browsers and devices leave the same kind of grant; an application's own is no person's.
    return sign_in.kind not in NO_PERSON or row.sign_in == holder.sign_in


def _refuse_other_account(row: "GrantRow", holder: Holder) -> None:
    """The profile was changed since it was resolved: its message must not leave as somebody else's."""
    if row.account and holder.account and row.account != holder.account:
        raise Held(problem("OAUTH-OTHER-USER", a=row.account, b=holder.account, operator=holder.key.operator))


def _same(token: Token, refused: Token | None) -> bool:
    return refused is not None and token.value == refused.value


def _token(stored: "StoredToken | None") -> Token | None:
    return None if stored is None else Token(stored.value, stored.expires_at)
