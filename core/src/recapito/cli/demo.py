"""``recapito demo``: watch it work."""

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import click

from recapito.cli.command import command, option
from recapito.cli.exits import Exit
from recapito.cli.failures import problem_lines
from recapito.cli.output import Output, table, wants_colour
from recapito.cli.run import Run, pass_run
from recapito.cli.shapes import outcome_words, problem_data, receipt_data
from recapito.cli.values import path_of
from recapito.cli.words import N_, _, decimal

if TYPE_CHECKING:
    from recapito.demo.performance import Performance, Played, Revoked

__all__ = ["demo"]

#: How the ways are called in the table.
_WAYS = {"ssl": "SMTP, ssl", "starttls": "SMTP, starttls", "google": "Google", "microsoft": "Microsoft"}


@command(
    N_(
        "Watch it work, on this machine alone: mail servers and stand-ins for Google and Microsoft start, five "
        "operators of two companies send an invoice through their own mailbox, two of them signed in and one with a "
        "wrong password, and what arrived is compared with what was sent. Then a permission is taken back."
    )
)
@option(
    "--folder",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    text=N_("Where to leave invoices and messages."),
)
@pass_run
def demo(run: Run, folder: str | None) -> int:
    """Play the demo and show what became of it; returns the exit code."""
    show = _played(_told(run.output), folder)
    if run.output.as_json:
        run.output.json(_data(show))
    else:
        for line in _lines(show, run.output):
            run.output.say(line)
    return Exit.DONE if show.as_expected else Exit.FAILED


def _played(tell: Callable[[str], None], folder: str | None) -> "Performance":
    from recapito.catalogue import problem
    from recapito.cli.extras import install_command
    from recapito.errors import Misconfigured

    try:
        import aiosmtpd  # noqa: F401 - looked for by its name, so that the right extra can be named
        import fpdf  # noqa: F401
        import h11  # noqa: F401
        import trustme  # noqa: F401

        from recapito.demo.stage import perform
    except ModuleNotFoundError as exc:
        raise Misconfigured(
            problem("EXTRA-MISSING", module=exc.name or "?", extra="demo", command=install_command("demo"))
        ) from exc
    return perform(tell, _folder(folder) if folder else None)


def _folder(named: str) -> Path:
    """The folder, made where it is not there, and tried: a usage error where nothing can be written in it."""
    where = path_of(named)
    try:
        where.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=where):
            return where
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise click.BadParameter(f"{named}: {reason}", param_hint="--folder") from exc


def _told(output: Output) -> Callable[[str], None]:
    words = {
        "servers": _(
            "Starting two mail servers, a stand-in for Google and one for Microsoft, all on this machine…"
        ),
        "profiles": _("Making five profiles in a store of their own…"),
        "signing-in": _("Two operators sign in, one with Google and one with Microsoft…"),
        "sending": _("Each operator sends an invoice through their own mailbox…"),
        "revoked": _("One of them takes the permission back, and sends again…"),
    }
    return lambda act: output.note(words[act])


def _lines(show: "Performance", output: Output) -> list[str]:
    lines = _table(show.played, output)
    for each in show.played:
        lines += _explained(each)
    if show.revoked is not None:
        lines += _revoked_lines(show.revoked, output)
    identical = sum(bool(each.same_bytes and each.same_pdf) for each in show.played)
    lines.append("")
    text = _("{identical} of {arrived} messages arrived byte for byte as they were sent, each PDF intact.")
    kind = "good" if show.as_expected else "bad"
    lines.append(output.mark(kind, text.format(identical=identical, arrived=len(show.arrived))))
    lines.append(_("Messages (.eml), invoices (.pdf) and the store: {folder}").format(folder=show.folder))
    lines.append(_("Done in {seconds} s. Nothing left this machine.").format(seconds=decimal(show.seconds)))
    return lines


def _table(played: "list[Played]", output: Output) -> list[str]:
    headings = [_("operator"), _("server"), _("outcome"), _("the server's words"), _("time")]
    rows = [_cells(each, output) for each in played]
    return _rich_table(headings, rows, output) or table([headings, *rows])


def _explained(each: "Played") -> list[str]:
    if each.receipt.problem is None:
        return []
    lines = problem_lines(each.receipt.problem)
    return ["", f"{each.actor.name} <{each.actor.address}>", *(f"  {line}" for line in lines)]


def _revoked_lines(revoked: "Revoked", output: Output) -> list[str]:
    """The last act: what the first send found, that the second bothers nobody, and that a new sign-in mends it."""
    name, ended = revoked.found.actor.name, revoked.again.receipt.outcome.value
    counted = _(
        "Sent once more: {outcome}. Notices to a person so far: {notices}; questions to the vendor: {requests}."
    )
    return [
        "",
        _("{name} takes the permission back, and sends again: {outcome}.").format(
            name=name, outcome=outcome_words()[revoked.found.receipt.outcome.value]
        ),
        *_explained(revoked.found)[2:],
        counted.format(
            outcome=outcome_words()[revoked.known.receipt.outcome.value],
            notices=revoked.notices,
            requests=revoked.requests,
        ),
        output.mark(
            "good" if ended == "accepted" else "bad",
            _("Signed in again, and sent: {outcome}.").format(outcome=outcome_words()[ended]),
        ),
    ]


def _cells(each: "Played", output: Output) -> list[str]:
    outcome = each.receipt.outcome.value
    mark = output.sign("good" if outcome == "accepted" else "bad")
    reply = each.receipt.server_reply or (each.receipt.problem.reply if each.receipt.problem else "") or ""
    return [
        f"{each.actor.id} ({each.actor.company.id})",
        _WAYS[each.actor.way],
        f"{mark} {outcome_words()[outcome]}",
        textwrap.shorten(reply, 44, placeholder=" …") or "-",
        f"{each.receipt.seconds * 1000:.0f} ms",
    ]


def _rich_table(headings: list[str], rows: list[list[str]], output: Output) -> list[str]:
    """The table drawn by rich, where it is installed and the encoding has its lines; else nothing."""
    try:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table
    except ModuleNotFoundError:
        return []
    colour = wants_colour(output.color, sys.stdout)
    drawn = Table(*headings, header_style="bold", box=SIMPLE_HEAD)
    for row in rows:
        style = "green" if row[2].startswith(output.sign("good")) else "red"
        drawn.add_row(*map(escape, row[:2]), f"[{style}]{row[2]}[/{style}]", *map(escape, row[3:]))
    console = Console(force_terminal=colour, no_color=not colour, safe_box=True, file=sys.stdout)
    with console.capture() as captured:
        console.print(drawn)
    return [line.rstrip() for line in captured.get().splitlines() if line.strip()]


def _data(show: "Performance") -> dict[str, Any]:
    return {
        "ok": show.as_expected,
        "folder": str(show.folder),
        "servers": [
            {
                "name": name,
                "host": server.partition(":")[0],
                "port": int(server.partition(":")[2]),
                "security": "https" if name in ("google", "microsoft") else name,
            }
            for name, server in show.servers.items()
        ],
        "sign_ins": [
            {
                "company": each.key.company,
                "operator": each.key.operator,
                "account": each.account,
                "scopes": sorted(each.scopes),
            }
            for each in show.signed_in
        ],
        "sends": [_send(each) for each in show.played],
        "revoked": show.revoked and _revoked(show.revoked),
        "seconds": round(show.seconds, 3),
    }


def _send(each: "Played") -> dict[str, Any]:
    return {
        "company": each.actor.company.id,
        "operator": each.actor.id,
        "sender": each.actor.address,
        "transport": each.receipt.transport,
        "security": each.actor.security,
        "file": str(each.file) if each.file else None,
        "same_bytes": each.same_bytes,
        "same_pdf": each.same_pdf,
        **receipt_data(each.receipt),
    }


def _revoked(revoked: "Revoked") -> dict[str, Any]:
    """The last act: the outcomes of its three sends, the problem, and how often anybody was asked."""
    actor = revoked.found.actor
    return {
        "company": actor.company.id,
        "operator": actor.id,
        "problem": problem_data(revoked.found.receipt.problem),
        "outcomes": [each.receipt.outcome.value for each in (revoked.found, revoked.known, revoked.again)],
        "notices": revoked.notices,
        "requests": revoked.requests,
    }
