"""The options that say whose mailbox a command is about."""

import shlex
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

import click

from recapito.cli.command import option
from recapito.cli.words import N_

if TYPE_CHECKING:
    from recapito.problem import Problem
    from recapito.profile import ProfileKey

__all__ = ["about", "company_option", "fitted", "of_one_profile", "spelled"]

F = TypeVar("F", bound=Callable[..., Any])

#: The profile that this run is about: a remedy's command must be about the same one.
about: "ContextVar[ProfileKey | None]" = ContextVar("about", default=None)


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


def spelled(key: "ProfileKey") -> str:
    """The arguments that name ``key`` in a command, quoted for a shell."""
    parts = [key.operator]
    parts += ["--profile", key.name] if key.name != "default" else []
    parts += ["--company", key.company] if key.company else []
    return shlex.join(parts)


def fitted(problem: "Problem") -> "Problem":
    """``problem`` with the arguments of this run's profile where its remedy names a command."""
    key = about.get()
    if key is None or problem.params.get("operator", key.operator) != key.operator:
        return problem
    return problem.with_(params={**problem.params, "operator": spelled(key)})
