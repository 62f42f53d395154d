"""Where octets come from: memory, or a file that is kept open and watched for changes."""

import os
import stat
import weakref
from typing import Protocol

from recapito.errors import NotSent
from recapito.outcome import Outcome
from recapito.problem import Problem

__all__ = ["BytesSource", "FileSource", "Source", "is_pipe", "is_regular"]


class Source(Protocol):
    """Octets that can be read again and again, from any place, without a position to share."""

    @property
    def size(self) -> int:
        """How many octets there are."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """``length`` octets from ``offset`` (fewer only at the end)."""
        ...

    def close(self) -> None:
        """Release what is held."""
        ...


class BytesSource:
    """Octets in memory."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def size(self) -> int:
        """How many octets there are."""
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        """``length`` octets from ``offset``."""
        return self.data[offset : offset + length]

    def close(self) -> None:
        """Nothing is held."""


class FileSource:
    """A regular file from ``start`` to its end, by a descriptor of its own that closes with the object.

    ``read`` raises NotSent (MSG-CHANGED) as soon as the file is not what it was when it was opened.
    """

    def __init__(self, descriptor: int, name: str, start: int = 0) -> None:
        self._close = weakref.finalize(self, os.close, descriptor)
        self._close.atexit = False
        self._descriptor, self._name, self._start = descriptor, name, start
        status = os.fstat(descriptor)
        self._stamp = (status.st_size, status.st_mtime_ns)
        self.size = max(0, status.st_size - start)

    def read(self, offset: int, length: int) -> bytes:
        """``length`` octets from ``offset``, all of them or NotSent."""
        if not self._close.alive:
            raise self._changed()
        data = _read_at(self._descriptor, length, self._start + offset)
        while data and len(data) < min(length, self.size - offset):
            more = _read_at(self._descriptor, length - len(data), self._start + offset + len(data))
            if not more:
                break
            data += more
        status = os.fstat(self._descriptor)
        if (status.st_size, status.st_mtime_ns) != self._stamp or len(data) < min(length, self.size - offset):
            raise self._changed()
        return data

    def close(self) -> None:
        """Close the descriptor; reading is over then."""
        self._close()

    def _changed(self) -> NotSent:
        return NotSent(Problem("MSG-CHANGED", Outcome.NOT_SENT, params={"file": self._name}))


def is_regular(descriptor: int) -> bool:
    """Whether ``descriptor`` is a file that can be read from any place."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def is_pipe(descriptor: int) -> bool:
    """Whether ``descriptor`` is a pipe: read once, to an end."""
    return stat.S_ISFIFO(os.fstat(descriptor).st_mode)


if hasattr(os, "pread"):

    def _read_at(descriptor: int, length: int, offset: int) -> bytes:
        return os.pread(descriptor, length, offset)

else:
    import threading

    _lock = threading.Lock()

    def _read_at(descriptor: int, length: int, offset: int) -> bytes:
        # Windows has no pread: the position is shared by every reader of this descriptor.
        with _lock:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, length)
