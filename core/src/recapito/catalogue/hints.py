"""What to know about a provider before the first send, and where it is known from, in the reader's language."""

from recapito.texts import preferred_language, translation

__all__ = ["hint", "source_text"]


def hint(name: str, language: str | None = None, *, package: str = "recapito") -> str:
    """The text of a hint (``Provider.hints``, ``Way.note``) in ``language``; a plugin's are in its ``package``."""
    return translation(package, language or preferred_language()).pgettext("hint", name)


def source_text(source: str, language: str | None = None) -> str:
    """``Endpoint.source``, or one of ``Provider.sources``, in ``language``; an address stays as it is."""
    return translation("recapito", language or preferred_language()).pgettext("source", source)
