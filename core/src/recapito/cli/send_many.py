"""``recapito send-many``: a list of messages, what became of each, and how to go on where it was cut short."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from recapito.cli.command import command, option
from recapito.cli.exits import Exit, exit_for_outcome
from recapito.cli.failures import problem_lines
from recapito.cli.many_before import Left, what_is_left
from recapito.cli.many_list import Fault, Letter, check, read_list
from recapito.cli.many_watch import watching
from recapito.cli.progress import progress
from recapito.cli.run import Run, pass_run
from recapito.cli.scope import of_one_profile
from recapito.cli.shapes import outcome_words, problem_data, receipt_data
from recapito.cli.values import Seconds, path_of
from recapito.cli.words import N_, _, ngettext
from recapito.outcome import Outcome

if TYPE_CHECKING:
    from recapito.limits import Limits
    from recapito.message import Item
    from recapito.problem import Problem
    from recapito.profile import ProfileKey
    from recapito.receipt import Receipt

__all__ = ["send_many"]


@command(
    N_(
        "Send many messages. LIST is a CSV file with one message a row (columns to, cc, bcc, subject, text, html, "
        "attach, reference; several addresses or files in one cell are divided by a semicolon), or a folder of .eml "
        "files. Everything is checked before anything leaves. A second run sends only what was not accepted, and "
        "never what is unknown unless it is told to."
    )
)
@of_one_profile
@click.argument("list", metavar="LIST")
@option("--connections", type=click.IntRange(1, 50), metavar="N", text=N_("At most so many connections."))
@option("--again", is_flag=True, text=N_("Send also what is unknown from an earlier run."))
@option("--dry-run", is_flag=True, text=N_("Only check, and say what would be sent and how long it takes."))
@option("--timeout", type=Seconds(), metavar="SECONDS", text=N_("Time for all of it."))
@pass_run
def send_many(
    run: Run,
    operator: str,
    profile: str,
    company: str | None,
    list: str,  # noqa: A002 - the argument's name in the help
    connections: int | None,
    again: bool,
    dry_run: bool,
    timeout: float | None,
) -> int:
    """Check the list, send what is left of it, and say what became of each; returns the exit code."""
    key = run.key(operator, profile, company)
    letters = read_list(path_of(list))
    limits = run.mailer().limits(operator, profile=profile, company=key.company)
    if faults := _checked(run, key, letters):
        return _refuse(run, faults)
    left = what_is_left(run.store(), key, letters, again=again)
    for line in _plan(left, limits):
        run.output.note(line)
    if dry_run:
        if run.output.as_json:
            run.output.json(_summary(Counter(), left, limits, sent=False))
        return Exit.DONE
    return _Sending(run, key, left, limits).send(connections, timeout)


def _checked(run: Run, key: "ProfileKey", letters: list[Letter]) -> list[Fault]:
    found = run.store().get(key)
    assert found is not None  # limits() has just raised otherwise
    faults: list[Fault] = []
    with progress(run.output, _("Checking")) as step:
        for start in range(0, len(letters), 100):
            faults += check(letters[start : start + 100], found.profile)
            step(min(start + 100, len(letters)), len(letters))
    return faults


def _refuse(run: Run, faults: list[Fault]) -> int:
    """Name all of them: who mends a list wants to do it once."""
    for fault in faults:
        if run.output.as_json:
            run.output.json({"place": fault.place, "problem": problem_data(fault.problem)})
        else:
            first, *rest = problem_lines(fault.problem)
            run.output.complain(run.output.mark("bad", f"{fault.place}: {first}", on_error=True))
            for line in rest:
                run.output.complain(f"  {line}")
    run.output.complain(_("Nothing was sent."))
    return Exit.REFUSED


def _plan(left: Left, limits: "Limits") -> Iterator[str]:
    """What is about to happen, and how long limits make it take."""
    people = sum(len(to) for _letter, to in left.send)
    number = len(left.send)
    yield ngettext("{count} message to send", "{count} messages to send", number).format(
        count=number
    ) + ngettext(", to {count} recipient", ", to {count} recipients", people).format(count=people)
    if left.accepted:
        yield ngettext(
            "{count} was accepted before, and is not sent again",
            "{count} were accepted before, and are not sent again",
            len(left.accepted),
        ).format(count=len(left.accepted))
    for letter, to in left.unknown:
        yield _("unknown from an earlier run, not sent: {place}, {address} (--again sends it)").format(
            place=letter.place, address=", ".join(to)
        )
    for letter, to in left.under_way:
        yield _("on its way in another run, not sent: {place}, {address}").format(
            place=letter.place, address=", ".join(to)
        )
    if seconds := limits.seconds_for(number, people):
        yield _("The mailbox's limits make it take at least {time}.").format(time=_duration(seconds))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return _("{hours} h {minutes} min").format(hours=hours, minutes=minutes)
    return _("{minutes} min").format(minutes=minutes) if minutes else _("{seconds} s").format(seconds=rest)


class _Sending:
    """The sending itself: receipts as they come, and what is told of them at the end."""

    def __init__(self, run: Run, key: "ProfileKey", left: Left, limits: "Limits") -> None:
        self._run = run
        self._key = key
        self._left = left
        self._limits = limits
        self._counts: Counter[str] = Counter()
        self._bad: list[tuple[Letter, Receipt]] = []

    def send(self, connections: int | None, timeout: float | None) -> int:
        """Send what is left; the exit code."""
        key = self._key
        mailer = self._run.mailer()
        batch = mailer.send_many(
            key.operator,
            self._items(),
            profile=key.name,
            company=key.company,
            connections=connections,
            timeout=timeout,
        )
        interrupted = False
        with watching(self._run.output, batch, len(self._left.send)):
            try:
                for (letter, _to), receipt in zip(self._left.send, batch, strict=False):
                    self._keep(letter, receipt)
            except KeyboardInterrupt:
                interrupted = True
            finally:
                batch.close()
        return self._end(interrupted=interrupted)

    def _items(self) -> "Iterator[Item]":
        from recapito.message import Item

        for letter, to in self._left.send:
            whole = to == letter.recipients
            yield Item(letter.message(), letter.reference, None if whole else to)

    def _keep(self, letter: Letter, receipt: "Receipt") -> None:
        self._counts[receipt.outcome.value] += 1
        if self._run.output.as_json:
            self._run.output.json({"place": letter.place, **receipt_data(receipt)})
        if receipt.problem is not None or receipt.outcome is not Outcome.ACCEPTED:
            self._bad.append((letter, receipt))

    def _end(self, *, interrupted: bool) -> int:
        output = self._run.output
        if output.as_json:
            output.json(_summary(self._counts, self._left, self._limits, sent=True))
        else:
            for line in self._told():
                output.say(line)
            output.say(self._sum())
        if interrupted:
            output.note(_("Interrupted. The same command goes on where it stopped."))
            return Exit.INTERRUPTED
        return _exit(self._counts, self._left)

    def _told(self) -> Iterator[str]:
        """Each message that not everybody was accepted for, then the problems, each once."""
        words = outcome_words()
        problems: list[Problem] = []
        for letter, receipt in self._bad:
            for row in receipt.recipients:
                if row.outcome is Outcome.ACCEPTED:
                    continue
                yield self._run.output.mark(
                    "bad", f"{words[row.outcome.value]}: {letter.place}, {row.address}"
                )
                if row.problem is not None and row.problem.code not in [each.code for each in problems]:
                    problems.append(row.problem)
        for problem in problems:
            yield from (f"  {line}" for line in problem_lines(problem))

    def _sum(self) -> str:
        words = outcome_words()
        parts = [f"{words[name]}: {self._counts[name]}" for name in words if self._counts[name]]
        if self._left.accepted:
            parts.append(_("accepted before: {count}").format(count=len(self._left.accepted)))
        not_repeated = len(self._left.unknown) + len(self._left.under_way)
        if not_repeated:
            parts.append(_("not repeated: {count}").format(count=not_repeated))
        return " · ".join(parts) or _("nothing to send")


def _summary(counts: Counter[str], left: Left, limits: "Limits", *, sent: bool) -> dict[str, Any]:
    people = sum(len(to) for _letter, to in left.send)
    return {
        "summary": {
            "messages": len(left.send),
            "recipients": people,
            "sent": sent,
            **{outcome.value: counts[outcome.value] for outcome in Outcome},
            "accepted_before": len(left.accepted),
            "unknown_before": [letter.place for letter, _to in left.unknown],
            "under_way": [letter.place for letter, _to in left.under_way],
            "limits_seconds": limits.seconds_for(len(left.send), people),
        }
    }


def _exit(counts: Counter[str], left: Left) -> int:
    if counts["unknown"] or left.unknown:
        return Exit.UNKNOWN
    others = [outcome for outcome in Outcome if outcome is not Outcome.ACCEPTED and counts[outcome.value]]
    if not others and not left.under_way:
        return Exit.DONE
    some = counts["accepted"] or left.accepted or left.under_way
    return Exit.PARTLY if some or len(others) > 1 else exit_for_outcome(others[0])
