"""The words of an API's error: the vendor's own key, for the catalogue's rules, and its message."""

from collections.abc import Mapping
from typing import Any

from recapito.oauth.answer import Answer

__all__ = ["error_key", "error_text"]

_KEY, _TEXT = 100, 2000


def error_key(answer: Answer) -> str:
    """``error.errors[0].reason`` or ``error.status`` (Google), ``error.code`` (Microsoft Graph), or ``error`` itself.

    Of Google's two the first is finer, and the one that its documents name (developers.google.com/workspace/gmail/
    api/guides/handle-errors); ``error.details`` are newer APIs'. Empty where there is none.
    """
    said = (answer.json() or {}).get("error")
    if isinstance(said, str):
        return said[:_KEY]
    if not isinstance(said, Mapping):
        return ""
    places = (
        _reason(said.get("errors")),
        said.get("code"),
        _reason(said.get("details")),
        said.get("status"),
    )
    return next((place[:_KEY] for place in places if isinstance(place, str) and place), "")


def error_text(answer: Answer) -> str:
    """The status and the server's own words; a page for browsers has none."""
    said = (answer.json() or {}).get("error")
    message = said.get("message") if isinstance(said, Mapping) else None
    words = message if isinstance(message, str) and message else answer.text
    return f"{answer.status} {words[:_TEXT]}".strip()


def _reason(listed: Any) -> Any:
    first = listed[0] if isinstance(listed, list) and listed else None
    return first.get("reason") if isinstance(first, Mapping) else None
