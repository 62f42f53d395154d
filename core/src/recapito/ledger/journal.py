"""Direct sends, written down before and after: a crash between the two leaves *unknown*, and not nothing."""

import logging
import queue
import threading
import weakref
from collections import deque
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select

from recapito.errors import Misconfigured
from recapito.exiting import at_exit
from recapito.ledger.entry import JournalEntry, JournalRow, intent_values, outcome_values, row_of, time_prefix
from recapito.ledger.writer import GroupWriter
from recapito.receipt import Receipt
from recapito.store import schema
from recapito.store.fork import survive_forks
from recapito.store.names import storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection, Select

    from recapito.profile import ProfileKey
    from recapito.store import Store

__all__ = ["Journal", "JournalEntry", "JournalRow"]

log = logging.getLogger("recapito.journal")

#: The most intents in one transaction.
GROUP = 100
#: Seconds after which an outcome is written at the latest, though no other send comes.
_WINDOW = 0.1
#: Seconds without work after which the thread sleeps until it is called.
_QUIET = 1.0
#: Outcomes that are kept for a database that takes none; beyond it the oldest are lost (and read as unknown).
_KEPT = 10_000
#: Seconds between two tries to write outcomes that a database did not take.
_RETRY = 1.0
#: References in one query: a database takes only so many parameters.
_ASKED = 500
#: Rows deleted in one transaction.
_PRUNED = 500

_table = schema.journal.c

_Outcome = tuple[Any, ...]
_Intent = tuple[list[tuple[Any, ...]], "Future[None]"]


class _Stop:
    """Asks the thread to write what it has, and end."""


class Journal:
    """The journal of one store. Any thread may use it; after a fork the child has its own thread.

    One thread writes: sends that come together share one commit.
    """

    def __init__(self, store: "Store") -> None:
        self._database = store.database
        self._lock = threading.Lock()
        self._begin_anew()
        survive_forks(self)
        _all.add(self)

    def _begin_anew(self) -> None:
        self._writer = GroupWriter(self._database)
        self._queue: queue.SimpleQueue[_Intent | Future[None] | _Stop | None] = queue.SimpleQueue()
        self._outcomes: deque[_Outcome] = deque(maxlen=_KEPT)
        self._rows: dict[str, str] = {}
        self._thread: threading.Thread | None = None
        self._idle = False
        self._retry_at = 0.0
        # Outcomes that the thread has taken, and that the database has not taken yet.
        self._writing = 0

    def intend(self, entry: JournalEntry) -> "Future[None]":
        """Write down what is about to be sent; the future is done once that cannot be lost.

        Send nothing before it is. It fails with Misconfigured (STORE-…) where the database does not take it.
        A future that is cancelled in time writes nothing.
        """
        return self.intend_many((entry,))

    def intend_many(self, entries: "Sequence[JournalEntry]") -> "Future[None]":
        """The same for several at once: one transaction, and one future for all of them."""
        future: Future[None] = Future()
        process = self._writer.process
        values = [intent_values(entry, process) for entry in entries]
        self._rows.update((entry.id, row[0]) for entry, row in zip(entries, values, strict=True))
        self._queue.put((values, future))
        self._awake()
        return future

    def settle(self, entry_id: str, receipt: Receipt) -> None:
        """Write down what became of it, with the next group or within 100 ms. Nobody waits for it.

        An entry that this object was not told of before is left alone: it is another process's.
        """
        row = self._rows.pop(entry_id, None)
        if row is None:
            return
        if len(self._outcomes) == _KEPT:
            log.error("the journal's database takes no outcomes: the oldest of %d is given up", _KEPT)
        self._outcomes.append(outcome_values(row, receipt))
        # The thread says that it sleeps before it looks for outcomes a last time: one of both sees the other.
        if self._idle or self._thread is None:
            self._queue.put(None)
            self._awake()

    def flush(self, timeout: float = 5.0) -> None:
        """Return once everything said until now is committed. Raises Misconfigured (STORE-…), TimeoutError."""
        if self._thread is None and not self._outcomes:
            return
        done: Future[None] = Future()
        self._queue.put(done)
        self._awake()
        done.result(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Write what is left, within ``timeout`` seconds, and end the thread. It starts again if it is used."""
        thread = self._thread
        if thread is not None:
            self._queue.put(_Stop())
            thread.join(timeout)
            if thread.is_alive() or self._outcomes:
                if unwritten := len(self._outcomes) + self._writing:
                    log.error("%d outcomes could not be written in %.1f s", unwritten, timeout)
                return
        self._writer.close()

    def recent(
        self, key: "ProfileKey | None" = None, reference: str | None = None, limit: int = 20
    ) -> tuple[JournalRow, ...]:
        """The last sends, newest first: of one profile, of one reference, or of all."""
        if self._outcomes:
            self.flush()
        query = select(schema.journal).order_by(_table.id.desc()).limit(limit)
        if key is not None:
            of_key = (_table.company == key.company) & (_table.operator == key.operator)
            query = query.where(of_key & (_table.name == key.name))
        if reference is not None:
            query = query.where(_table.reference == reference)
        rows = self._rows_of(query)
        now = datetime.now(UTC)
        return tuple(row_of(row, now) for row in rows)

    def by_reference(
        self, key: "ProfileKey", references: "Iterable[str]"
    ) -> "dict[str, tuple[JournalRow, ...]]":
        """The sends of a profile by their reference, newest first; a reference without any is left out."""
        if self._outcomes:
            self.flush()
        asked = {storable(reference): reference for reference in references}
        of_key = (
            (_table.company == key.company) & (_table.operator == key.operator) & (_table.name == key.name)
        )
        found: dict[str, list[JournalRow]] = {}
        now = datetime.now(UTC)
        for some in _batches(asked, _ASKED):
            of_some = of_key & _table.reference.in_(some)
            for row in self._rows_of(select(schema.journal).where(of_some).order_by(_table.id.desc())):
                found.setdefault(asked[row.reference], []).append(row_of(row, now))
        return {reference: tuple(rows) for reference, rows in found.items()}

    def _rows_of(self, query: "Select[Any]") -> "Sequence[Any]":
        return self._database.read(lambda connection: connection.execute(query).all())

    def prune(self, older_than: timedelta) -> int:
        """Delete the rows of sends that began longer ago; how many. Others can write between two groups of it."""
        before = time_prefix(datetime.now(UTC) - older_than)
        some = select(_table.id).where(_table.id < before).limit(_PRUNED)
        query = delete(schema.journal).where(_table.id.in_(some))

        def work(connection: "Connection") -> int:
            return connection.execute(query).rowcount

        total = 0
        while gone := self._database.write(work):
            total += gone
        return total

    # The thread

    def _awake(self) -> None:
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="recapito-journal", daemon=True)
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        active = monotonic()
        while True:
            item = self._next(sleep=monotonic() - active > _QUIET)
            intents, waiting, stop = self._collected(item)
            if intents or waiting or stop or (self._outcomes and monotonic() >= self._retry_at):
                active = monotonic()
                self._write(intents, waiting)
            if stop and self._has_ended():
                return

    def _has_ended(self) -> bool:
        """Whether nothing came after the stop; from then on whoever comes starts another thread."""
        with self._lock:
            thread, self._thread = self._thread, None
            if self._queue.empty():
                return True
            self._thread = thread
            return False

    def _next(self, *, sleep: bool) -> Any:
        if sleep:
            self._idle = True
            try:
                if not self._outcomes and (item := self._queue.get()) is not None:
                    return item
            finally:
                self._idle = False
        try:
            # Nobody calls for an outcome while the thread is up: it comes along with the next intent, or now.
            return self._queue.get(timeout=_WINDOW)
        except queue.Empty:
            return None

    def _collected(self, item: Any) -> tuple[list[_Intent], "list[Future[None]]", bool]:
        intents: list[_Intent] = []
        waiting: list[Future[None]] = []
        number = 0
        while True:
            if isinstance(item, _Stop):
                return intents, waiting, True
            if isinstance(item, Future):
                waiting.append(item)
            elif item is not None and item[1].set_running_or_notify_cancel():
                intents.append(item)
                number += len(item[0])
                if number >= GROUP:
                    return intents, waiting, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return intents, waiting, False

    def _write(self, intents: list[_Intent], waiting: "list[Future[None]]") -> None:
        outcomes = [self._outcomes.popleft() for _ in range(len(self._outcomes))]
        self._writing = len(outcomes)
        rows = [row for values, _ in intents for row in values]
        fault = self._tried(rows, outcomes) if rows or outcomes else None
        if fault is not None:
            self._retry_at = monotonic() + _RETRY
            if outcomes:
                log.warning("%d outcomes are not written yet: %s", len(outcomes), fault.problem.code)
                room = max(0, _KEPT - len(self._outcomes))
                self._outcomes.extendleft(reversed(outcomes[len(outcomes) - min(room, len(outcomes)) :]))
        self._writing = 0
        if fault is not None:
            for row in rows:  # there is none that an outcome could be written to
                self._rows.pop(row[0].partition("-")[2], None)
        for future in (*(future for _, future in intents), *waiting):
            if fault is None:
                _finish(future)
            else:
                # One error object each: raising one in several threads would mix their tracebacks.
                _finish(future, Misconfigured(fault.problem))

    def _tried(self, intents: list[tuple[Any, ...]], outcomes: list[_Outcome]) -> Misconfigured | None:
        for again in (True, False):
            try:
                self._writer.write(intents, outcomes)
            except Misconfigured as exc:
                # A server that went away is back, or is not: once more on a new connection.
                if again and exc.problem.code == "STORE-UNREACHABLE":
                    continue
                return exc
            except Exception as exc:
                log.exception("the journal could not be written")
                from recapito.catalogue import problem

                return Misconfigured(
                    problem("STORE-FAILED", database=self._database.where.shown, reason=str(exc))
                )
            else:
                return None
        raise AssertionError("the second try returns")

    # Around a fork

    def before_fork(self) -> None:
        """Nothing: the database waits until the thread's transaction is over."""

    def after_in_parent(self) -> None:
        """Nothing: the thread goes on."""

    def after_in_child(self) -> None:
        """Start with nothing: what was said is the parent's, and so is the thread."""
        self._lock = threading.Lock()
        self._begin_anew()


def _batches(references: "Iterable[str]", size: int) -> "Iterator[list[str]]":
    waiting = iter(references)
    while some := list(islice(waiting, size)):
        yield some


def _finish(future: "Future[None]", error: Exception | None = None) -> None:
    if future.cancelled():  # whoever flushed gave up waiting
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


_all: "weakref.WeakSet[Journal]" = weakref.WeakSet()


def _close_all(ends: float) -> None:
    for journal in tuple(_all):
        journal.close(max(0.0, ends - monotonic()))


at_exit(_close_all, last=True)
