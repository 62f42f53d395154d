"""The command line's own words, in the language of this run."""

import gettext
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from recapito.texts import preferred_language, translation

__all__ = ["N_", "_", "asked", "decimal", "language", "ngettext", "speaking"]

_spoken: list[str] = []


def language() -> str:
    """The language that this run speaks: ``en`` or ``it``."""
    return _spoken[-1] if _spoken else preferred_language()


def _(text: str) -> str:
    """``text`` in the language of this run."""
    return translation("recapito", language()).gettext(text)


def ngettext(one: str, many: str, number: int) -> str:
    """``one`` or ``many``, as ``number`` asks for, in the language of this run."""
    return translation("recapito", language()).ngettext(one, many, number)


def decimal(number: float, digits: int = 1) -> str:
    """``number`` with the decimal sign of the language of this run."""
    text = f"{number:.{digits}f}"
    return text.replace(".", ",") if language() == "it" else text


def N_(text: str) -> str:  # noqa: N802 - the name that every extractor of texts knows
    """``text`` as it is: marked for translation where it is written, translated where it is shown."""
    return text


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Speak ``language`` within: our own texts, and those that click takes from gettext's default domain."""
    before = os.environ.get("LANGUAGE"), gettext.textdomain()
    _spoken.append(language)
    os.environ["LANGUAGE"] = language
    gettext.bindtextdomain("recapito", str(Path(__file__).parents[1] / "locale"))
    gettext.textdomain("recapito")
    try:
        yield
    finally:
        _spoken.pop()
        gettext.textdomain(before[1])
        if before[0] is None:
            del os.environ["LANGUAGE"]
        else:
            os.environ["LANGUAGE"] = before[0]


def asked(arguments: Sequence[str], option: str) -> str | None:
    """The value of the last ``option`` among ``arguments`` that are not parsed yet; None where it is not there."""
    found = None
    for place, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == option and place + 1 < len(arguments):
            found = arguments[place + 1]
        elif argument.startswith(f"{option}="):
            found = argument.partition("=")[2]
    return found
