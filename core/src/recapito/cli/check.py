"""``recapito check``: try a profile step by step, and find what would work where it does not."""

import time
from typing import TYPE_CHECKING, Any

from recapito.cli.alternatives import Alternative, find_alternative
from recapito.cli.command import command, option
from recapito.cli.exits import Exit, exit_for_outcome
from recapito.cli.failures import problem_lines
from recapito.cli.run import Run, pass_run
from recapito.cli.scope import of_one_profile
from recapito.cli.shapes import problem_data
from recapito.cli.values import Seconds
from recapito.cli.words import N_, _

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recapito.cli.output import Output
    from recapito.problem import Problem
    from recapito.profile import ProfileKey
    from recapito.transport import CheckStep

__all__ = ["check", "step_titles"]


@command(N_("Try a profile step by step. Nothing is sent unless --send-to says where."))
@of_one_profile
@option("--send-to", metavar="ADDRESS", text=N_("Send a test message there as the last step."))
@option("--fix", is_flag=True, text=N_("Where another server of the provider works, save it."))
@option(
    "--timeout",
    type=Seconds(),
    metavar="SECONDS",
    text=N_("Time for all steps."),
)
@pass_run
def check(
    run: Run,
    operator: str,
    profile: str,
    company: str | None,
    send_to: str | None,
    fix: bool,
    timeout: float | None,
) -> int:
    """Print each step as it ends, then the first problem; returns the exit code."""
    key = run.key(operator, profile, company)
    if send_to is not None:
        from recapito.address import parse_address

        parse_address(send_to, "--send-to")  # a slip of the pen is told before anybody is connected to
    started = time.monotonic()
    steps: list[CheckStep] = []
    problem = _try(run, key, send_to, timeout if timeout is not None else run.config["timeout"], steps)
    other = find_alternative(run, key, steps) if problem else None
    fixed = bool(other and other.signed_in and fix)
    if other and fixed:
        run.operators().save(key, other.changes, by=run.by)
    run.output.data(
        _data(key, steps, problem, other, time.monotonic() - started, fixed=fixed),
        _end_lines(key, problem, other, fixed=fixed),
    )
    return Exit.DONE if problem is None or fixed else exit_for_outcome(problem.outcome)


def step_titles() -> dict[str, tuple[str, str]]:
    """What each step says that went well, and its name where it did not, in the language of the run."""
    return {
        "name": (_("name found"), _("name of the server")),
        "port": (_("port open"), _("port")),
        "answer": (_("the server answers"), _("answer of the server")),
        "encryption": (_("encryption and certificate valid"), _("encryption and certificate")),
        "sign-in": (_("signed in"), _("sign-in")),
        "sender": (_("sender accepted"), _("sender")),
        "recipient": (_("recipient accepted"), _("recipient")),
        "message": (_("message accepted by the server"), _("message")),
    }


def _try(
    run: Run, key: "ProfileKey", send_to: str | None, timeout: float | None, steps: "list[CheckStep]"
) -> "Problem | None":
    """Fill ``steps`` and show each as it ends; the first problem, that of the check itself (no time left) too."""
    from recapito.errors import DeliveryError

    tried = run.mailer().check(
        key.operator, profile=key.name, company=key.company, send_to=send_to, timeout=timeout
    )
    try:
        for step in _told(tried, run.output):
            steps.append(step)
    except DeliveryError as exc:
        return exc.problem
    return next((step.problem for step in steps if step.problem), None)


def _told(steps: "Iterable[CheckStep]", output: "Output") -> "Iterator[CheckStep]":
    """Each step on its way, shown as it ends; with ``--json`` on standard error only with ``--verbose``."""
    titles = step_titles()
    for step in steps:
        kind, word = (
            ("bad", _("failed"))
            if step.problem
            else ("skip", _("skipped"))
            if step.skipped
            else ("good", "ok")
        )
        more = _(step.skipped) if step.skipped else step.detail
        line = f"{word}: {titles[step.name][0 if kind == 'good' else 1]}" + (f" ({more})" if more else "")
        line = f"{output.mark(kind, line, on_error=output.as_json)}  {step.seconds * 1000:.0f} ms"
        (output.detail if output.as_json else output.say)(line)
        yield step


def _end_lines(
    key: "ProfileKey", problem: "Problem | None", other: "Alternative | None", *, fixed: bool
) -> "Iterator[str]":
    if problem is None:
        yield _("{profile} can send.").format(profile=key)
        return
    yield from problem_lines(problem)
    if other is None:
        return
    where = f"{other.host}:{other.port} {other.security}"
    if fixed:
        yield _("Changed to {where}, which works.").format(where=where)
    elif other.signed_in:
        yield _("{where} works. To change to it: {command}").format(where=where, command=other.command)
    else:
        yield _("{where} answers (no password was sent there). To change to it: {command}").format(
            where=where, command=other.command
        )


def _data(
    key: "ProfileKey",
    steps: "list[CheckStep]",
    problem: "Problem | None",
    other: "Alternative | None",
    seconds: float,
    *,
    fixed: bool,
) -> dict[str, Any]:
    return {
        "company": key.company,
        "operator": key.operator,
        "profile": key.name,
        "ok": problem is None or fixed,
        "steps": [
            {
                "name": step.name,
                "ok": step.problem is None and not step.skipped,
                "skipped": _(step.skipped) if step.skipped else None,
                "detail": step.detail or None,
                "seconds": round(step.seconds, 4),
                "problem": problem_data(step.problem),
            }
            for step in steps
        ],
        "problem": problem_data(problem),
        "alternative": other and other.to_dict(),
        "fixed": fixed,
        "seconds": round(seconds, 3),
    }
