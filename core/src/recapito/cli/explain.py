"""``recapito explain``: what a code, or a server's own words, mean and what to do."""

import re
from typing import get_args

import click

from recapito.cli.command import command, option
from recapito.cli.failures import problem_lines
from recapito.cli.run import Run, pass_run
from recapito.cli.shapes import problem_data
from recapito.cli.words import N_
from recapito.problem import Problem
from recapito.reply import Credential, Via
from recapito.transport import STEPS

__all__ = ["explain"]

_CODE = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)+")


@command(N_('What a code or a server\'s reply means. A reply is quoted whole: "535 5.7.8 …".'))
@click.argument("text")
@option("--host", default="", text=N_("The server that said it."))
@option("--step", type=click.Choice(STEPS), text=N_("Where it came; guessed from the status where left out."))
@option("--via", type=click.Choice(get_args(Via)), text=N_("The protocol; guessed where left out."))
@option(
    "--credential",
    type=click.Choice(get_args(Credential)),
    default="password",
    text=N_("How the profile signs in."),
)
@pass_run
def explain(
    run: Run, text: str, host: str, step: str | None, via: Via | None, credential: Credential
) -> None:
    """Print the four parts of the problem."""
    catalogue = run.plugins.catalogue
    named = text.strip().upper()
    if named in catalogue.codes or _CODE.fullmatch(named):
        code = catalogue.code(named)
        found = Problem(code.code, code.outcome, code.who, code.scope)
    else:
        known = {"step": step, "via": via, "credential": credential}
        found = catalogue.match_text(
            text, host=host, **{name: value for name, value in known.items() if value}
        )
    run.output.data((problem_data(found) or {}) | {"outcome": found.outcome.value}, problem_lines(found))
