"""Sending from ordinary code: the same mailer on an event loop of its own."""

import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from recapito.caller_thread import CallerThread
from recapito.catalogue import problem
from recapito.checking import Trial
from recapito.errors import Misconfigured, NotSent
from recapito.exiting import at_exit
from recapito.forking import abandon, forget_in_children
from recapito.limits import Limits
from recapito.mailer import AsyncMailer, check_timeout, key_of, many_of, outcome_of
from recapito.message import AnyMessage, Item
from recapito.private_loop import LoopEnded, PrivateLoop
from recapito.profile import Found, Operator, ProfileSource
from recapito.receipt import Receipt
from recapito.secret import Secrets
from recapito.sending import Order, Sending
from recapito.transport import CheckStep, TransportInfo

if TYPE_CHECKING:
    from recapito.health import Checked
    from recapito.many import Batch
    from recapito.operators import Changes
    from recapito.plugins import Plugins
    from recapito.signing import Begun, SignedIn
    from recapito.sources import ProfileDict
    from recapito.store import Store

__all__ = ["Mailer"]

T = TypeVar("T")

_living: "weakref.WeakSet[Mailer]" = weakref.WeakSet()


class Mailer:
    """Sends messages of many operators, each through their own profile; safe from any thread.

    The arguments are those of :class:`recapito.mailer.AsyncMailer`. Its event loop starts at first use; hooks run
    in the thread that called. A forked child may use it: it starts afresh there. Sessions stay open between
    messages: keep one mailer, and :meth:`close` it at the end (``with``). What is still open when the interpreter
    exits is closed then, in 5 s or less.
    """

    #: What does the work; a subclass may name one with other patience.
    kind: type[AsyncMailer] = AsyncMailer

    _mailer: AsyncMailer
    _lock: threading.Lock
    _loop: PrivateLoop | None
    _stop: "weakref.finalize[[float], Mailer] | None"
    _closed: bool

    def __init__(
        self,
        profiles: "Store | ProfileSource | ProfileDict",
        *,
        store: "Store | None" = None,
        hooks: Iterable[object] = (),
        transports: Iterable[TransportInfo] = (),
    ) -> None:
        self._start(self.kind(profiles, store=store, hooks=hooks, transports=transports))

    @classmethod
    def open(cls, url: str | None = None, *, hooks: Iterable[object] = ()) -> Self:
        """A mailer on the store at ``url``, on that of ``RECAPITO_DATABASE``, or on the user's own.

        Raises Misconfigured, naming the variable, where there is none: it makes no empty store.
        """
        mailer = cls.__new__(cls)
        mailer._start(cls.kind.open(url, hooks=hooks))
        return mailer

    @property
    def plugins(self) -> "Plugins":
        """What is installed, and its faults."""
        return self._mailer.plugins

    def send(
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

        Hooks run in this thread, and Python cannot interrupt them: one that takes longer than ``timeout`` holds
        the call until it returns (with AsyncMailer it does not). Ctrl-C cancels the send and comes out as
        KeyboardInterrupt; where the message had been taken by then, its receipt is in the journal all the same.
        """
        key = key_of(operator, profile, company)
        check_timeout(timeout)
        order = Order(key, message, reference, timeout, None if to is None else tuple(to))
        caller = CallerThread()
        sendings: list[Sending] = []

        async def run() -> Receipt:
            sendings.append(self._mailer._sending(order, caller))
            return await sendings[0].run()

        try:
            receipt = caller.wait(self._running().submit(run))
        except LoopEnded as exc:
            if not sendings:
                raise Misconfigured(problem("MAILER-CLOSED")) from None
            receipt = sendings[0].lost(over=exc.over)
        return outcome_of(receipt, sendings[0].error, check)

    def send_many(
        self,
        operator: str | Operator,
        messages: "Iterable[AnyMessage | Item]",
        *,
        profile: str = "default",
        company: str = "",
        connections: int | None = None,
        timeout: float | None = None,
    ) -> "Batch":
        """Send ``messages``, each with a receipt of its own, in their order; see :class:`recapito.many.Batch`.

        **It never raises for one message**: bad input gives a *refused* receipt. :class:`recapito.message.Item` gives
        a message its reference. Messages are read as they are needed (about 200 ahead), sent on at most
        ``connections`` sessions (5, or what the mailbox allows), and wait for its limits however long that takes.
        Where three in a row meet no server the rest is *not sent*. ``timeout`` bounds all of it, in seconds.

        ``messages`` are read, and hooks run, in this thread, while it asks for the next receipt.
        """
        from recapito.many import AsyncBatch, Batch
        from recapito.many.feed import CallerFeed

        wanted, caller = many_of(key_of(operator, profile, company), connections, timeout), CallerThread()
        patience = self._mailer.patience.close
        batch = AsyncBatch(lambda: self._mailer._run(wanted, CallerFeed(messages, caller), caller), patience)
        return Batch(batch, caller, self._running, patience)

    def limits(self, operator: str | Operator, *, profile: str = "default", company: str = "") -> Limits:
        """What the profile's mailbox may send now.

        As :meth:`recapito.mailer.AsyncMailer.limits`.
        """
        key = key_of(operator, profile, company)
        return self._call(lambda _: self._mailer._limits(key))

    def check(
        self,
        operator: str | Operator,
        *,
        profile: str = "default",
        company: str = "",
        send_to: str | None = None,
        draft: Found | None = None,
        timeout: float | None = None,
    ) -> Iterator[CheckStep]:
        """Try a profile step by step, through the same code as a send, ending at the first problem.

        With ``send_to`` a message is sent there; without it nothing is. ``draft`` is a profile that is not saved.
        A saved profile that was paused by its sign-in, and now signs in, runs again. Raises NotSent where no
        permit came, or ``timeout`` seconds were not enough.
        """
        check_timeout(timeout)
        trial = Trial(key_of(operator, profile, company), send_to, draft, timeout)

        async def run(caller: CallerThread) -> None:
            async for step in self._mailer._checking(trial, caller).steps():
                caller.hand_over(step)

        yield from self._each(run)

    def begin_sign_in(
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

        As :meth:`recapito.mailer.AsyncMailer.begin_sign_in`.
        """
        from recapito.signing import Wish

        key = key_of(operator, profile, company)
        wish, session = (
            Wish(key, kind, redirect_uri, session, by, changes),
            "",
        )  # it may be a cookie of the host's
        return self._call(lambda caller: self._mailer._begin(wish, caller))

    def finish_sign_in(
        self,
        operator: str | Operator,
        query: Mapping[str, str],
        *,
        company: str = "",
        session: str = "",
        by: str = "",
    ) -> "SignedIn | Begun":
        """Finish it with the whole ``query`` of the redirect; for other kinds ``{"state": begun.state}``.

        As :meth:`recapito.mailer.AsyncMailer.finish_sign_in`.
        """
        from recapito.signing import Answer

        key, hidden = key_of(operator, "default", company), Secrets(query)
        answer = Answer(key.company, key.operator, hidden, session, by)
        query, session = {}, ""  # a traceback that shows locals must not show the code
        return self._call(lambda caller: self._mailer._finish(answer, caller))

    def sign_out(
        self, operator: str | Operator, *, profile: str = "default", company: str = "", by: str = ""
    ) -> bool:
        """Give the profile's grant back at the vendor, and forget it; True where there was one.

        As :meth:`recapito.mailer.AsyncMailer.sign_out`.
        """
        key = key_of(operator, profile, company)
        return self._call(lambda caller: self._mailer._sign_out(key, by, caller))

    def health(
        self, *, company: str | None = None, operator: str | None = None, everything: bool = False
    ) -> "Iterator[Checked]":
        """Renew the grants that were not renewed for 20 hours (``everything``: all), one after the other.

        As :meth:`recapito.mailer.AsyncMailer.health`.
        """
        from recapito.health import Scan

        scan = Scan(company, operator, everything)

        async def run(caller: CallerThread) -> None:
            async for found in self._mailer._health(scan, caller).checked():
                caller.hand_over(found)

        yield from self._each(run)

    def _call(self, make: Callable[[CallerThread], Coroutine[Any, Any, T]]) -> T:
        """The result of what ``make`` makes, while this thread calls the hooks."""
        caller = CallerThread()
        try:
            return caller.wait(self._running().submit(lambda: make(caller)))
        except LoopEnded:
            raise NotSent(problem("MAILER-CLOSED")) from None

    def _each(self, make: Callable[[CallerThread], Coroutine[Any, Any, None]]) -> Iterator[Any]:
        """What it hands over, one after the other; otherwise as :meth:`_call`."""
        caller = CallerThread()
        try:
            yield from caller.attend(self._running().submit(lambda: make(caller)))
        except LoopEnded:
            raise NotSent(problem("MAILER-CLOSED")) from None

    def close(self, timeout: float = 5.0) -> None:
        """Close sessions, journal and, if :meth:`open` opened it, the store; within ``timeout`` seconds.

        Sends of other threads end at once, with NotSent or, where content may have left, UnknownOutcome.
        """
        ends = monotonic() + timeout
        with self._lock:
            loop, self._loop, self._closed = self._loop, None, True
        if loop is None:
            self._mailer._close_unused()
            return
        with suppress(LoopEnded):
            wait([loop.submit(lambda: self._mailer.close(timeout))], timeout)
        if self._stop is not None:
            self._stop.detach()
        loop.stop(max(0.1, ends - monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, mailer: AsyncMailer) -> None:
        self._mailer = mailer
        self._lock = threading.Lock()
        self._loop = self._stop = None
        self._closed = False
        _living.add(self)
        forget_in_children(self)

    def _running(self) -> PrivateLoop:
        with self._lock:
            if self._closed:
                raise Misconfigured(problem("MAILER-CLOSED"))
            if self._loop is None:
                self._loop = PrivateLoop()
                # A mailer that nobody closed: at least its thread ends with it.
                self._stop = weakref.finalize(self, self._loop.stop, 0.0)
                self._stop.atexit = False
            return self._loop

    def _after_fork(self) -> None:
        """In a forked child: a new loop at the next use; the parent's is left alone, its descriptors are closed."""
        self._lock = threading.Lock()
        loop, self._loop = self._loop, None
        if self._stop is not None:
            self._stop.detach()
        if loop is not None:
            loop.abandon()
            abandon(loop, ())


def _close_all(ends: float) -> None:
    """At the interpreter's exit: all mailers at once, so that the bound holds however many there are."""
    left = ends - monotonic()
    threads = [threading.Thread(target=mailer.close, args=(left,), daemon=True) for mailer in tuple(_living)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends - monotonic()))


at_exit(_close_all)
