"""The process's three streams where one of them is missing, or takes no more."""

import io
import os
import sys

__all__ = ["discard_output", "open_streams"]


def open_streams() -> None:
    """Open each stream that the process was started without on the null device, which is no terminal."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        # The lowest free descriptor is the missing one: no database is opened as standard output.
        descriptor = os.open(os.devnull, os.O_RDWR)
        mode = "w" if number else "r"
        setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def discard_output() -> None:
    """Let standard output end nowhere, so that what it still holds is no error when the process ends."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError, io.UnsupportedOperation):  # replaced by something that is no file
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
