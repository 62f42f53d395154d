"""Texts in the viewer's language: gettext catalogues, one a package, Italian and English."""

import gettext
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

__all__ = ["LANGUAGES", "preferred_language", "translation"]

#: The languages every text exists in; the first is used where none of them is asked for.
LANGUAGES = ("en", "it")


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
    spec = find_spec(package)
    if spec is None or not spec.origin:
        return gettext.NullTranslations()
    folder = Path(spec.origin).parent / "locale"
    return gettext.translation(package, str(folder), languages=[language], fallback=True)
