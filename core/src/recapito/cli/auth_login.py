"""``recapito auth login``: sign an operator's profile in."""

import click

from recapito.cli.command import command, option
from recapito.cli.exits import Exit
from recapito.cli.run import Run, pass_run
from recapito.cli.scope import of_one_profile
from recapito.cli.sign_in import By, sign_in, signed_data, signed_lines
from recapito.cli.words import N_, _

__all__ = ["by_options", "login"]


def by_options(function: click.decorators.FC) -> click.decorators.FC:
    """``--device``, ``--no-browser`` and ``--port``."""
    named = option(
        "--port",
        type=click.IntRange(1, 65535),
        metavar="N",
        text=N_("The port for the answer; without it any free one."),
    )
    pasted = option(
        "--no-browser",
        is_flag=True,
        text=N_("Print the link, and take the address that the browser ends at."),
    )
    device = option("--device", is_flag=True, text=N_("Type a code on another device (Microsoft)."))
    return device(pasted(named(function)))


@command(N_("Sign an operator in: the system's browser opens, and answers on this machine."))
@of_one_profile
@by_options
@pass_run
def login(
    run: Run,
    operator: str,
    profile: str,
    company: str | None,
    device: bool,
    no_browser: bool,
    port: int | None,
) -> int:
    """Sign in, and say as whom, what is allowed, where it is kept, and when it is looked at again."""
    if device and (no_browser or port):
        raise click.UsageError(_("--device needs neither --no-browser nor --port."))
    done = sign_in(run, run.key(operator, profile, company), By(device, no_browser, port))
    run.output.data(signed_data(run, done), signed_lines(run, done))
    return Exit.DONE
