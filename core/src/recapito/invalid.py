"""Bad input named: which field, what is wrong with it, and the check that every header text passes."""

import base64
import binascii
import re

from recapito.errors import InvalidMessage
from recapito.outcome import Outcome
from recapito.problem import Problem

__all__ = ["check_text", "decoded_words", "invalid", "shown"]

#: What would end a line, or is not text: C0, DEL, C1 (NEL among them), the Unicode separators, lone surrogates.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_WORD = re.compile(r"=\?([^?\s]*)\?([bBqQ])\?([^?]*(?:\?(?!=)[^?]*)*)\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(?==\?[^?\s]*\?[bBqQ]\?)")

#: Characters of the caller's own text that a problem repeats.
_SHOWN = 80


def invalid(code: str, **params: str | float) -> InvalidMessage:
    """The error for ``code``: this message, refused before the wire; ``params`` fill its texts."""
    return InvalidMessage(Problem(code, Outcome.REFUSED, params=params))


def shown(value: object) -> str:
    """``value`` as a problem may repeat it: one short line, what cannot be seen written as ``U+000D``."""
    text = value if isinstance(value, str) else repr(value)
    if len(text) > _SHOWN:  # both ends: a long path is known by its last part
        text = f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 2 :]}"
    return "".join([character if character.isprintable() else _name(character) for character in text])


def check_text(value: object, field: str) -> str:
    """``value``, if it is text of one line; InvalidMessage (MSG-CHARACTER, MSG-TEXT) naming ``field`` otherwise.

    What an encoded word (RFC 2047) inside it would decode to is held to the same rule: readers decode those,
    and Python 3.11 makes a header of a line break that one of them hides.
    """
    if not isinstance(value, str):
        raise invalid("MSG-TEXT", field=field, value=shown(value))
    if found := _FORBIDDEN.search(value):
        raise invalid("MSG-CHARACTER", field=field, character=_name(found[0]))
    if "=?" in value:
        for match in _WORD.finditer(value):
            if found := _FORBIDDEN.search(_decoded(match[1], _octets(match[2], match[3]))):
                raise invalid("MSG-CHARACTER", field=field, character=_name(found[0]))
    return value


def decoded_words(value: str) -> str:
    """``value`` with its encoded words (RFC 2047) decoded; what does not decode stays as it is."""
    if "=?" not in value:
        return value
    pieces: list[str] = []
    charset, octets, position = "", b"", 0
    for match in _WORD.finditer(value := _BETWEEN_WORDS.sub(r"\1", value)):
        between = value[position : match.start()]
        # Neighbours are joined before decoding: some writers cut a character in two.
        if between or match[1].lower() != charset:
            pieces += _decoded(charset, octets), between
            charset, octets = match[1].lower(), b""
        octets += _octets(match[2], match[3])
        position = match.end()
    return "".join([*pieces, _decoded(charset, octets), value[position:]])


def _octets(encoding: str, text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    if encoding in "qQ":
        return binascii.a2b_qp(raw, header=True)
    letters = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
    letters = letters[: len(letters) - (len(letters) % 4 == 1)]
    return base64.b64decode(letters + b"=" * (-len(letters) % 4))


def _decoded(charset: str, octets: bytes) -> str:
    try:
        return octets.decode(charset.partition("*")[0] or "utf-8", "replace")
    except (LookupError, ValueError):
        return octets.decode("latin-1")


def _name(character: str) -> str:
    return f"U+{ord(character):04X}"
