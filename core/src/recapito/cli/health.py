"""``recapito health``: renew every sign-in before it dies, and find those that are dead."""

from typing import TYPE_CHECKING, Any

import click

from recapito.cli.about import about
from recapito.cli.command import command, option
from recapito.cli.exits import Exit, exit_for_outcome
from recapito.cli.failures import problem_lines
from recapito.cli.run import Run, pass_run
from recapito.cli.scope import company_option
from recapito.cli.shapes import problem_data
from recapito.cli.words import N_, _

if TYPE_CHECKING:
    from recapito.health import Checked

__all__ = ["health"]


@command(N_("Renew the sign-ins, and find dead ones before an invoice does. Run it every day."))
@click.argument("operator", required=False)
@company_option
@option("--all", "everything", is_flag=True, text=N_("Those too that were renewed less than 20 hours ago."))
@pass_run
def health(run: Run, operator: str | None, company: str | None, everything: bool) -> int:
    """A line for each as it is known; the exit code says whether a person is needed."""
    named = None if company is None and operator is None else run.company(company)
    found: list[Checked] = []
    for each in run.mailer().health(company=named, operator=operator, everything=everything):
        found.append(each)
        about.set(each.key)
        if run.output.as_json:
            run.output.json(_data(each))
        else:
            _say(run, each)
    if not found:
        run.output.note(_("Nobody is signed in."))
    return _exit(found)


def _exit(found: "list[Checked]") -> int:
    """DONE where all is well; one kind of trouble as such, PARTLY where others are well."""
    failed = [each.problem for each in found if each.problem is not None]
    if not failed:
        return Exit.DONE
    if len(failed) < len(found):
        return Exit.PARTLY if not any(problem.pauses for problem in failed) else Exit.HELD
    codes = {exit_for_outcome(problem.outcome) for problem in failed}
    return Exit.HELD if Exit.HELD in codes else codes.pop()


def _data(each: "Checked") -> dict[str, Any]:
    return {
        "company": each.key.company,
        "operator": each.key.operator,
        "profile": each.key.name,
        "account": each.account or None,
        "ok": each.problem is None,
        "renewed": each.renewed,
        "next_check": each.next_check.isoformat(),
        "problem": problem_data(each.problem),
    }


def _say(run: Run, each: "Checked") -> None:
    output = run.output
    who = each.account or _("the application itself")
    if each.problem is None:
        word = _("renewed") if each.renewed else _("still fresh")
        moment = f"{each.next_check.astimezone():%Y-%m-%d %H:%M}"
        text = _("{profile}: {word} ({account}), next check {moment}").format(
            profile=each.key, word=word, account=who, moment=moment
        )
        output.say(output.mark("good", text))
        return
    first, *rest = problem_lines(each.problem)
    output.say(output.mark("bad", f"{each.key}: {first}"))
    for line in rest:
        output.say(f"  {line}")
