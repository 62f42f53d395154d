"""Renewing one grant whose lease is held: asked outside any transaction, and saved before it is used."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from recapito.catalogue import problem
from recapito.errors import DeliveryError, Held, RecapitoError
from recapito.oauth.holder import Holder
from recapito.oauth.lease import InThread
from recapito.oauth.refreshing import NO_PERSON, Got, refresh
from recapito.outcome import Outcome
from recapito.problem import Problem
from recapito.signin import SignIn, Token

if TYPE_CHECKING:
    from recapito.profile import ProfileKey
    from recapito.store import GrantRow, Store, StoredGrant

__all__ = ["Renewals", "missing"]

log = logging.getLogger("recapito.oauth.vault")


@dataclass(frozen=True, slots=True)
class _Kept:
    """What came of a refresh for the grant ``id`` as of ``generation``."""

    id: str
    generation: int
    resource: str
    got: Got
    owner: str
    asks_nobody: bool


class Renewals:
    """Renews the grants of one store, each within so many seconds."""

    def __init__(
        self, store: "Store", in_thread: InThread, within: float, now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._in_thread = in_thread
        self._within = within
        self._now = now
        # What a store that failed did not take. The vendor may have made the former grant worthless by now.
        self._unsaved: dict[ProfileKey, _Kept] = {}
        #: Those who ask a vendor just now, or save what it answered.
        self.asking: set[asyncio.Task[Any]] = set()

    async def renewed(
        self, holder: Holder, sign_in: SignIn, stored: "StoredGrant", resource: str, owner: str
    ) -> Token | None:
        """A new token, saved with what renews the grant from now on.

        None where somebody signed in or renewed it meanwhile: theirs holds. Raises Held and NotSent, remembered
        for those who ask next, and Misconfigured where the store does not take it; the token is not used then.
        """
        row, asks_nobody = stored.row, sign_in.kind in NO_PERSON
        if not asks_nobody and not stored.secret:
            raise missing(holder)
        with self._asks():
            got = await self._asked(holder, sign_in, stored, resource, owner)
            if got is None:
                return None
            kept = _Kept(row.id, row.generation, resource, got, owner, asks_nobody)
            self._unsaved[row.key] = kept
            if not await self._saved(row.key, kept):
                return None
        log.info("%s: the grant was renewed", row.key, extra={"operator": str(row.key)})
        return got.token

    @contextmanager
    def _asks(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self.asking.add(task)
        try:
            yield
        finally:
            self.asking.discard(task)

    async def _asked(
        self, holder: Holder, sign_in: SignIn, stored: "StoredGrant", resource: str, owner: str
    ) -> Got | None:
        """What the vendor gave; None where it refused a grant that somebody else has renewed meanwhile."""
        try:
            return await refresh(holder, sign_in, stored, resource, self._within, self._now)
        except DeliveryError as exc:
            if not await self._remember(holder, stored.row, exc.problem, owner):
                return None
            raise

    async def saved_late(self, row: "GrantRow") -> bool:
        """Whether there was something that the store did not take before, and the grant is not as in ``row`` now.

        Raises Misconfigured as long as it does not take it.
        """
        kept = self._unsaved.get(row.key)
        if kept is None:
            return False
        if (kept.id, kept.generation) != (row.id, row.generation):
            self.forget(row.key)
            return False
        await self._saved(row.key, kept)
        return True

    def forget(self, key: "ProfileKey") -> None:
        """What was not saved of this profile's grant is of no more use."""
        self._unsaved.pop(key, None)

    async def _saved(self, key: "ProfileKey", kept: _Kept) -> bool:
        generation = await self._surely(partial(_save, self._store, key, kept))
        if self._unsaved.get(key) is kept:
            self.forget(key)
        return generation is not None

    async def _surely(self, save: Callable[[], int | None]) -> int | None:
        """The result of ``save``, which is done though the caller is cancelled: a loop that ends cancels all."""
        try:
            return await asyncio.shield(asyncio.ensure_future(self._in_thread(save)))
        except asyncio.CancelledError:
            # The thread may not have begun, and now never will. Done twice, it finds another generation.
            await self._in_thread(save)
            raise

    async def _remember(self, holder: Holder, row: "GrantRow", found: Problem, owner: str) -> bool:
        """Keep it for who asks next; False where it is no news of the grant as it is by now.

        A passing failure that names no time may be over at once.
        """
        if found.outcome is Outcome.NOT_SENT and found.retry_at is None:
            return True
        try:
            return await self._in_thread(
                self._store.fail_grant,
                row.key,
                row.id,
                row.generation,
                found,
                client_revision=holder.client_revision,
                owner=owner,
            )
        except RecapitoError as exc:  # what happened at the vendor is told, not this
            log.warning("%s: %s could not be remembered: %s", row.key, found.code, exc.problem.code)
            return True


def missing(holder: Holder) -> Held:
    """Nobody has signed in, or not for this."""
    key = holder.key
    return Held(
        problem("SIGN-IN-MISSING", profile=str(key), transport=holder.transport, operator=key.operator)
    )


def _save(store: "Store", key: "ProfileKey", kept: _Kept) -> int | None:
    from recapito.store import StoredToken

    got, changed = kept.got, dict[str, Any]()
    if got.grant is not None:
        changed = {"secret": got.grant.secret, "scopes": got.grant.scopes, "idle_until": got.grant.idle_until}
        if not kept.asks_nobody:  # whose an application's token is, its profile says
            changed["account"] = got.grant.account
    token = StoredToken(got.token.value, got.token.expires_at)
    return store.renew_grant(
        key, kept.id, kept.generation, resource=kept.resource, token=token, owner=kept.owner, **changed
    )
