"""The public codes of problems: what became of the message, who acts, how far it reaches. Their texts are gettext's."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from recapito.errors import NotFound
from recapito.outcome import Outcome
from recapito.problem import Problem, Scope, Who
from recapito.texts import in_languages

__all__ = ["FOLDER", "Code", "find_code", "known_codes", "problem", "read_toml"]

#: Where the catalogue's data lie.
FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Code:
    """One code. It never changes meaning once published; ``unconfirmed`` where no real account has shown it."""

    code: str
    outcome: Outcome
    who: Who
    scope: Scope
    unconfirmed: bool = False


def read_toml(name: str) -> dict[str, Any]:
    """A data file of the catalogue, by its name in this folder."""
    return tomllib.loads((FOLDER / name).read_text(encoding="utf-8"))


@cache
def known_codes() -> Mapping[str, Code]:
    """Core's codes by name, read from ``codes.toml`` once."""
    return MappingProxyType(
        {name: _code(name, *said.split()) for name, said in read_toml("codes.toml").items()}
    )


def _code(name: str, outcome: str, who: str, scope: str, unconfirmed: str = "") -> Code:
    return Code(name, Outcome(outcome), Who(who), Scope(scope), bool(unconfirmed))


def find_code(name: str) -> Code:
    """The code of that name; NotFound (CODE-UNKNOWN) where there is none."""
    try:
        return known_codes()[name]
    except KeyError:
        raise NotFound(problem("CODE-UNKNOWN", code=name)) from None


def problem(
    name: str,
    /,
    *,
    reply: str | None = None,
    step: str | None = None,
    host: str | None = None,
    retry_at: datetime | None = None,
    outcome: Outcome | None = None,
    **params: object,
) -> Problem:
    """The problem of a code, with outcome, who and scope from the catalogue (``outcome`` replaces the first).

    ``params`` fill the texts; None is left out, what is no number becomes text, and a
    :class:`~recapito.texts.Phrase` is shown in the language the problem is explained in. An unknown name is a
    NotFound: codes are added with ``scripts/texts.py add``.
    """
    code = find_code(name)
    kept: dict[str, str | int | float] = {}
    for key, value in params.items():
        if value is not None:
            kept |= {key: value} if isinstance(value, (int, float)) else in_languages(key, value)
    return Problem(
        code.code,
        outcome or code.outcome,
        code.who,
        code.scope,
        params=kept,
        reply=reply,
        step=step,
        host=host,
        retry_at=retry_at,
    )
