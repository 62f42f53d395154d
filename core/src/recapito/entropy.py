"""Random octets, fetched from the system many at a time: each message needs some, and a call to the system for each
costs more than all else that an id needs."""

import os
import threading

__all__ = ["random_hex"]

#: Octets fetched at once.
_FETCHED = 4096

_lock = threading.Lock()
_octets = b""
_used = 0


def random_hex(size: int) -> str:
    """``size`` random octets (at most 64) that nobody else gets, as hexadecimal digits."""
    global _octets, _used
    with _lock:
        if _used + size > len(_octets):
            _octets, _used = os.urandom(_FETCHED), 0
        start, _used = _used, _used + size
        return _octets[start : start + size].hex()


def _forget() -> None:
    """In a forked child: what is left belongs to the parent."""
    global _octets, _used, _lock
    _octets, _used, _lock = b"", 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
