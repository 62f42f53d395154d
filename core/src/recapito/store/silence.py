"""A server that takes a statement and then says nothing: psycopg alone would wait for it without end."""

from collections.abc import Callable, Generator
from functools import cache
from time import monotonic
from typing import Any

__all__ = ["connection_class", "is_silence"]


@cache
def connection_class() -> Any:
    """psycopg's connection, whose ``silence`` is how many seconds the server may say nothing; None: for ever.

    ``within(seconds, …)`` connects with that. After it the connection is closed, and OperationalError raised: what
    was asked for may have been done, or not.
    """
    import psycopg

    class Connection(psycopg.Connection[Any]):
        silence: float | None = None

        @classmethod
        def within(cls, seconds: float, *args: Any, **named: Any) -> Any:
            made = cls.connect(*args, **named)
            made.silence = seconds
            return made

        def wait(self, gen: Any, *args: Any, **named: Any) -> Any:
            if self.silence is not None:
                gen = _bounded(gen, self.silence, self.close)
            return super().wait(gen, *args, **named)

    return Connection


def is_silence(error: object) -> bool:
    """Whether it was raised since a server said nothing: asking it again would only wait again."""
    return getattr(error, "was_silent", False)


def _bounded(gen: Any, seconds: float, close: Callable[[], None]) -> Generator[Any, int, Any]:
    until = monotonic() + seconds
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted  # nothing is ready: psycopg looks up ten times a second
            if ready:
                until = monotonic() + seconds
            elif monotonic() > until:
                close()
                raise _silence(seconds)
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value


def _silence(seconds: float) -> Exception:
    import psycopg

    error = psycopg.OperationalError(f"the server said nothing for {seconds:g} seconds")
    error.was_silent = True  # type: ignore[attr-defined]
    return error
