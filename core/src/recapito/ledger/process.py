"""Which process wrote a row, and whether it is still there: one that is gone will not finish what it began."""

import os
import socket
from functools import cache
from hashlib import sha256
from pathlib import Path

__all__ = ["has_gone", "this_process"]

_PROC = Path("/proc")


def this_process() -> str:
    """This process: machine, number, and when it started (numbers are used again)."""
    pid = os.getpid()
    return f"{_machine()}/{pid}/{_started(pid) or ''}"


def has_gone(process: str) -> bool:
    """Whether it surely runs no more. False also where this cannot be told: on another machine, say."""
    machine, _, rest = process.partition("/")
    number, _, started = rest.partition("/")
    if machine != _machine() or not number.isdigit():
        return False
    if started:
        return _started(int(number)) != started
    return os.name == "posix" and not _exists(int(number))


@cache
def _machine() -> str:
    """One boot of one machine, and in it one space of process numbers (a container's)."""
    parts = [socket.gethostname()]
    for path in (_PROC / "sys/kernel/random/boot_id", _PROC / "self/ns/pid"):
        try:
            parts.append(str(path.readlink()) if path.is_symlink() else path.read_text().strip())
        except OSError:
            continue
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def _started(pid: int) -> str | None:
    """When a process started, in the kernel's count; None without /proc, or where there is no such process."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(") ")[2].split()
    # A zombie has ended, and only waits for its parent to ask.
    return None if fields[0] in {"Z", "X"} else fields[19]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
