"""What a person should know about a provider before the first send, in their language."""

from recapito.texts import preferred_language, translation

__all__ = ["hint"]


def hint(name: str, language: str | None = None, *, package: str = "recapito") -> str:
    """The text of a hint (``Provider.hints``, ``Way.note``) in ``language``; a plugin's are in its ``package``."""
    return translation(package, language or preferred_language()).pgettext("hint", name)
