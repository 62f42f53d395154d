"""How a run that failed ends: the problem on standard error, as data with ``--json``, and an exit code."""

import traceback

import click

from recapito.cli.about import fitted
from recapito.cli.config import ConfigError
from recapito.cli.exits import Exit, exit_for_error
from recapito.cli.output import Output, OutputLost, visible
from recapito.cli.run import Run
from recapito.cli.shapes import problem_data, unsent_data
from recapito.cli.streams import discard_output
from recapito.cli.words import _, language
from recapito.errors import RecapitoError
from recapito.outcome import Outcome
from recapito.problem import Problem

__all__ = ["ended_badly", "problem_lines"]


def problem_lines(problem: Problem) -> list[str]:
    """A problem for a person: what happened, why, what to do and who, the code with the server's own words."""
    texts = fitted(problem).explain(language())
    lines = [texts.what]
    if texts.why:
        lines.append(texts.why)
    if texts.do:
        lines.append(f"→ {texts.do} ({texts.who})")
    details = [problem.code, *(part for part in (problem.host, problem.step) if part)]
    lines.append(" · ".join(details))
    if problem.reply:
        lines += _("The server said: {reply}").format(reply=problem.reply).splitlines()
    return [visible(line) for line in lines]


def ended_badly(error: BaseException, run: Run, *, as_json: bool) -> int:
    """Say what went wrong, as data too where ``as_json``; the exit code."""
    from recapito.catalogue import problem

    # Of a send that had not begun, it is known that nothing left; of one that had, nothing is known.
    uncertain = run.noun in ("send", "send-many") and run.sending.handed_over
    if run.sending.code is not None:
        return _receipt_not_shown(error, run)
    outcome = None if uncertain else Outcome.NOT_SENT
    match error:
        case OutputLost():
            return _output_lost(error, run, Exit.UNKNOWN if uncertain else Exit.FAILED)
        case click.Abort() | KeyboardInterrupt():
            return _end(run, Exit.INTERRUPTED, problem("CLI-INTERRUPTED", outcome=outcome), as_json)
        case click.ClickException():
            error.show()
            return _end(
                run, Exit.USAGE, problem("CLI-USAGE", usage=error.format_message()), as_json, told=True
            )
        case ConfigError():
            return _end(run, Exit.NOT_CONFIGURED, problem("CLI-CONFIG", reason=str(error)), as_json)
        case RecapitoError():
            return _end(run, exit_for_error(error), error.problem, as_json, cause=error)
    found = problem("CLI-UNEXPECTED", outcome=outcome, kind=type(error).__name__)
    return _end(run, Exit.UNKNOWN if uncertain else Exit.FAILED, found, as_json, cause=error)


def _receipt_not_shown(error: BaseException, run: Run) -> int:
    """The send's own exit code: its outcome is known, and a script that is told otherwise would send again."""
    from recapito.catalogue import problem

    assert run.sending.code is not None
    if isinstance(error, OutputLost):
        return _output_lost(error, run, run.sending.code)
    found = problem("CLI-UNEXPECTED", kind=type(error).__name__)
    _end(run, Exit.UNKNOWN, found, as_json=False, cause=error)
    return run.sending.code


def _output_lost(error: OutputLost, run: Run, code: int) -> int:
    discard_output()
    cause = error.__cause__
    # A reader that has enough is no fault; a full disk is one.
    if isinstance(cause, OSError) and not isinstance(cause, BrokenPipeError):
        run.output.complain(_("Standard output cannot be written: {reason}.").format(reason=cause.strerror))
    return code


def _end(
    run: Run,
    code: Exit,
    problem: Problem,
    as_json: bool,
    *,
    told: bool = False,
    cause: BaseException | None = None,
) -> int:
    output = _output(run, as_json=as_json)
    if cause is not None:
        # The frames' values are not shown, and the secrets typed in this run are taken out of the text.
        output.detail("".join(traceback.format_exception(cause)).rstrip())
    if as_json:
        found = (
            unsent_data(problem, run.sending) if run.noun == "send" else {"problem": problem_data(problem)}
        )
        try:
            output.json(found)
        except OutputLost as exc:
            _output_lost(exc, run, code)
    if not told:
        first, *rest = problem_lines(problem)
        output.complain(
            "\n".join([output.mark("bad", first, on_error=True), *(f"  {line}" for line in rest)])
        )
    return code


def _output(run: Run, *, as_json: bool) -> Output:
    try:
        return run.output
    except ConfigError:  # the very file that is complained about
        return Output(as_json=as_json, quiet=False, verbose=bool(run.flags.get("verbose")), color="never")
