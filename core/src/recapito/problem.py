"""A failure explained: a stable code, its parameters and the server's own words; texts come when it is shown."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from recapito.outcome import Outcome
from recapito.texts import preferred_language, translation

__all__ = ["REPLY_LIMIT", "Explanation", "Problem", "Scope", "Who", "clean_reply", "require_zone"]

#: Characters of a server's reply that are kept. A reply line has at most 512 octets (RFC 5321 §4.5.3.1.5).
REPLY_LIMIT = 2000

# Escape sequences first, so that no "[31m" is left of them; then every control character but the line feed.
_NOISE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|[^\S\n ]|[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)

# {name} shows a parameter; {name?} and {name!} show nothing, and only ask whether there is one, or none.
_HOLE = re.compile(r"\{(\w+)([?!]?)\}")

# A part of a text that is left out where one of its placeholders has no value: "…[[ Did you mean {hint}?]]",
# "[[{missing?}Correct the name.]][[{missing!}Send again.]]".
_OPTIONAL = re.compile(r"\[\[(.*?)\]\]")


class Who(StrEnum):
    """Who can put it right."""

    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"
    RECIPIENT = "recipient"
    NOBODY = "nobody"


class Scope(StrEnum):
    """How far a problem reaches: what stops until it is solved."""

    #: This message, or one recipient of it.
    MESSAGE = "message"
    #: The profile: a *held* outcome of this scope pauses it.
    PROFILE = "profile"
    #: The OAuth client: every profile that signs in through it; told once for all of them.
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The four parts of a problem in one language; ``why`` is empty where the cause is not known."""

    what: str
    why: str
    do: str
    who: str

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.why, self.do) if part)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something was not accepted.

    ``code`` is public and never changes meaning. ``reply`` holds the server's own words, cleaned and capped by
    :func:`clean_reply`. ``params`` fill the texts and hold no secret; where there is a ``name_it`` beside
    ``name`` (:func:`recapito.texts.in_languages`), Italian texts show that. ``package`` names the import
    package whose catalogue has the texts (a plugin's own codes come from its own).
    """

    code: str
    outcome: Outcome
    who: Who = Who.OPERATOR
    scope: Scope = Scope.MESSAGE
    params: Mapping[str, str | int | float] = field(default_factory=dict)
    reply: str | None = None
    step: str | None = None
    host: str | None = None
    retry_at: datetime | None = None
    package: str = "recapito"

    def __post_init__(self) -> None:
        require_zone(self.retry_at, "Problem.retry_at")
        if self.reply is not None:
            object.__setattr__(self, "reply", clean_reply(self.reply))

    @property
    def pauses(self) -> bool:
        """Whether the profile stops until a person has acted."""
        return self.outcome is Outcome.HELD and self.scope is not Scope.MESSAGE

    def explain(self, language: str | None = None) -> Explanation:
        """The texts in ``language`` (``en``, ``it``), or in that of the process's environment."""
        language = language or preferred_language()
        texts, own = translation(self.package, language), translation("recapito", language)
        known = self._known(language)
        what, why, do = (
            self._fill(texts.pgettext(self.code, part), part, known) for part in ("what", "why", "do")
        )
        return Explanation(what, why, do, own.pgettext("who", self.who))

    def with_(self, **changes: Any) -> Self:
        """A copy with ``changes``."""
        return replace(self, **changes)

    def _known(self, language: str) -> dict[str, object]:
        """What fills the texts in ``language``, by name; nothing empty."""
        known: dict[str, object] = {"host": self.host, "reply": self.reply, **self.params}
        known |= {name: known[f"{name}_{language}"] for name in self.params if f"{name}_{language}" in known}
        if self.retry_at is not None:
            known.setdefault("t", f"{self.retry_at.astimezone():%H:%M}")
        return {name: value for name, value in known.items() if value not in (None, "")}

    def _fill(self, text: str, part: str, known: Mapping[str, object]) -> str:
        if text == part:  # no such message in the catalogue: never show the key
            return self.code if part == "what" else ""
        kept = _OPTIONAL.sub(_filled_part(known), text)
        said = _HOLE.sub(lambda hole: "" if hole[2] else str(known.get(hole[1], "…")), kept)
        return said.replace("….", "…").strip()

    def __str__(self) -> str:
        return f"{self.code}: {self.explain()}"

    def to_dict(self) -> dict[str, Any]:
        """What :meth:`from_dict` takes back: JSON types only."""
        return {
            "code": self.code,
            "outcome": self.outcome.value,
            "who": self.who.value,
            "scope": self.scope.value,
            # A plugin may have put anything there; a receipt must not be lost for it.
            "params": {
                name: value if isinstance(value, (str, int, float)) else str(value)
                for name, value in self.params.items()
            },
            "reply": self.reply,
            "step": self.step,
            "host": self.host,
            "retry_at": self.retry_at.isoformat() if self.retry_at else None,
            "package": self.package,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The problem that :meth:`to_dict` wrote."""
        fields = dict(stored)
        moment = fields.pop("retry_at", None)
        return cls(
            outcome=Outcome(fields.pop("outcome")),
            who=Who(fields.pop("who")),
            scope=Scope(fields.pop("scope")),
            retry_at=datetime.fromisoformat(moment) if moment else None,
            **fields,
        )


def _filled_part(known: Mapping[str, object]) -> Callable[[re.Match[str]], str]:
    def keep(part: re.Match[str]) -> str:
        fits = all((name in known) is (mark != "!") for name, mark in _HOLE.findall(part[1]))
        return part[1] if fits else ""

    return keep


def require_zone(moment: datetime | None, name: str) -> None:
    """ValueError where ``moment`` has no time zone: compared with one that has, it would fail after a send."""
    if moment is not None and moment.tzinfo is None:
        raise ValueError(f"{name} needs a time zone: {moment!r} has none")


def clean_reply(text: str) -> str:
    """``text`` as short plain text: no control character, escape sequence or bidirectional mark, capped."""
    cleaned = _NOISE.sub("", text[: REPLY_LIMIT * 2]).strip()
    return cleaned if len(cleaned) <= REPLY_LIMIT else cleaned[:REPLY_LIMIT] + "…"
