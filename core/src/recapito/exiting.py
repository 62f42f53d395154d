"""What is still open when the interpreter exits: one deadline for all of it, whatever it is."""

import atexit
from collections.abc import Callable
from time import monotonic

__all__ = ["SECONDS", "at_exit"]

#: Seconds that an ending process gives everything together.
SECONDS = 5.0

_first: list[Callable[[float], None]] = []
_last: list[Callable[[float], None]] = []


def at_exit(close: Callable[[float], None], *, last: bool = False) -> None:
    """Have ``close(ends)`` called at exit, to be done by ``ends`` (``time.monotonic``).

    ``last``: after those that write to it. A ``close`` that raises does not keep the others from theirs.
    """
    (_last if last else _first).append(close)


def _exit() -> None:
    import logging

    ends = monotonic() + SECONDS
    for close in (*_first, *_last):
        try:
            close(ends)
        except Exception:
            logging.getLogger("recapito").exception("closing at exit failed")


atexit.register(_exit)
