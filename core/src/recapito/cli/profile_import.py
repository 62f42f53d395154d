"""``recapito profile import``: many profiles from a CSV file, seen before they are saved, all or nothing."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from recapito.cli.command import command, option
from recapito.cli.csv_file import CsvProblem, Table, read_table
from recapito.cli.exits import Exit
from recapito.cli.progress import progress
from recapito.cli.run import Run, pass_run
from recapito.cli.scope import company_option
from recapito.cli.values import path_of
from recapito.cli.words import N_, _, ngettext

if TYPE_CHECKING:
    from recapito.cli.csv_plan import Plan

__all__ = ["import_"]


@command(
    N_(
        "Make or change many profiles from a CSV file. Separator and encoding are found out; headings are Italian "
        "or English (operatore;email;nome;server;porta;sicurezza;utente;password, and azienda, profilo, trasporto "
        "or any setting of a transport). Shows first what it would do; an error anywhere saves nothing."
    )
)
@click.argument("file")
@company_option
@option("--apply", "apply_", is_flag=True, text=N_("Save without asking."))
@option("--dry-run", is_flag=True, text=N_("Only show what it would do."))
@pass_run
def import_(run: Run, file: str, company: str | None, apply_: bool, dry_run: bool) -> int:
    """Show the plan of ``file``, and save it where that is wanted; returns the exit code."""
    from recapito.cli.csv_plan import make_plan

    table = _table(file)
    operators = run.operators(create=True)
    with progress(run.output, _("Checking rows")) as step:
        plan = make_plan(
            table,
            store=run.store(create=True),
            operators=operators,
            plugins=run.plugins,
            company=run.company(company),
            step=step,
        )
    _show_plan(run, plan)
    applied = not plan.mistakes and not dry_run and _wanted(run, plan, apply_=apply_)
    if applied:
        operators.save_all([(row.key, row.changes) for row in plan.rows], by=run.by)
    if run.output.as_json:
        run.output.json(_data(file, table, plan, applied=applied))
    run.output.note(_summary(plan, applied=applied))
    return Exit.FAILED if plan.mistakes else Exit.DONE


def _table(file: str) -> Table:
    try:
        content = sys.stdin.buffer.read() if file == "-" else path_of(file).read_bytes()
        return read_table(content)
    except OSError as exc:
        raise click.BadParameter(f"{file}: {exc.strerror}", param_hint="FILE") from exc
    except CsvProblem as exc:
        raise click.BadParameter(f"{file}: {exc}", param_hint="FILE") from exc


def _wanted(run: Run, plan: "Plan", *, apply_: bool) -> bool:
    if apply_ or run.flags.get("yes"):
        return True
    changes = plan.count("create") + plan.count("change")
    return (
        bool(changes)
        and run.may_ask
        and run.confirm(
            ngettext("Save {count} profile?", "Save {count} profiles?", changes).format(count=changes)
        )
    )


def _show_plan(run: Run, plan: "Plan") -> None:
    if run.output.as_json:
        return
    words = {"create": _("create"), "change": _("change"), "unchanged": _("unchanged")}
    rows = [_row(planned) | {"action": words[planned.action]} for planned in plan.rows]
    columns = [
        ("line", _("line")),
        ("action", _("action")),
        ("key", _("profile")),
        ("sender", _("sender")),
        ("transport", _("transport")),
        ("server", _("server")),
        ("password", _("password")),
    ]
    run.output.rows(rows, columns)
    for text in _mistakes(plan):
        run.output.complain(run.output.mark("bad", text, on_error=True))


def _mistakes(plan: "Plan") -> Iterator[str]:
    for mistake in plan.mistakes:
        where = _("line {line}, {column}") if mistake.column else _("line {line}")
        yield f"{where.format(line=mistake.line, column=mistake.column)}: {mistake.reason}"


def _row(planned: Any) -> dict[str, Any]:
    profile, secrets = planned.found.profile, planned.found.secrets
    settings = profile.settings
    server = f"{settings['host']}:{settings.get('port', '')}".rstrip(":") if settings.get("host") else ""
    return {
        "line": planned.line,
        "action": planned.action,
        "key": str(profile.key),
        "company": profile.key.company,
        "operator": profile.key.operator,
        "profile": profile.key.name,
        "sender": profile.sender,
        "transport": profile.transport,
        "server": server,
        "password": bool(secrets),
    }


def _summary(plan: "Plan", *, applied: bool) -> str:
    counts = {name: plan.count(name) for name in ("create", "change", "unchanged")}
    if plan.mistakes:
        return ngettext(
            "{errors} error; nothing was saved.", "{errors} errors; nothing was saved.", len(plan.mistakes)
        ).format(errors=len(plan.mistakes))
    if applied:
        return _("Saved: {create} made, {change} changed, {unchanged} unchanged.").format(**counts)
    return _(
        "{create} to make, {change} to change, {unchanged} unchanged. Nothing was saved; --apply saves."
    ).format(**counts)


def _data(file: str, table: Table, plan: "Plan", *, applied: bool) -> dict[str, Any]:
    rows = []
    for planned in plan.rows:
        row = _row(planned)
        del row["key"]
        rows.append(row)
    return {
        "file": file,
        "encoding": table.encoding,
        "separator": table.separator,
        "applied": applied,
        "create": plan.count("create"),
        "change": plan.count("change"),
        "unchanged": plan.count("unchanged"),
        "rows": rows,
        "errors": [
            {"line": mistake.line, "column": mistake.column or None, "reason": mistake.reason}
            for mistake in plan.mistakes
        ],
    }
