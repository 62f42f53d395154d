"""What happens around a fork: everything open falls quiet before it, and the child opens its own."""

import os
import threading
import weakref
from typing import Protocol

__all__ = ["Forkable", "survive_forks"]


class Forkable(Protocol):
    """What must not be inherited in the middle of something."""

    def before_fork(self) -> None:
        """Called in the thread that forks."""
        ...

    def after_in_parent(self) -> None:
        """Called once the child exists."""
        ...

    def after_in_child(self) -> None:
        """Called in the child, which has this one thread."""
        ...


_everything: "weakref.WeakSet[Forkable]" = weakref.WeakSet()
_forking = threading.Lock()


def survive_forks(thing: Forkable) -> None:
    """Call the methods of ``thing`` around each fork of this process, for as long as it lives."""
    _everything.add(thing)


def _before() -> None:
    _forking.acquire()
    for thing in tuple(_everything):
        thing.before_fork()


def _after_in_parent() -> None:
    for thing in tuple(_everything):
        thing.after_in_parent()
    _forking.release()


def _after_in_child() -> None:
    global _forking
    _forking = threading.Lock()
    for thing in tuple(_everything):
        thing.after_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
