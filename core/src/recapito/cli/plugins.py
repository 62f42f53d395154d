"""``recapito plugins``: what is installed, and what is wrong with it."""

from recapito.cli.command import Group
from recapito.cli.run import Run, pass_run
from recapito.cli.words import N_, _

__all__ = ["plugins"]

plugins = Group("plugins", help=N_("Installed plugins and what is wrong with them."))


@plugins.command("list", help=N_("All installed plugins: state, transports, hooks, faults."))
@pass_run
def list_(run: Run) -> None:
    """Print the plugins; a fault is told on standard error as well."""
    found = run.plugins
    reasons = {(fault.plugin, fault.distribution): fault.reason for fault in found.faults}
    states = {"on": _("on"), "off": _("off"), "fault": _("fault")}
    rows = [
        {
            "name": each.name,
            "distribution": each.distribution,
            "version": each.version,
            "state": each.state,
            "transports": list(each.transports),
            "hooks": list(each.hooks),
            "fault": reasons.pop((each.name, each.distribution), None),
        }
        for each in found.installed
    ]
    shown = rows if run.output.as_json else [row | {"state": states[str(row["state"])]} for row in rows]
    columns = [
        ("name", _("plugin")),
        ("distribution", _("package")),
        ("version", _("version")),
        ("state", _("state")),
        ("transports", _("transports")),
    ]
    run.output.rows(shown, columns)
    for row in rows:
        if row["fault"]:
            run.output.complain(run.output.mark("bad", f"{row['name']}: {row['fault']}", on_error=True))
    for (name, _distribution), reason in reasons.items():
        run.output.complain(run.output.mark("bad", f"{name}: {reason}", on_error=True))
