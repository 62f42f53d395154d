"""The profile that a run is about: the commands that remedies name must be about the same one."""

import shlex
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recapito.problem import Problem
    from recapito.profile import ProfileKey

__all__ = ["about", "fitted", "spelled"]

#: None where the run is about no profile, or not yet.
about: "ContextVar[ProfileKey | None]" = ContextVar("about", default=None)


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
