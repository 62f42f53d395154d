"""Texts in the viewer's language: gettext catalogues, one a package, Italian and English."""

import gettext
import os
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Self

__all__ = ["LANGUAGES", "N_", "Phrase", "in_languages", "preferred_language", "said_in", "translation"]

#: The languages every text exists in; the first is used where none of them is asked for.
LANGUAGES = ("en", "it")


def N_(text: str) -> str:  # noqa: N802 - the name that every extractor of texts knows
    """``text`` as it is: marked for translation where it is written, translated where it is shown."""
    return text


class Phrase(str):
    """A few words of ours, in every language at once; as a plain string, in that of the process.

    ``Phrase("at most {most} characters", most=80)`` marks the message for translation as ``_()`` does. It is
    looked up in the catalogue of ``package``, then in core's; ``params`` fill its placeholders, and those that
    are phrases themselves do so in their own language. As a parameter of
    :func:`recapito.catalogue.problem` it is shown in the language that the problem is explained in; as the
    argument of a ValueError in a settings model, in the language of whoever reads the field's reason.
    """

    __slots__ = ("_texts",)
    _texts: Mapping[str, str]

    def __new__(cls, message: str, /, *, package: str = "recapito", **params: object) -> Self:
        """``message`` from the catalogue of ``package``, filled with ``params``."""
        return cls.made(lambda language: _filled(_looked_up(message, package, language), params, language))

    @classmethod
    def made(cls, make: Callable[[str], str]) -> Self:
        """The phrase that is ``make(language)`` in each language."""
        texts = {language: make(language) for language in LANGUAGES}
        phrase = str.__new__(cls, texts[preferred_language()])
        phrase._texts = texts
        return phrase

    def text(self, language: str | None = None) -> str:
        """The phrase in ``language``, or in that of the process's environment."""
        return self._texts.get(language or preferred_language(), str(self))

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (dict(self._texts),)


def _restored(texts: Mapping[str, str]) -> Phrase:
    return Phrase.made(lambda language: texts[language])


def _looked_up(message: str, package: str, language: str) -> str:
    found = translation(package, language).gettext(message)
    return found if found != message else translation("recapito", language).gettext(message)


def _filled(text: str, params: Mapping[str, object], language: str) -> str:
    if not params:  # a plugin's own words may hold braces
        return text
    return text.format(**{name: said_in(value, language) for name, value in params.items()})


def said_in(value: object, language: str) -> str:
    """``value`` as text: a phrase in ``language``, anything else as it is."""
    return value.text(language) if isinstance(value, Phrase) else str(value)


def in_languages(name: str, value: object) -> dict[str, str]:
    """Parameters of a problem that show ``value`` as ``name`` in whatever language the problem is explained.

    ``name`` has the words in English, ``name_it`` those in Italian where ``value`` is a :class:`Phrase`.
    """
    if not isinstance(value, Phrase):
        return {name: str(value)}
    first, *others = LANGUAGES
    return {name: value.text(first)} | {f"{name}_{language}": value.text(language) for language in others}


def preferred_language() -> str:
    """The language of this process's environment: ``RECAPITO_LANG``, else the POSIX locale variables."""
    for variable in ("RECAPITO_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        language = os.environ.get(variable, "")[:2].lower()
        if language in LANGUAGES:
            return language
        if os.environ.get(variable):
            break
    return LANGUAGES[0]


@cache
def translation(package: str, language: str) -> gettext.NullTranslations:
    """The texts of an import package: ``PACKAGE/locale/LANGUAGE/LC_MESSAGES/PACKAGE.mo``.

    A package without texts in this language answers with the messages themselves.
    """
    try:
        spec = find_spec(package)
    except ValueError:  # __main__, where a program has its transport in its own file
        spec = None
    if spec is None or not spec.origin:
        return gettext.NullTranslations()
    folder = Path(spec.origin).parent / "locale"
    return gettext.translation(package, str(folder), languages=[language], fallback=True)
