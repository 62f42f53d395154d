"""Texts that both databases can hold: PostgreSQL takes no NUL, neither takes half a surrogate pair."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from recapito.profile import ProfileKey
from recapito.settings import misfit
from recapito.texts import Phrase

__all__ = ["LONGEST", "is_possible", "refuse_impossible", "refuse_unstorable", "storable"]

#: Characters of what is looked up by: an operator, a company, a profile's name, a host's reference.
LONGEST = 255
#: Octets of the parts of a key together: PostgreSQL's index has no room for more.
_OCTETS = 2000

# Controls and halves of surrogate pairs, and what some programs take for a line end. Any other character may
# stand in a name: a no-break space, the joiners of an emoji.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def is_possible(key: ProfileKey) -> bool:
    """Whether anything can be kept under ``key``; the database need not be asked about others."""
    return next(_faults(key), None) is None


def refuse_impossible(key: ProfileKey) -> None:
    """Raise Misconfigured (SETTINGS-INVALID) for a key with control characters, one that is too long, or one
    without operator or name.
    """
    if wrong := dict(_faults(key)):
        shown = "/".join(part[:80].encode("unicode_escape").decode() for part in key if part)
        raise misfit(shown, wrong)


def refuse_unstorable(key: ProfileKey, fields: Mapping[str, Any]) -> None:
    """Raise Misconfigured (SETTINGS-INVALID) naming each of ``fields`` in which something cannot be stored."""
    wrong = {
        storable(name): Phrase("holds a character that cannot be stored")
        for name, value in fields.items()
        if any(_UNSTORABLE.search(text) for text in (name, *_texts(value)))
    }
    if wrong:
        raise misfit(str(key), wrong)


def storable(text: str) -> str:
    """``text``, with what cannot be stored replaced: for names that are only noted, never used."""
    if text.isprintable():
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _faults(key: ProfileKey) -> Iterator[tuple[str, str]]:
    for name, part in zip(key._fields, key, strict=True):
        if not part.isprintable() and _CONTROL.search(part):
            yield name, Phrase("has a control character")
        elif not part and name != "company":
            yield name, Phrase("is empty")
        elif len(part) > LONGEST or (
            not part.isascii() and len("".join(key).encode(errors="replace")) > _OCTETS
        ):
            yield name, Phrase("is too long")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from (str(name), *_texts(each))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
