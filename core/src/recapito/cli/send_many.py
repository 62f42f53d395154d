"""``recapito send-many``: a list of messages, what became of each, and how to go on where it was cut short."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from recapito.cli.command import command, option
from recapito.cli.exits import Exit, exit_for_outcome
from recapito.cli.failures import problem_lines
from recapito.cli.many_before import Left, what_is_left
from recapito.cli.many_list import Fault, Letter, check, read_list
from recapito.cli.many_plan import plan_lines
from recapito.cli.many_watch import watching
from recapito.cli.progress import progress
from recapito.cli.run import Run, pass_run
from recapito.cli.scope import of_one_profile
from recapito.cli.shapes import outcome_words, problem_data, receipt_data
from recapito.cli.values import Seconds, path_of
from recapito.cli.words import N_, _
from recapito.errors import RecapitoError
from recapito.outcome import Outcome

if TYPE_CHECKING:
    from recapito.limits import Limits
    from recapito.many import Progress
    from recapito.message import Item
    from recapito.problem import Problem
    from recapito.profile import Profile, ProfileKey
    from recapito.receipt import Receipt

__all__ = ["send_many"]


@command(
    N_(
        "Send many messages. LIST is a CSV file with one message a row (columns to, cc, bcc, subject, text, html, "
        "attach, reference; several addresses or files in one cell are divided by a semicolon), or a folder of .eml "
        "files. Everything is checked before anything leaves. A second run sends only what was not accepted, what was "
        "refused too, and never what is unknown unless it is told to. A message is known again by its reference; "
        "without one, by what its row or file says."
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
    found = run.store().get(key)
    assert found is not None  # limits() has just raised otherwise
    if faults := _checked(run, found.profile, limits, letters):
        return _refuse(run, faults)
    left = what_is_left(run.store(), key, letters, again=again)
    for line in plan_lines(left, found.profile, limits):
        run.output.note(line)
    if dry_run:
        if run.output.as_json:
            run.output.json(_summary(Counter(), left, limits, sent=False))
        return Exit.DONE
    return _Sending(run, key, left, limits).send(connections, timeout)


def _checked(run: Run, profile: "Profile", limits: "Limits", letters: list[Letter]) -> list[Fault]:
    faults: list[Fault] = []
    with progress(run.output, _("Checking")) as step:
        for start in range(0, len(letters), 100):
            faults += check(letters[start : start + 100], profile, limits)
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
        self._run.sending.handed_over = True
        interrupted, failure = False, None
        with watching(self._run.output, batch, len(self._left.send)):
            try:
                for (letter, _to), receipt in zip(self._left.send, batch, strict=False):
                    self._keep(letter, receipt)
            except KeyboardInterrupt:
                interrupted = True
            except RecapitoError as exc:
                failure = exc
            finally:
                batch.close()
        if interrupted or failure:
            self._count_rest(batch.progress)
        if failure and not self._bad and not self._counts["accepted"]:
            raise failure
        code = self._end(interrupted=interrupted, failed=failure is not None)
        if failure:  # what became of the others is told before it
            raise failure
        return code

    def _count_rest(self, progress: "Progress") -> None:
        """Those that were on their way when it ended are in the progress; the others did not begin."""
        for outcome in Outcome:
            self._counts[outcome.value] = getattr(progress, outcome.value)
        left = len(self._left.send) - self._counts.total()
        self._counts[Outcome.NOT_SENT.value] += left

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

    def _end(self, *, interrupted: bool, failed: bool) -> int:
        output = self._run.output
        code = Exit.INTERRUPTED if interrupted else _exit(self._counts, self._left, partly=bool(self._bad))
        if not failed:
            self._run.sending.code = code
        if output.as_json:
            output.json(_summary(self._counts, self._left, self._limits, sent=True))
        else:
            for line in self._told():
                output.say(line)
            output.say(self._sum())
        if interrupted:
            output.note(_("Interrupted. The same command goes on where it stopped."))
        return code

    def _told(self) -> Iterator[str]:
        """Each message that not everybody was accepted for, then the problems, each once."""
        words = outcome_words()
        problems: dict[str, Problem] = {}
        for letter, receipt in self._bad:
            for row in receipt.recipients:
                if row.outcome is not Outcome.ACCEPTED:
                    said = f"  {' '.join(row.reply.splitlines())}" if row.reply else ""
                    text = f"{words[row.outcome.value]}: {letter.place}, {row.address}{said}"
                    yield self._run.output.mark("bad", text)
                self._learn(row.problem, problems)
            self._learn(receipt.problem, problems)
        for problem in problems.values():
            # The server's own words stand at the recipient: they differ where the problem is the same.
            yield from (f"  {line}" for line in problem_lines(replace(problem, reply=None)))

    @staticmethod
    def _learn(problem: "Problem | None", problems: "dict[str, Problem]") -> None:
        if problem is not None:
            problems.setdefault(problem.code, problem)

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


def _exit(counts: Counter[str], left: Left, *, partly: bool) -> int:
    if counts["unknown"] or left.unknown:
        return Exit.UNKNOWN
    others = [outcome for outcome in Outcome if outcome is not Outcome.ACCEPTED and counts[outcome.value]]
    if not others and not left.under_way:
        return Exit.PARTLY if partly else Exit.DONE
    some = counts["accepted"] or left.accepted or left.under_way
    return Exit.PARTLY if some or len(others) > 1 else exit_for_outcome(others[0])
