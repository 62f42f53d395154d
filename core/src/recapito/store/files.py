"""The SQLite file itself: made for its owner only, on a disk where write-ahead logging works."""

import os
import sqlite3
import time
from pathlib import Path

from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.store import driver
from recapito.store.faults import explained
from recapito.store.location import data_folder
from recapito.store.where import Where
from recapito.texts import Phrase

__all__ = ["file_system_in", "find_file", "make_private_folder", "use_wal"]

# SQLite's write-ahead log needs memory shared by all who use it, which no network file system gives.
_NETWORK = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "fuse.sshfs",
    "fuse.glusterfs",
    "ncpfs",
)


def find_file(where: Where, *, create: bool) -> None:
    """Have a file at ``where``, made with mode 0600 if asked; Misconfigured (STORE-…) otherwise."""
    assert where.path is not None
    if create:
        _make(where.path)
    elif not where.path.exists():
        if not where.path.parent.is_dir():
            raise _no_folder(where.path.parent, Phrase("There is no such folder."))
        raise Misconfigured(problem("STORE-MISSING", database=where.shown))
    _refuse_network(where)


def make_private_folder(folder: Path) -> None:
    """Have ``folder``; those that are missing are made with mode 0700. Raises OSError."""
    for each in (*reversed(folder.parents), folder):
        if not each.is_dir():
            each.mkdir(mode=0o700, exist_ok=True)


def _make(path: Path) -> None:
    try:
        if path.parent == data_folder():
            make_private_folder(path.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except PermissionError:
        if not path.exists():
            raise _no_folder(path.parent, Phrase("This user may not write there.")) from None
    except OSError as exc:
        raise _no_folder(path.parent, exc.strerror or str(exc)) from exc


def use_wal(where: Where) -> None:
    """Have the file in WAL mode, which it keeps. Raises Misconfigured (STORE-NO-WAL) where it cannot be had."""
    fault = None
    try:
        connection = driver.connect(where)
        try:
            mode = _wal_mode(connection, where.patience)
        finally:
            connection.close()
    except sqlite3.Error as exc:
        fault = explained(exc, where)
    if fault is not None:
        raise fault
    if mode != "wal":
        raise _unsafe(
            where,
            Phrase(
                "SQLite keeps its journal mode at {mode}: it cannot use write-ahead logging there.", mode=mode
            ),
        )


def _wal_mode(connection: driver.Connection, patience: float) -> str:
    # The switch does not wait for others as statements do: several processes may begin at once.
    until = time.monotonic() + patience
    while True:
        try:
            return str(connection.execute("pragma journal_mode=wal").fetchone()[0])
        except sqlite3.OperationalError as exc:
            if not exc.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > until:
                raise
            time.sleep(0.01)


def _refuse_network(where: Where) -> None:
    assert where.path is not None
    kind = _file_system(where.path)
    if kind.startswith(_NETWORK):
        said = Phrase("It is on a network file system ({kind}), which SQLite cannot share safely.", kind=kind)
        raise _unsafe(where, said)


def _file_system(path: Path) -> str:
    """The type of the file system, where the system tells (Linux); empty elsewhere."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return file_system_in(mounts, path.resolve())


def file_system_in(mounts: str, path: Path) -> str:
    """The type of the file system that ``path`` is on, by what Linux says in ``mountinfo``."""
    best, found = -1, ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4].replace("\\040", " ")
        if len(point) >= best and path.is_relative_to(point):
            best, found = len(point), right.split(" ")[0]
    return found


def _no_folder(folder: Path, reason: str) -> Misconfigured:
    return Misconfigured(problem("STORE-FOLDER", folder=folder, reason=reason))


def _unsafe(where: Where, reason: str) -> Misconfigured:
    return Misconfigured(problem("STORE-NO-WAL", database=where.shown, reason=reason))
