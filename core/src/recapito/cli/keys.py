"""``recapito keys``: the keys that encrypt stored secrets."""

import os
from typing import TYPE_CHECKING

import click

from recapito.cli.command import Group, option
from recapito.cli.progress import progress
from recapito.cli.run import Run, pass_run
from recapito.cli.values import path_of
from recapito.cli.words import N_, _, ngettext

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recapito.secret import Secret
    from recapito.store.rotation import Rotated

__all__ = ["keys"]

keys = Group("keys", help=N_("Keys that encrypt the stored secrets."))


@keys.command(help=N_("Add a key. It only decrypts until “keys rotate” makes it the writing key."))
@option(
    "--to",
    metavar="FILE",
    text=N_("Where RECAPITO_KEYS holds the keys: write its new value to this new file."),
)
@pass_run
def new(run: Run, to: str | None) -> None:
    """Add a key and print its id, never the key."""
    from recapito.store.keys import EnvironmentKeys, key_source, keys_new

    if isinstance(key_source(), EnvironmentKeys) and to is None:
        raise click.UsageError(
            _("The keys are in RECAPITO_KEYS: name a new file with --to for its new value.")
        )
    added = keys_new()
    if added.deploy is None:
        run.output.data(
            {"key": added, "file": None}, _("Added key {key}. Next: recapito keys rotate").format(key=added)
        )
        return
    _write(to or "", added.deploy)
    text = _(
        "{file} holds the new value of RECAPITO_KEYS, in which the new key only decrypts. Start every process "
        "with it; then, with it too: recapito keys rotate"
    )
    run.output.data({"key": added, "file": to}, text.format(file=to))


def _write(file: str, keys: "Secret") -> None:
    """A new file that only its owner may read, from its first byte."""
    try:
        with os.fdopen(os.open(path_of(file), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(keys.reveal() + "\n")
    except OSError as exc:
        raise click.BadParameter(f"{file}: {exc.strerror}", param_hint="--to") from exc


@keys.command(help=N_("Make the newest key the writing key, and encrypt every secret with it again."))
@option(
    "--leave-lost",
    is_flag=True,
    text=N_("Leave the secrets of a key that is lost for good as they are; they must be typed again."),
)
@pass_run
def rotate(run: Run, leave_lost: bool) -> None:
    """Rotate, with progress, while other processes run."""
    store = run.store()
    with progress(run.output, _("Encrypting again")) as step:
        done = store.keys_rotate(progress=step, by=run.by, leave_lost=leave_lost)
    data = {"rewritten": int(done), "key": done.key, "changed": done.changed, "lost": done.lost}
    run.output.data(data, _rotated(done))


def _rotated(done: "Rotated") -> "Iterator[str]":
    if done.changed or done:
        yield ngettext(
            "{count} secret was encrypted again.", "{count} secrets were encrypted again.", done
        ).format(count=int(done))
    else:
        yield _("{key} is the newest key and writes already; nothing was changed.").format(key=done.key)
    if done.lost:
        yield ngettext(
            "{count} secret cannot be read, and must be typed again.",
            "{count} secrets cannot be read, and must be typed again.",
            done.lost,
        ).format(count=done.lost)
