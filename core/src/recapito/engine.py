"""All that one mailer has running: its sessions, permits, threads and journal, on one loop of one process."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

from recapito.access import AccessReader
from recapito.attention import Attention
from recapito.context import ProfileContext, TlsContexts
from recapito.courier import Courier
from recapito.following import Following
from recapito.history import has_worked
from recapito.hook_thread import HookThread
from recapito.permits import Permits
from recapito.pool import Pool
from recapito.resolver import Resolver
from recapito.route import Routes
from recapito.workers import Workers

if TYPE_CHECKING:
    from recapito.access import Access
    from recapito.catalogue import Catalogue
    from recapito.ledger.journal import Journal
    from recapito.oauth.vault import Vault
    from recapito.plugins import Plugins
    from recapito.profile import Found, ProfileKey, ProfileSource
    from recapito.sources import ProfileDict
    from recapito.store import Store

__all__ = ["Engine", "Patience", "UnderWay"]

log = logging.getLogger("recapito.mailer")

P = ParamSpec("P")
T = TypeVar("T")


class UnderWay(Protocol):
    """A send that has not ended."""

    def close(self) -> "asyncio.Future[None]":
        """End it, with the outcome that it has; done when it has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds (and one number) that a mailer waits; the defaults are the documented ones.

    ``permit``: for a permit of the mailbox. ``idle``: before an idle session is closed. ``open``: for connecting
    and signing in. ``close``: for everything at the end. ``sessions``: how many are open at once.
    """

    permit: float = 30.0
    idle: float = 60.0
    open: float = 60.0
    close: float = 5.0
    sessions: int = 200


class Engine:
    """Made on the loop that it belongs to, at a mailer's first use; a forked child makes its own."""

    def __init__(
        self,
        profiles: "ProfileDict | ProfileSource",
        store: "Store | None",
        plugins: "Plugins",
        patience: Patience,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.patience = patience
        self.plugins = plugins
        self.store = store
        self.workers = Workers(8, "recapito-worker")
        self.hook_thread = HookThread()
        self.following = Following(self.hook_thread)
        self.pool = Pool(idle=patience.idle, maximum=patience.sessions)
        self.courier = Courier(self.pool, open_within=patience.open)
        self.permits = Permits.of_store(str(store.id) if store else "")
        #: Those that are under way.
        self.sends: set[UnderWay] = set()
        self.attention = Attention(store, plugins)
        self.journal = _journal(store)
        #: Contexts that are kept for all profiles and clients.
        self.tls = TlsContexts()
        self._vault: Vault | None = None
        routes = Routes(plugins, self._context, self._has_worked)
        accesses = AccessReader(plugins, store)
        self.resolver = Resolver(profiles, store, routes, accesses, self.workers, self.permits)

    def _context(self, found: "Found", catalogue: "Catalogue", access: "Access") -> ProfileContext:
        vault = self.vault if self.store is not None else None
        return ProfileContext(found, catalogue, self.tls, self.workers, access, vault)

    def vault(self) -> "Vault":
        """The grants' tokens, in this process; made at first use, for most profiles need none."""
        if self._vault is None:
            from recapito.oauth.vault import Vault

            assert self.store is not None
            self._vault = Vault(self.store, self.in_thread)
        return self._vault

    def _has_worked(self, key: "ProfileKey") -> bool | None:
        if self.store is None or self.journal is None:
            return None
        return has_worked(self.store, self.journal, key)

    async def in_thread(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """``function`` in a worker thread."""
        return await self.loop.run_in_executor(self.workers, partial(function, *args, **kwargs))

    async def close(self, ends: float, store: "Store | None" = None) -> None:
        """End sends, close sessions, journal and ``store``, by ``ends`` on the loop's clock.

        Whoever hangs is left behind. Sends that are under way end with the outcome that they have by then.
        """
        # A fifth of the time is the journal's, though something hangs: what became of messages is written there.
        most = ends - 0.2 * self._left(ends)
        if sends := [sending.close() for sending in tuple(self.sends)]:
            await asyncio.wait(sends, timeout=self._left(most))
        await self.pool.close(self._left(most))
        if self._vault is not None:
            await self._vault.close(self._left(most))
        await self.following.close(self._left(most))
        if self.journal is not None:
            await self._apart(partial(self.journal.close, max(0.1, self._left(ends))), ends)
        if store is not None:
            await self._apart(store.close, ends)
        self.workers.shutdown()
        self.hook_thread.stop()

    async def _apart(self, function: Callable[[], None], ends: float) -> None:
        """``function`` in a thread of its own, until ``ends``: the workers may all be hanging."""
        thread = Workers(1, "recapito-close")
        work = self.loop.run_in_executor(thread, function)
        thread.shutdown()
        done, _ = await asyncio.wait({work}, timeout=max(0.1, self._left(ends)))
        if done and (error := work.exception()):
            log.error("closing failed", exc_info=error)

    def _left(self, ends: float) -> float:
        return max(0.0, ends - self.loop.time())


def _journal(store: "Store | None") -> "Journal | None":
    if store is None:
        return None
    from recapito.ledger.journal import Journal

    return Journal(store)
