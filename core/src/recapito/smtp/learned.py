"""Servers that offer to take commands in one flight, and then answer them out of order: nothing of any profile.

Known to this process for an hour, so that one bad answer does not slow a server down for good.
"""

from time import monotonic

__all__ = ["forget", "is_confused", "remember"]

#: Seconds for which a server is told one command at a time.
_HOLDS = 3600.0
#: Servers remembered at once; the oldest goes.
_MOST = 256

_confused: dict[tuple[str, int], float] = {}


def remember(host: str, port: int) -> None:
    """``host`` did not understand a flight of commands."""
    if len(_confused) >= _MOST:
        _confused.pop(next(iter(_confused)), None)
    _confused[host, port] = monotonic() + _HOLDS


def is_confused(host: str, port: int) -> bool:
    """Whether it is to be told one command at a time."""
    until = _confused.get((host, port))
    return until is not None and monotonic() < until


def forget() -> None:
    """Begin anew, for tests."""
    _confused.clear()
