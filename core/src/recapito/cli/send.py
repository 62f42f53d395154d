"""``recapito send``: one message, and what became of it."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recapito.cli.command import command, option
from recapito.cli.exits import exit_for_receipt
from recapito.cli.failures import problem_lines
from recapito.cli.run import Run, Sending, pass_run
from recapito.cli.scope import of_one_profile
from recapito.cli.shapes import outcome_words, paused_lines, receipt_data
from recapito.cli.values import Seconds, path_of
from recapito.cli.words import N_, _, decimal

if TYPE_CHECKING:
    from recapito.cli.output import Output
    from recapito.errors import InvalidMessage
    from recapito.message import AnyMessage, Message
    from recapito.problem import Problem
    from recapito.receipt import Receipt

__all__ = ["receipt_lines", "send"]


@command(N_("Send one message. Exit code: 0 accepted, 4 held, 5 not sent, 6 refused, 7 partly, 8 unknown."))
@of_one_profile
@option("--to", multiple=True, metavar="ADDRESS", text=N_("A recipient; may be repeated."))
@option("--cc", multiple=True, metavar="ADDRESS", text=N_("A recipient of a copy."))
@option("--bcc", multiple=True, metavar="ADDRESS", text=N_("A recipient whom the others do not see."))
@option("--subject", text=N_("The subject."))
@option("--text", text=N_("The text; - reads it from standard input."))
@option("--html", metavar="FILE", text=N_("A file with the text in HTML."))
@option("--attach", multiple=True, metavar="FILE", text=N_("A file that goes with it."))
@option(
    "--from",
    "sender",
    metavar="ADDRESS",
    text=N_("One of the profile's aliases, instead of its own address."),
)
@option("--reply-to", multiple=True, metavar="ADDRESS", text=N_("Where answers go."))
@option(
    "--notify",
    multiple=True,
    type=click.Choice(["success", "failure", "delay"]),
    text=N_("Ask the recipient's server for a report."),
)
@option("--eml", metavar="FILE", text=N_("A ready message (RFC 5322); - reads it from standard input."))
@option("--reference", text=N_("Your own name for this send; receipt and journal keep it."))
@option(
    "--timeout",
    type=Seconds(),
    metavar="SECONDS",
    text=N_("Time for all of it."),
)
@pass_run
def send(
    run: Run,
    /,
    operator: str,
    profile: str,
    company: str | None,
    to: tuple[str, ...],
    eml: str | None,
    reference: str | None,
    timeout: float | None,
    **written: Any,
) -> int:
    """Send one message and print its receipt; returns the exit code."""
    key = run.key(operator, profile, company)
    run.sending = Sending((*to, *written["cc"], *written["bcc"]), reference)
    message = _ready(eml, written) if eml else _composed(to, written)
    mailer = run.mailer()
    began = datetime.now(UTC)
    run.sending.handed_over = True
    receipt = mailer.send(
        operator,
        message,
        profile=profile,
        company=key.company,
        reference=reference,
        timeout=timeout if timeout is not None else run.config["timeout"],
        check=False,
        to=(to or None) if eml else None,
    )
    run.sending.code = exit_for_receipt(receipt)
    lines = receipt_lines(receipt, run.output)
    if receipt.outcome == "held" and not run.output.as_json:
        from recapito.signing.standing import standing

        stands = standing(run.store(), run.plugins, key)
        wants = stands is not None and stands.wants_sign_in
        lines += paused_lines(key, run.store().state(key), began, wants_sign_in=wants)
    run.output.data(receipt_data(receipt), lines)
    return run.sending.code


def receipt_lines(receipt: "Receipt", output: "Output") -> list[str]:
    """A receipt for a person: each recipient after a mark and a word, then the problems, each once."""
    words = outcome_words()
    lines = []
    for row in receipt.recipients:
        kind = "good" if row.outcome == "accepted" else "bad"
        said = f"  {' '.join(row.reply.splitlines())}" if row.reply else ""
        lines.append(output.mark(kind, f"{words[row.outcome.value]}: {row.address}{said}"))
    told: list[Problem] = []
    for problem in (receipt.problem, *(row.problem for row in receipt.recipients)):
        if problem is not None and problem not in told:
            told.append(problem)
            lines += [f"  {line}" for line in problem_lines(problem)]
    lines.append(
        _("Message-ID {id}, {seconds} s").format(id=receipt.message_id, seconds=decimal(receipt.seconds))
    )
    return lines


def _composed(to: tuple[str, ...], written: dict[str, Any]) -> "Message":
    from recapito.envelope import Notify
    from recapito.message import Attachment, Message

    text, html = written["text"], written["html"]
    return Message(
        to=to,
        cc=written["cc"],
        bcc=written["bcc"],
        subject=written["subject"] or "",
        text=_read_text("-", "--text") if text == "-" else text,
        html=_read_text(html, "--html") if html else None,
        attachments=[Attachment(path_of(file), filename=Path(file).name) for file in written["attach"]],
        sender=written["sender"],
        reply_to=written["reply_to"],
        notify=frozenset(map(Notify, written["notify"])),
    )


def _ready(eml: str, written: dict[str, Any]) -> "AnyMessage":
    for name, value in written.items():
        if value:
            given = {"sender": "--from", "reply_to": "--reply-to"}.get(name, f"--{name}")
            raise click.UsageError(
                _("{option} cannot go with --eml: the message is finished. --to says who it goes to.").format(
                    option=given
                )
            )
    return _read(eml, "--eml")


def _read(file: str, option: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return path_of(file).read_bytes()
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise _unreadable(option, file, reason) from exc


def _read_text(file: str, option: str) -> str:
    try:
        return _read(file, option).decode()
    except UnicodeDecodeError as exc:
        raise _unreadable(option, file, _("is not UTF-8 text")) from exc


def _unreadable(option: str, file: str, reason: object) -> "InvalidMessage":
    """As for an attachment that is not there: the message cannot be sent as it is."""
    from recapito.catalogue import problem
    from recapito.errors import InvalidMessage

    return InvalidMessage(problem("CLI-FILE", option=option, file=file, reason=reason))
