"""``recapito profile export``: the CSV file that ``import`` takes back, without secrets."""

import csv
import io
import re
from typing import TYPE_CHECKING, Any

import click

from recapito.cli.command import command, option
from recapito.cli.csv_columns import FIELDS, heading
from recapito.cli.run import Run, pass_run
from recapito.cli.values import path_of
from recapito.cli.words import N_, ngettext

if TYPE_CHECKING:
    from recapito.profile import Profile

__all__ = ["export"]

# A spreadsheet takes a cell that begins so for a formula, and runs it (CWE-1236).
_FORMULA = re.compile(r"\A'*[=+\-@\t\r]")


@command(N_("Write all profiles as CSV, without secrets. “profile import” takes it back."))
@click.argument("file", default="-")
@option("--company", metavar="NAME", text=N_("Only this company's."))
@option(
    "--separator",
    type=click.Choice([";", ","]),
    default=";",
    text=N_("Between cells; Italian spreadsheets expect ;"),
)
@pass_run
def export(run: Run, file: str, company: str | None, separator: str) -> None:
    """Write ``file``, or standard output for ``-``; ``--json`` prints JSON lines with the same names."""
    profiles = [row.profile for row in run.store().profiles(company)]
    records = [_record(profile) for profile in profiles]
    own = [name for name in FIELDS if name != "password"]
    names = [*own, *sorted({name for record in records for name in record} - set(own))]
    if run.output.as_json:
        for record in records:
            run.output.json({name: record.get(name) for name in names})
        return
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\r\n")
    writer.writerow(map(heading, names))
    writer.writerows([_cell(record.get(name)) for name in names] for record in records)
    if file == "-":
        run.output.raw(text.getvalue().replace("\r\n", "\n"))
        return
    try:
        # With the mark, spreadsheets read the accents right.
        path_of(file).write_bytes(text.getvalue().encode("utf-8-sig"))
    except OSError as exc:
        raise click.BadParameter(f"{file}: {exc.strerror}", param_hint="FILE") from exc
    run.output.note(
        ngettext(
            "{count} profile was written to {file}.", "{count} profiles were written to {file}.", len(records)
        ).format(count=len(records), file=file)
    )


def _record(profile: "Profile") -> dict[str, Any]:
    return {
        **profile.settings,
        "company": profile.key.company,
        "operator": profile.key.operator,
        "profile": profile.key.name,
        "sender": profile.sender,
        "sender_name": profile.sender_name,
        "aliases": " ".join(profile.aliases),
        "reply_to": profile.reply_to,
        "transport": profile.transport,
    }


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if _FORMULA.match(text) else text
