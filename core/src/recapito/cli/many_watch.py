"""Progress of ``send-many`` while receipts are waited for: how many, how quick, and which limit holds it up."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from recapito.cli.output import Output
from recapito.cli.progress import progress
from recapito.cli.words import _, decimal

if TYPE_CHECKING:
    from datetime import datetime

    from recapito.many import Batch

__all__ = ["watching"]

#: Seconds between two looks.
_EVERY = 0.25
#: A limit that lets messages go one by one is told of again when it holds up the next by so much more.
_FURTHER = timedelta(seconds=10)


@contextmanager
def watching(output: Output, batch: "Batch", total: int) -> Iterator[None]:
    """Show how far ``batch`` has come, until the block ends; the block itself may wait for hours."""
    over = threading.Event()
    began = time.monotonic()

    def shown() -> str:
        return _("Sending, {rate} a minute").format(rate=decimal(_rate(batch.progress.done, began), 0))

    with progress(output, _("Sending"), shown) as step:
        watcher = threading.Thread(
            target=_watch, args=(output, batch, total, step, over), name="recapito-watch", daemon=True
        )
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
            step(batch.progress.done, total)


def _watch(
    output: Output, batch: "Batch", total: int, step: Callable[[int, int], None], over: threading.Event
) -> None:
    began = time.monotonic()
    told: datetime | None = None
    while not over.wait(_EVERY):
        now = batch.progress
        step(now.done, total)
        if (until := now.waiting_until) is not None and (told is None or until > told + _FURTHER):
            told = until
            rate = _rate(now.done, began)
            output.note(
                _(
                    "{done} of {total}, {rate} a minute; waiting until {moment} for the mailbox's limit"
                ).format(
                    done=now.done, total=total, rate=decimal(rate), moment=f"{told.astimezone():%H:%M:%S}"
                )
            )


def _rate(done: int, began: float) -> float:
    """Messages a minute until now."""
    return done / max(time.monotonic() - began, _EVERY) * 60
