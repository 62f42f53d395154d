"""Header fields as they leave: encoded (RFC 2047, 2231), folded to 78 characters, never above 998.

Every function takes text that :func:`recapito.invalid.check_text` has passed, and returns whole lines.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from recapito.address import Address
from recapito.invalid import invalid, shown

__all__ = [
    "address_field",
    "check_name",
    "encoded_field",
    "identifier_field",
    "parameter_field",
    "text_field",
]

#: RFC 5322 §2.1.1, without the CRLF: what a line should not pass, and what it must not.
LINE, LIMIT = 78, 998

_NAME = re.compile(r"[!-9;-~]+")
_CHUNK = re.compile(r" *[^ ]+")
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+")
_PHRASE = re.compile(rf"{_ATOM.pattern}(?: {_ATOM.pattern})*")

#: Room for one encoded word (RFC 2047 §2).
_WORD = 75

_Q = [
    chr(octet) if (chr(octet).isalnum() and octet < 128) or octet in b"!*+-/" else f"={octet:02X}"
    for octet in range(256)
]
_Q[0x20] = "_"
_PERCENT = [
    chr(octet) if (chr(octet).isalnum() and octet < 128) or octet in b"!#$&+-.^_`{}~" else f"%{octet:02X}"
    for octet in range(256)
]


def check_name(name: str) -> str:
    """``name``, if it can name a header field (RFC 5322 §3.6.8); InvalidMessage otherwise."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > LINE - 2:
        raise invalid("MSG-HEADER-NAME", name=shown(name))
    return name


def text_field(name: str, value: str) -> str:
    """A field of free text: as it is where plain ASCII allows, in encoded words otherwise."""
    if len(name) + len(value) + 2 <= LINE and _is_plain(value):
        return f"{name}: {value}\r\n"
    if _is_plain(value) and (folded := _fold(name, value, LINE if name.lower() == "subject" else LIMIT)):
        return folded
    return _join(name, list(_encoded_words(value, LINE - len(name) - 2)))


def encoded_field(name: str, value: str) -> str:
    """A field whose ASCII ``value`` is already encoded: only folded. InvalidMessage where that cannot be done."""
    if len(name) + len(value) + 2 <= LINE:
        return f"{name}: {value}\r\n"
    folded = _fold(name, value.strip(" "), LIMIT)
    if folded is None:
        raise invalid("MSG-HEADER-LONG", name=name)
    return folded


def address_field(name: str, addresses: Sequence[Address]) -> str:
    """A field of addresses; it is ASCII unless a local part is not (RFC 6532)."""
    if len(addresses) == 1 and not addresses[0].name:
        return f"{name}: {addresses[0].addr_spec}\r\n"
    last = len(addresses) - 1
    tokens: list[str] = []
    for position, address in enumerate(addresses):
        comma = "" if position == last else ","
        if address.name:
            tokens += _phrase(address.name)
            tokens.append(f"<{address.addr_spec}>{comma}")
        else:
            tokens.append(f"{address.addr_spec}{comma}")
    return _join(name, tokens)


def identifier_field(name: str, identifiers: Sequence[str]) -> str:
    """A field of message ids, which are never encoded."""
    return _join(name, identifiers)


def parameter_field(name: str, value: str, parameters: Iterable[tuple[str, str]] = ()) -> str:
    """A structured MIME field: ``value``, then parameters, in RFC 2231 form where they are not plain ASCII."""
    tokens = [value]
    for key, text in parameters:
        tokens[-1] += ";"
        tokens += _parameter(key, text)
    return _join(name, tokens)


def _is_plain(value: str) -> bool:
    # "=?" would be taken for an encoded word; spaces at either end do not survive a parser.
    return value.isascii() and "=?" not in value and value.strip(" ") == value


def _join(name: str, tokens: Sequence[str]) -> str:
    lines: list[str] = []
    line = f"{name}:"
    for token in tokens:
        if len(line) + 1 + len(token) <= LINE or (line.endswith(":") and not lines):
            line += " " + token
        else:
            lines.append(line)
            line = " " + token
    lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def _fold(name: str, value: str, longest: int) -> str | None:
    """``value`` broken before spaces, each of which stays; None where a line would pass ``longest``."""
    lines: list[str] = []
    line = f"{name}: "
    for chunk in _CHUNK.findall(value):
        if len(line) + len(chunk) <= LINE or (not lines and line.endswith(": ")):
            line += chunk
        else:
            lines.append(line)
            line = chunk
    lines.append(line)
    if any(len(line) > longest for line in lines):
        return None
    return "\r\n".join(lines) + "\r\n"


def _phrase(name: str) -> list[str]:
    if name.isascii() and "=?" not in name and name.strip(" ") == name and "  " not in name:
        if _PHRASE.fullmatch(name):
            return name.split(" ")
        escaped = name.replace("\\", r"\\").replace('"', r"\"")
        return f'"{escaped}"'.split(" ")
    # A line of its own rather than two words: Python before 3.13 reads a space between them.
    words = list(_encoded_words(name, _WORD))
    return words if len(words) == 1 else _mixed_phrase(name)


def _mixed_phrase(name: str) -> list[str]:
    """A long name with its plain words left plain, so that few encoded words are neighbours."""
    tokens: list[str] = []
    for plain, words in groupby(name.split(" "), _is_atom):
        run = list(words)
        tokens += run if plain else _encoded_words(" ".join(run), _WORD)
    return tokens


def _is_atom(word: str) -> bool:
    return "=?" not in word and _ATOM.fullmatch(word) is not None


def _encoded_words(text: str, room: int) -> Iterator[str]:
    """``text`` in encoded words, the first of at most ``room`` characters, no character cut in two."""
    octets = text.encode()
    quoted, letters = "".join([_Q[octet] for octet in octets]), 4 * ((len(octets) + 2) // 3)
    if min(len(quoted), letters) <= min(room, _WORD) - 12:
        yield f"=?utf-8?q?{quoted}?=" if len(quoted) <= letters else _base64_word(text)
        return
    in_quoted = len(quoted) <= letters
    cost, word = (_quoted_cost, _quoted_word) if in_quoted else (_base64_cost, _base64_word)
    # Of a word's 75 characters 12 are its frame; four letters of base64 hold three octets.
    longest = _WORD - 12 if in_quoted else (_WORD - 12) // 4 * 3
    limit = min(room - 12 if in_quoted else (room - 12) // 4 * 3, longest)
    start = used = after_space = 0
    for position, character in enumerate(text):
        width = cost(character)
        while used and used + width > limit:
            # After a space where there is one: some readers put another between two encoded words of a name.
            cut = after_space if after_space > start else position
            yield word(text[start:cut])
            start, limit = cut, longest
            used = sum(map(cost, text[cut:position]))
        used += width
        if character == " ":
            after_space = position + 1
    yield word(text[start:])


def _quoted_cost(character: str) -> int:
    return sum(len(_Q[octet]) for octet in character.encode())


def _quoted_word(text: str) -> str:
    return f"=?utf-8?q?{''.join([_Q[octet] for octet in text.encode()])}?="


def _base64_cost(character: str) -> int:
    return len(character.encode())


def _base64_word(text: str) -> str:
    return f"=?utf-8?b?{b64encode(text.encode()).decode()}?="


def _parameter(key: str, text: str) -> list[str]:
    plain = text.isascii() and not re.search(r'["\\]|=\?', text)
    if plain and len(key) + len(text) + 5 <= LINE:
        return [f'{key}="{text}"']
    if not plain and len(extended := f"{key}*=utf-8''{_percent(text)}") + 2 <= LINE:
        return [extended]
    # RFC 2231 §3, since one line would be too long: filename*0*=…; filename*1*=…
    room = LINE - len(key) - 16
    sections = ["utf-8''"]
    for piece in map(_percent, text):
        if len(sections[-1]) + len(piece) > room:
            sections.append("")
        sections[-1] += piece
    fields = [f"{key}*{number}*={section}" for number, section in enumerate(sections)]
    return [field + ";" for field in fields[:-1]] + fields[-1:]


def _percent(text: str) -> str:
    return "".join([_PERCENT[octet] for octet in text.encode()])
