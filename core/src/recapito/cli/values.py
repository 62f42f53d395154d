"""What was typed: seconds, paths, and ``--set FIELD=VALUE``, without secrets and with files read at once."""

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from recapito.cli.words import _

__all__ = ["Seconds", "path_of", "read_values"]

#: A certificate file with a whole bundle of authorities has some 250 kB.
_LARGEST_FILE = 1_000_000


class Seconds(click.FloatRange):
    """A time in seconds: more than 0, and a number."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds. Raises BadParameter for ``nan`` and ``inf`` too, which no clock reaches."""
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(_("{text} is not a number of seconds.").format(text=value), param, ctx)
        return seconds


def path_of(typed: str) -> Path:
    """The path that was typed, as this locale's file system calls it: arguments are UTF-8 in every locale."""
    try:
        os.fsencode(typed)
    except UnicodeEncodeError:
        return Path(os.fsdecode(typed.encode()))
    return Path(typed)


def read_values(
    assignments: Iterable[str], *, known: frozenset[str], secret: frozenset[str]
) -> dict[str, str | None]:
    """The settings by name; None takes one out. A secret field is refused: arguments are seen by everybody.

    ``NAME_file=PATH`` is the file's text for the field ``NAME``, where the transport has no field ``NAME_file``.
    """
    values: dict[str, str | None] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise click.BadParameter(_("{text!r} is not FIELD=VALUE").format(text=name), param_hint="--set")
        from_file = name.endswith("_file") and name not in known and name.removesuffix("_file") in known
        field = name.removesuffix("_file") if from_file else name
        if field in secret:
            instead = "--password-stdin" if field == "password" else f"--secret-stdin {field}"
            raise click.BadParameter(
                _(
                    "{field} is a secret and no argument, which everybody on this machine can read. Use {option}."
                ).format(field=field, option=instead),
                param_hint="--set",
            )
        values[field] = (_file(value) if from_file else value) if value else None
    return values


def _file(path: str) -> str:
    try:
        if path_of(path).stat().st_size > _LARGEST_FILE:
            raise click.BadParameter(_("{path} is too large").format(path=path), param_hint="--set")
        return path_of(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else _("is not a PEM text")
        raise click.BadParameter(f"{path}: {reason}", param_hint="--set") from exc
