"""Sending from asyncio: one message, through the profile of the operator whose it is."""

import asyncio
import math
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeVar

from recapito.catalogue import problem
from recapito.checking import Checking, Trial
from recapito.engine import Engine, Patience
from recapito.errors import DeliveryError, Misconfigured, delivery_error
from recapito.forking import abandon, forget_in_children
from recapito.limits import Limits
from recapito.message import AnyMessage
from recapito.outcome import Outcome
from recapito.plugins import Plugins
from recapito.problem import Problem
from recapito.profile import Found, Operator, ProfileKey, ProfileSource
from recapito.receipt import Receipt
from recapito.resolver import as_store
from recapito.secret import Secrets
from recapito.sending import Order, Sending
from recapito.transport import CheckStep, TransportInfo

if TYPE_CHECKING:
    from recapito.following import CallHook
    from recapito.health import Checked, Health, Scan
    from recapito.many import AsyncBatch
    from recapito.many.feed import Feed, Messages
    from recapito.many.run import Run, Wanted
    from recapito.operators import Changes
    from recapito.signing import Answer, Begun, Desk, SignedIn, Wish
    from recapito.sources import ProfileDict
    from recapito.store import Store

__all__ = ["AsyncMailer"]

T = TypeVar("T")


class AsyncMailer:
    """Sends messages of many operators, each through their own profile.

    ``profiles`` is a store, a host's own :class:`recapito.profile.ProfileSource`, or a dict of operator ids (or
    keys) to ``Profile`` or ``Found``. ``store`` keeps states and the journal where ``profiles`` is not a store;
    without one everything works but outbox, sign-in and remembered pauses. ``hooks`` are modules, objects or
    dotted module names; ``transports`` are offered besides those of installed plugins. Raises Misconfigured where
    a hook of the host's own cannot be used.

    It belongs to the event loop on which it is first used; on another one it raises Misconfigured (LOOP-OTHER).
    A forked child may use it: it starts afresh there. Sessions stay open between messages: keep one mailer, and
    :meth:`close` it at the end (``async with``).
    """

    #: How long it waits for what; a subclass may have other figures.
    patience = Patience()

    def __init__(
        self,
        profiles: "Store | ProfileSource | ProfileDict",
        *,
        store: "Store | None" = None,
        hooks: Iterable[object] = (),
        transports: Iterable[TransportInfo] = (),
    ) -> None:
        self._profiles = profiles
        self._store = store or as_store(profiles)
        self._owned: Store | None = None
        #: What is installed, and its faults.
        self.plugins = Plugins.load(hooks=hooks, transports=transports)
        self._engine: Engine | None = None
        self._closed = False
        forget_in_children(self)

    @classmethod
    def open(cls, url: str | None = None, *, hooks: Iterable[object] = ()) -> Self:
        """A mailer on the store at ``url``, on that of ``RECAPITO_DATABASE``, or on the user's own.

        Raises Misconfigured, naming the variable, where there is none: it makes no empty store.
        """
        from recapito.store import Store

        store = Store.open(url)
        mailer = cls(store, hooks=hooks)
        mailer._owned = store
        return mailer

    async def send(
        self,
        operator: str | Operator,
        message: AnyMessage,
        *,
        profile: str = "default",
        company: str = "",
        reference: str | None = None,
        timeout: float | None = None,
        check: bool = True,
        to: Sequence[str] | None = None,
    ) -> Receipt:
        """Send one message now, and return what became of it. **It returns only if somebody was accepted.**

        Otherwise it raises Refused, NotSent, Held or UnknownOutcome, with ``.receipt`` and ``.problem``; with
        ``check=False`` it returns the receipt instead. InvalidMessage and Misconfigured (NotFound) are raised
        before anything is sent. ``reference`` is the host's own id for the message. ``timeout`` bounds the whole
        call, in seconds; without it a permit is waited for at most 30 s, and the sending is bounded by the
        transport (``hard_timeout``). ``to`` replaces the recipients of a message that is finished.
        """
        key = key_of(operator, profile, company)
        check_timeout(timeout)
        order = Order(key, message, reference, timeout, None if to is None else tuple(to))
        return await self._send(order, check)

    def send_many(
        self,
        operator: str | Operator,
        messages: "Messages",
        *,
        profile: str = "default",
        company: str = "",
        connections: int | None = None,
        timeout: float | None = None,
    ) -> "AsyncBatch":
        """Send ``messages``, each with a receipt of its own, in their order; see :class:`recapito.many.AsyncBatch`.

        **It never raises for one message**: bad input gives a *refused* receipt. :class:`recapito.message.Item` gives
        a message its reference. Messages are read as they are needed (about 200 ahead), sent on at most
        ``connections`` sessions (5, or what the mailbox allows), and wait for its limits however long that takes.
        Where three in a row meet no server the rest is *not sent*. ``timeout`` bounds all of it, in seconds.
        """
        from recapito.many import AsyncBatch
        from recapito.many.feed import LoopFeed

        wanted = many_of(key_of(operator, profile, company), connections, timeout)
        return AsyncBatch(lambda: self._run(wanted, LoopFeed(messages)), self.patience.close)

    async def limits(
        self, operator: str | Operator, *, profile: str = "default", company: str = ""
    ) -> Limits:
        """What the profile's mailbox may send now: the stricter of transport, provider, administrator and server.

        Raises NotFound, and Misconfigured where the profile's settings do not validate.
        """
        return await self._limits(key_of(operator, profile, company))

    async def check(
        self,
        operator: str | Operator,
        *,
        profile: str = "default",
        company: str = "",
        send_to: str | None = None,
        draft: Found | None = None,
        timeout: float | None = None,
    ) -> AsyncGenerator[CheckStep, None]:
        """Try a profile step by step, through the same code as a send, ending at the first problem.

        With ``send_to`` a message is sent there; without it nothing is. ``draft`` is a profile that is not saved.
        A saved profile that was paused by its sign-in, and now signs in, runs again. A check that takes longer
        than ``timeout`` seconds ends with SEND-TIMEOUT.
        """
        key = key_of(operator, profile, company)
        check_timeout(timeout)
        async with aclosing(self._checking(Trial(key, send_to, draft, timeout)).steps()) as steps:
            async for step in steps:
                yield step

    async def begin_sign_in(
        self,
        operator: str | Operator,
        *,
        profile: str = "default",
        company: str = "",
        kind: Literal["device"] | None = None,
        redirect_uri: str = "",
        session: str = "",
        by: str = "",
        changes: "Changes | None" = None,
    ) -> "Begun":
        """Begin to sign a profile in; any process finishes it with :meth:`finish_sign_in`, within 10 minutes.

        ``redirect_uri`` is where the browser comes back to, exactly as it is registered; ``session`` whatever
        tells this browser's session from others, which must be the same when it finishes. ``kind`` asks for the
        device's way instead of the profile's own. ``changes`` make the profile, or move it to another transport:
        they are checked now, and saved only together with the grant (no secrets may be among them). ``by`` is who
        does it, for the audit.

        Raises NotFound, Misconfigured (SIGN-IN-NONE, SIGN-IN-KIND, SIGN-IN-REDIRECT, SETTINGS-INVALID), Held
        (CLIENT-MISSING, SIGN-IN-STORE, what the vendor says) and NotSent where the vendor did not answer.
        """
        from recapito.signing import Wish

        key = key_of(operator, profile, company)
        wish, session = (
            Wish(key, kind, redirect_uri, session, by, changes),
            "",
        )  # it may be a cookie of the host's
        return await self._begin(wish)

    async def finish_sign_in(
        self,
        operator: str | Operator,
        query: Mapping[str, str],
        *,
        company: str = "",
        session: str = "",
        by: str = "",
    ) -> "SignedIn | Begun":
        """Finish it with the whole ``query`` of the redirect; for other kinds ``{"state": begun.state}``.

        Begun comes back while a device's person has not finished: ask again after its ``interval``. State,
        operator and session are compared before the vendor is asked (Held, SIGN-IN-STATE), the account that
        consented and what it allowed before anything is kept (OAUTH-OTHER-USER, OAUTH-SCOPE). Whatever fails
        leaves the profile and its grant as they were. A profile that had been paused, but not by a person, runs
        again.
        """
        from recapito.signing import Answer

        key, hidden = key_of(operator, "default", company), Secrets(query)
        answer = Answer(key.company, key.operator, hidden, session, by)
        query, session = {}, ""  # a traceback that shows locals must not show the code
        return await self._finish(answer)

    async def sign_out(
        self, operator: str | Operator, *, profile: str = "default", company: str = "", by: str = ""
    ) -> bool:
        """Give the profile's grant back at the vendor, and forget it; True where there was one.

        Every open session of the profile is retired, in every process. Where the vendor cannot be told, a
        warning is logged, and the grant is forgotten all the same.
        """
        return await self._sign_out(key_of(operator, profile, company), by)

    async def health(
        self, *, company: str | None = None, operator: str | None = None, everything: bool = False
    ) -> AsyncGenerator["Checked", None]:
        """Renew the grants that were not renewed for 20 hours (``everything``: all), one after the other.

        Call it daily: grants then do not die of idleness. A grant that is found dead pauses its profile, and
        its person is asked for once; one that is known to be dead is not tried again until they signed in.
        """
        from recapito.health import Scan

        async with aclosing(self._health(Scan(company, operator, everything)).checked()) as found:
            async for each in found:
                yield each

    async def close(self, timeout: float | None = None) -> None:
        """Close sessions, journal and, if :meth:`open` opened it, the store; within ``timeout`` (5) seconds.

        Sends that are under way end at once, with NotSent or, where content may have left, UnknownOutcome.
        """
        engine = self._engine
        if engine is not None and not engine.loop.is_closed():
            self._belongs(engine)
        self._closed, self._engine = True, None
        ends = asyncio.get_running_loop().time() + (self.patience.close if timeout is None else timeout)
        if engine is not None and not engine.loop.is_closed():
            await engine.close(ends, self._owned)
        elif self._owned is not None:
            self._owned.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, order: Order, check: bool) -> Receipt:
        sending = self._sending(order)
        return outcome_of(await sending.run(), sending.error, check)

    def _sending(self, order: Order, call_hook: "CallHook | None" = None) -> Sending:
        engine = self._running()
        return Sending(engine, order, call_hook or engine.hook_thread)

    async def _limits(self, key: ProfileKey) -> Limits:
        return (await self._running().resolver.resolve(key)).limits

    def _run(self, wanted: "Wanted", feed: "Feed", call_hook: "CallHook | None" = None) -> "Run":
        from recapito.many.run import Run

        engine = self._running()
        return Run(engine, wanted, feed, call_hook or engine.hook_thread)

    def _checking(self, trial: Trial, call_hook: "CallHook | None" = None) -> Checking:
        engine = self._running()
        return Checking(engine, trial, call_hook or engine.hook_thread)

    def _desk(self, call_hook: "CallHook | None") -> "Desk":
        from recapito.signing import Desk

        engine = self._running()
        return Desk(engine, call_hook or engine.hook_thread)

    async def _begin(self, wish: "Wish", call_hook: "CallHook | None" = None) -> "Begun":
        from recapito.signing import begin

        return await begin(self._desk(call_hook), wish)

    async def _finish(self, answer: "Answer", call_hook: "CallHook | None" = None) -> "SignedIn | Begun":
        from recapito.signing import finish

        return await finish(self._desk(call_hook), answer)

    async def _sign_out(self, key: ProfileKey, by: str, call_hook: "CallHook | None" = None) -> bool:
        from recapito.signing import sign_out

        return await sign_out(self._desk(call_hook), key, by or key.operator)

    def _health(self, scan: "Scan", call_hook: "CallHook | None" = None) -> "Health":
        from recapito.health import Health

        engine = self._running()
        return Health(engine, scan, call_hook or engine.hook_thread)

    def _running(self) -> Engine:
        if self._closed:
            raise Misconfigured(problem("MAILER-CLOSED"))
        if self._engine is None:
            self._engine = Engine(self._profiles, self._store, self.plugins, self.patience)
        self._belongs(self._engine)
        return self._engine

    def _belongs(self, engine: Engine) -> None:
        if engine.loop is not asyncio.get_running_loop():
            raise Misconfigured(problem("LOOP-OTHER"))

    def _close_unused(self) -> None:
        """Close what was never used on any loop."""
        self._closed = True
        if self._owned is not None:
            self._owned.close()

    def _after_fork(self) -> None:
        """In a forked child: the parent's loop, threads and sessions are not ours to use, nor to close."""
        engine, self._engine = self._engine, None
        if engine is not None:
            abandon(engine, engine.pool.sessions())


def key_of(operator: str | Operator, profile: str, company: str) -> ProfileKey:
    """The key of an operator's profile; an ``Operator`` brings its company."""
    if isinstance(operator, Operator):
        return ProfileKey(company or operator.company, operator.id, profile)
    return ProfileKey(company, operator, profile)


def check_timeout(timeout: object) -> None:
    """Raise Misconfigured (TIMEOUT-INVALID) for what is no number of seconds, or none that ends after it began."""
    number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if timeout is not None and not (number and 0 < timeout < math.inf):  # type: ignore[operator]
        raise Misconfigured(problem("TIMEOUT-INVALID", value=repr(timeout)[:40]))


def many_of(key: ProfileKey, connections: object, timeout: float | None) -> "Wanted":
    """What ``send_many`` was asked for. Raises Misconfigured (TIMEOUT-INVALID, CONNECTIONS-INVALID)."""
    from recapito.many.run import Wanted

    check_timeout(timeout)
    if connections is not None and not (type(connections) is int and connections > 0):
        raise Misconfigured(problem("CONNECTIONS-INVALID", value=repr(connections)[:40]))
    return Wanted(key, connections, timeout)


def outcome_of(receipt: Receipt, error: DeliveryError | None, check: bool) -> Receipt:
    """``receipt`` where somebody was accepted, or ``check`` is off; otherwise its error is raised."""
    if check and receipt.outcome is not Outcome.ACCEPTED:
        raise delivery_error(_why(receipt), receipt) from error.__cause__ if error else None
    return receipt


def _why(receipt: Receipt) -> Problem:
    """The problem to raise: the message's own, or the first recipient's with the message's outcome."""
    outcome = receipt.outcome
    for found in (receipt.problem, *(row.problem for row in receipt.recipients if row.outcome is outcome)):
        if found is not None:
            return found
    return problem("TRANSPORT-CRASHED", outcome=outcome, transport=receipt.transport, error="no reason given")
