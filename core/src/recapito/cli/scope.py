"""The options that say whose mailbox a command is about."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from recapito.cli.command import option
from recapito.cli.words import N_

__all__ = ["company_option", "of_one_profile"]

F = TypeVar("F", bound=Callable[..., Any])


def company_option(function: F) -> F:
    """``--company NAME``, as the argument ``company`` (None: the configured one)."""
    return option("--company", metavar="NAME", text=N_("The company; not needed where there is only one."))(
        function
    )


def of_one_profile(function: F) -> F:
    """``OPERATOR --profile NAME --company NAME``, as ``operator``, ``profile`` and ``company``."""
    named = option(
        "--profile", metavar="NAME", default="default", text=N_("The profile, where there are several.")
    )
    return click.argument("operator")(named(company_option(function)))
