"""``recapito auth status`` and ``logout``."""

from typing import TYPE_CHECKING, Any

import click

from recapito.cli.about import about
from recapito.cli.command import command
from recapito.cli.exits import Exit
from recapito.cli.failures import problem_lines
from recapito.cli.run import Run, pass_run
from recapito.cli.scope import company_option, of_one_profile
from recapito.cli.shapes import problem_data
from recapito.cli.words import N_, _

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from recapito.signing.standing import Standing

__all__ = ["logout", "signed_in_as", "standing_data", "standing_lines", "status"]


@command(N_("Who is signed in: account, what is allowed, since when, and when it is looked at next."))
@click.argument("operator", required=False)
@company_option
@pass_run
def status(run: Run, operator: str | None, company: str | None) -> int:
    """A block for each profile that signs in; exit code 4 where one needs a person."""
    from recapito.signing.standing import standings

    named = None if company is None and operator is None else run.company(company)
    store, found = run.store(), []
    for each in standings(store, run.plugins, named, operator):
        found.append(each)
        about.set(each.key)
        if run.output.as_json:
            run.output.json(standing_data(run, each))
        else:
            for line in standing_lines(run, each):
                run.output.say(line)
    if not found:
        return _nobody(run, named, operator)
    if not run.output.as_json and any(each.grant for each in found):
        run.output.say(_("Grants are kept in {store}, encrypted.").format(store=store.url))
    return Exit.HELD if any(each.problem and each.problem.pauses for each in found) else Exit.DONE


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


def standing_data(run: Run, each: "Standing") -> dict[str, Any]:
    """A profile's sign-in, as ``--json`` prints it."""
    grant, key = each.grant, each.key
    return {
        "company": key.company,
        "operator": key.operator,
        "profile": key.name,
        "transport": each.transport,
        "sign_in": each.sign_in,
        "client": each.client,
        "account": (grant and grant.account) or None,
        "scopes": sorted(grant.scopes) if grant else [],
        "granted": _iso(grant.granted) if grant else None,
        "renewed": _iso(grant.refreshed) if grant else None,
        "idle_until": _iso(grant.idle_until) if grant else None,
        "next_check": _iso(each.next_check),
        "state": "paused" if each.paused else "active",
        "problem": problem_data(each.problem),
        "kept": run.store().url if grant else None,
    }


def standing_lines(run: Run, each: "Standing") -> "Iterator[str]":
    """A profile's sign-in, for a person."""
    grant, by = each.grant, f"({each.transport}, {each.client})"
    if grant is None and each.problem is None:
        yield run.output.mark(
            "good", f"{each.key}: " + _("the application itself signs in, once it is needed") + f" {by}"
        )
    elif grant is None:
        yield run.output.mark("bad", f"{each.key}: " + _("not signed in") + f" {by}")
    else:
        who = grant.account or _("the application itself")
        kind, word = ("bad", _("needs somebody")) if each.problem else ("good", _("signed in"))
        yield run.output.mark(kind, f"{each.key}: {word}: {who} {by}")
        yield "  " + _("allowed: {scopes}").format(scopes=", ".join(sorted(grant.scopes)) or "-")
        yield "  " + _("since {since}, renewed {renewed}, next check {next}").format(
            since=_shown(grant.granted), renewed=_shown(grant.refreshed), next=_shown(each.next_check)
        )
    if each.paused:
        yield "  " + _("The profile is paused.")
    for line in problem_lines(each.problem) if each.problem else ():
        yield f"  {line}"


def signed_in_as(each: "Standing") -> str:
    """A sign-in in one line."""
    grant = each.grant
    if grant is None:
        return _("not signed in") if each.problem else _("the application itself signs in, once it is needed")
    who = grant.account or _("the application itself")
    return _("{account} since {since}, next check {next}").format(
        account=who, since=_shown(grant.granted), next=_shown(each.next_check)
    )


def _nobody(run: Run, company: str | None, operator: str | None) -> int:
    """None that signs in: no fault where nobody was named, one where the operator sends with a password."""
    if operator is None:
        run.output.note(_("No profile signs in: they send with a password, or there is none yet."))
        return Exit.DONE
    from recapito.catalogue import problem
    from recapito.errors import Misconfigured, NotFound

    row = next((row for row in run.store().profiles(company) if row.key.operator == operator), None)
    if row is None:
        raise NotFound(problem("PROFILE-UNKNOWN", profile=operator, operator=operator))
    shown = run.plugins.info(row.profile.transport).shown
    raise Misconfigured(problem("SIGN-IN-NONE", profile=str(row.key), transport=shown, operator=operator))


def _iso(moment: "datetime | None") -> str | None:
    return moment.isoformat() if moment else None


def _shown(moment: "datetime | None") -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}" if moment else "-"
