"""``recapito keys``: the keys that encrypt stored secrets."""

from recapito.cli.command import Group
from recapito.cli.progress import progress
from recapito.cli.run import Run, pass_run
from recapito.cli.words import N_, _, ngettext

__all__ = ["keys"]

keys = Group("keys", help=N_("Keys that encrypt the stored secrets."))


@keys.command(help=N_("Add a key. It only decrypts until “keys rotate” makes it the writing key."))
@pass_run
def new(run: Run) -> None:
    """Add a key and print its id."""
    from recapito.store import keys as store_keys

    added = store_keys.keys_new()
    run.output.data({"key": added}, _("Added key {key}. Next: recapito keys rotate").format(key=added))


@keys.command(help=N_("Make the newest key the writing key, and encrypt every secret with it again."))
@pass_run
def rotate(run: Run) -> None:
    """Rotate, with progress, while other processes run."""
    store = run.store()
    with progress(run.output, _("Encrypting again")) as step:
        count = store.keys_rotate(progress=step)
    run.output.data(
        {"rewritten": count},
        ngettext(
            "{count} secret was encrypted again.", "{count} secrets were encrypted again.", count
        ).format(count=count),
    )
