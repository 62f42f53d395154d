"""``recapito db``: the store's tables."""

from recapito.cli.command import Group
from recapito.cli.run import Run, pass_run
from recapito.cli.words import N_, _

__all__ = ["db"]

db = Group("db", help=N_("The store's tables."))


@db.command(
    help=N_("Make the tables, or bring them to this version. Safe to run twice, and while others run.")
)
@pass_run
def upgrade(run: Run) -> None:
    """Upgrade the store that the configuration names; one that does not exist yet is made."""
    store = run.store(create=True, upgrade=True)
    run.output.data({"database": store.url}, _("{url} is up to date.").format(url=store.url))
