"""Progress of ``send-many`` while receipts are waited for: how many, how quick, and which limit holds it up."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def watching(output: Output, batch: "Batch", total: int) -> Iterator[None]:
    """Show how far ``batch`` has come, until the block ends; the block itself may wait for hours."""
    over = threading.Event()
    with progress(output, _("Sending")) as step:
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
        if now.waiting_until is not None and now.waiting_until != told:
            told = now.waiting_until
            rate = now.done / max(time.monotonic() - began, _EVERY) * 60
            output.note(
                _(
                    "{done} of {total}, {rate} a minute; waiting until {moment} for the mailbox's limit"
                ).format(
                    done=now.done, total=total, rate=decimal(rate), moment=f"{told.astimezone():%H:%M:%S}"
                )
            )
