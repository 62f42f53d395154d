"""What a forked child must not do: use, or end, the parent's connections.

Theory: after ``fork`` parent and child hold the same open sockets. A byte that the child writes, a TLS goodbye
among them, lands in the parent's conversation. So the child lays ``/dev/null`` over each inherited descriptor
(``dup2``): that closes it here without a byte, the parent's stays open, and whatever still believes in the old
number later, a finaliser say, writes into nothing and closes nothing else.
"""

import os
import weakref
from collections.abc import Iterable
from typing import Protocol

from recapito.transport import Abandoning

__all__ = ["abandon", "close_quietly", "forget_in_children"]


class _Forgetful(Protocol):
    def _after_fork(self) -> None: ...


_living: "weakref.WeakSet[_Forgetful]" = weakref.WeakSet()

# Kept for ever in a child: finalising the parent's loops, tasks and sockets would warn, or talk to servers.
_abandoned: list[object] = []


def forget_in_children(owner: "_Forgetful") -> None:
    """Have ``owner._after_fork()`` called in every child that is forked while ``owner`` lives."""
    _living.add(owner)


def abandon(engine: object, sessions: Iterable[object]) -> None:
    """Keep ``engine`` from being finalised, and close its sessions' descriptors without a word."""
    _abandoned.append(engine)
    for session in sessions:
        if isinstance(session, Abandoning):
            session.abandon()


def close_quietly(descriptors: Iterable[int]) -> None:
    """Close inherited descriptors without writing to what they stand for; their numbers stay taken."""
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        for descriptor in descriptors:
            if descriptor >= 0:
                os.dup2(nothing, descriptor)
    finally:
        os.close(nothing)


def _in_child() -> None:
    for owner in tuple(_living):
        owner._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
