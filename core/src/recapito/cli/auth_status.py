"""``recapito auth status`` and ``logout``."""

from typing import TYPE_CHECKING, Any

import click

from recapito.cli.command import command
from recapito.cli.exits import Exit
from recapito.cli.failures import problem_lines
from recapito.cli.run import Run, pass_run
from recapito.cli.scope import company_option, of_one_profile
from recapito.cli.shapes import problem_data
from recapito.cli.words import N_, _

if TYPE_CHECKING:
    from datetime import datetime

    from recapito.problem import Problem
    from recapito.profile import ProfileKey
    from recapito.store import GrantRow

__all__ = ["logout", "status"]


@command(N_("Who is signed in: account, what is allowed, since when, and when it is looked at next."))
@click.argument("operator", required=False)
@company_option
@pass_run
def status(run: Run, operator: str | None, company: str | None) -> int:
    """A block for each sign-in; exit code 4 where one needs a person, 3 where the operator has none."""
    named = None if company is None and operator is None else run.company(company)
    store = run.store()
    found = [(row, _problem(run, row)) for row in store.grants(named)]
    found = [each for each in found if operator is None or each[0].key.operator == operator]
    for row, problem in found:
        if run.output.as_json:
            run.output.json(_data(run, row, problem))
        else:
            _say(run, row, problem)
    if not found:
        return _nobody(run, operator)
    if not run.output.as_json:
        run.output.say(_("Grants are kept in {store}, encrypted.").format(store=store.url))
    return Exit.HELD if any(problem and problem.pauses for _row, problem in found) else Exit.DONE


@command(N_("Give a sign-in back at the vendor, and forget it. The profile stays."))
@of_one_profile
@pass_run
def logout(run: Run, operator: str, profile: str, company: str | None) -> int:
    """Sign one profile out; doing it twice changes nothing."""
    key = run.key(operator, profile, company)
    done = run.mailer().sign_out(key.operator, profile=key.name, company=key.company, by=run.by)
    text = _("{profile} is signed out.") if done else _("{profile} was not signed in.")
    data = {"company": key.company, "operator": key.operator, "profile": key.name, "signed_out": done}
    run.output.data(data, text.format(profile=key))
    return Exit.DONE


def _nobody(run: Run, operator: str | None) -> int:
    if operator is None:
        run.output.note(_("Nobody is signed in."))
        return Exit.DONE
    from recapito.catalogue import problem
    from recapito.errors import Held, NotFound

    rows = [row for row in run.store().profiles(None) if row.key.operator == operator]
    if not rows:
        raise NotFound(problem("PROFILE-UNKNOWN", profile=operator, operator=operator))
    row = rows[0]
    raise Held(
        problem("SIGN-IN-MISSING", profile=str(row.key), transport=row.profile.transport, operator=operator)
    )


def _problem(run: Run, row: "GrantRow") -> "Problem | None":
    """Why it gives no tokens: what it met, or why its profile is paused."""
    if row.problem is not None:
        return row.problem
    state = run.store().state(row.key)
    return state.problem if state.paused else None


def _next(row: "GrantRow") -> "datetime":
    from recapito.signing import CHECKED_EVERY

    return (row.refreshed or row.granted) + CHECKED_EVERY


def _data(run: Run, row: "GrantRow", problem: "Problem | None") -> dict[str, Any]:
    key: ProfileKey = row.key
    return {
        "company": key.company,
        "operator": key.operator,
        "profile": key.name,
        "transport": row.transport,
        "client": row.client,
        "account": row.account or None,
        "scopes": sorted(row.scopes),
        "granted": row.granted.isoformat(),
        "renewed": row.refreshed and row.refreshed.isoformat(),
        "idle_until": row.idle_until and row.idle_until.isoformat(),
        "next_check": _next(row).isoformat(),
        "problem": problem_data(problem),
        "kept": run.store().url,
    }


def _say(run: Run, row: "GrantRow", problem: "Problem | None") -> None:
    output = run.output
    kind, word = ("bad", _("needs somebody")) if problem else ("good", _("signed in"))
    who = row.account or _("the application itself")
    output.say(output.mark(kind, f"{row.key}: {word}: {who} ({row.transport}, {row.client})"))
    output.say("  " + _("allowed: {scopes}").format(scopes=", ".join(sorted(row.scopes)) or "-"))
    renewed = _shown(row.refreshed) if row.refreshed else "-"
    output.say(
        "  "
        + _("since {since}, renewed {renewed}, next check {next}").format(
            since=_shown(row.granted), renewed=renewed, next=_shown(_next(row))
        )
    )
    for line in problem_lines(problem) if problem else ():
        output.say(f"  {line}")


def _shown(moment: "datetime") -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
