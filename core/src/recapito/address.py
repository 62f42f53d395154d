"""Addresses, read strictly: one where one is meant, its domain in the form that servers take."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from recapito.errors import InvalidMessage
from recapito.invalid import check_text, decoded_words, invalid, shown

__all__ = ["Address", "parse_address", "parse_address_list", "same_address", "unique_addresses"]

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PLAIN = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@((?:{_LABEL}\.)*{_LABEL})")
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_LIST_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[(),;:<>"]|[^(),;:<>"]+')

#: RFC 5321 §4.5.3.1: 64 octets before the @, a path of 256 with its brackets. A name has no limit of its own.
_LOCAL_LIMIT, _DOMAIN_LIMIT, _ADDRESS_LIMIT, _TEXT_LIMIT = 64, 253, 254, 2000


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox: a name for people (may be empty), and where it is.

    ``local`` is as it stands on the wire, in quotes where it needs them. ``domain`` is ASCII (A-labels).
    """

    name: str
    local: str
    domain: str

    @property
    def addr_spec(self) -> str:
        """``local@domain``: ASCII unless the local part is not."""
        return f"{self.local}@{self.domain}"

    @property
    def key(self) -> tuple[str, str]:
        """Equal for two spellings of one mailbox. Local parts keep their case: only their server knows better."""
        return self.local, self.domain.lower()

    def __str__(self) -> str:
        if not self.name:
            return self.addr_spec
        name = self.name.replace("\\", r"\\").replace('"', r"\"")
        return f'"{name}" <{self.addr_spec}>'


def parse_address(text: str, field: str) -> Address:
    """The one address in ``text``: ``a@example.it`` or ``Name <a@example.it>``.

    Raises InvalidMessage naming ``field`` for anything else: several addresses, a group, none at all, control
    characters, a domain that is not one, an IP address as domain, parts over the limits of RFC 5321.
    """
    if type(text) is str and (plain := _PLAIN.fullmatch(text)) and "=?" not in text:
        return _checked("", plain[1], plain[2], text, field)
    stripped = check_text(text, field).strip(" ")
    if not stripped:
        raise invalid("ADDR-EMPTY", field=field)
    if len(stripped) > _TEXT_LIMIT:
        raise invalid("ADDR-LONG", field=field, address=shown(text))
    name, spec = _split_name(stripped, field)
    return _located(name, spec, stripped, field)


def parse_address_list(text: str, field: str) -> tuple[Address, ...]:
    """The addresses of a header field of a ready message (RFC 5322 §3.4), its encoded words decoded.

    ``text`` is unfolded. An empty group (``undisclosed-recipients:;``) adds nothing; one with members, and what
    :func:`parse_address` refuses, is InvalidMessage.
    """
    check_text(text, field)
    return tuple(_listed(item, field) for item in _items(text, field) if "".join(item).strip())


def same_address(one: str, other: str) -> bool:
    """Whether both texts mean the same mailbox: domains compared as A-labels and without case, names ignored."""
    return parse_address(one, "address").key == parse_address(other, "address").key


def unique_addresses(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """``addresses`` in order, each mailbox once."""
    kept: dict[tuple[str, str], Address] = {}
    for address in addresses:
        kept.setdefault(address.key, address)
    return tuple(kept.values())


def _split_name(text: str, field: str) -> tuple[str, str]:
    """Name and addr-spec of one mailbox as a person writes it."""
    if not text.endswith(">"):
        return "", text
    if quoted := _QUOTED.match(text):
        rest = text[quoted.end() :].lstrip(" ")
        if rest.startswith("<"):
            return _ESCAPED.sub(r"\1", quoted[1]), rest[1:-1]
        raise invalid("ADDR-SYNTAX", field=field, address=shown(text))
    name, bracket, spec = text[:-1].partition("<")
    if not bracket:
        raise _failure(text, text, field)
    if re.search(r'[",;:@>\\]', name):
        # A comma, semicolon or @ before the bracket may be a second address: only quotes make it a name.
        raise invalid("ADDR-NAME", field=field, address=shown(text))
    return name.strip(" "), spec


def _located(name: str, spec: str, text: str, field: str) -> Address:
    if quoted := _QUOTED.match(spec):
        local, domain = quoted[1], spec[quoted.end() :]
        if not domain.startswith("@") or not local:
            raise _failure(spec, text, field)
        return _checked(name, _canonical_local(_ESCAPED.sub(r"\1", local)), domain[1:], text, field)
    local, at, domain = spec.rpartition("@")
    if not at or not domain or not _is_dot_atom(local) or re.search(r"[\s,;:<>()\"\\]", domain):
        raise _failure(spec, text, field)
    return _checked(name, unicodedata.normalize("NFC", local), domain, text, field)


def _is_dot_atom(local: str) -> bool:
    if local.isascii():
        return _LOCAL.fullmatch(local) is not None
    # RFC 6532 adds every character beyond ASCII; invisible ones would make two addresses look the same.
    letters = "".join("x" if ord(c) > 127 and unicodedata.category(c)[0] not in "CZ" else c for c in local)
    return letters.isascii() and _LOCAL.fullmatch(letters) is not None


def _canonical_local(content: str) -> str:
    if _is_dot_atom(content):
        return unicodedata.normalize("NFC", content)
    return '"' + content.replace("\\", r"\\").replace('"', r"\"") + '"'


def _checked(name: str, local: str, domain: str, text: str, field: str) -> Address:
    if "=?" in local:  # some servers decode an encoded word there, and deliver to what it hides
        raise invalid("ADDR-SYNTAX", field=field, address=shown(text))
    domain = _a_labels(domain, text, field)
    octets = len(local) if local.isascii() else len(local.encode())
    if octets > _LOCAL_LIMIT or len(domain) > _DOMAIN_LIMIT or octets + 1 + len(domain) > _ADDRESS_LIMIT:
        raise invalid("ADDR-LONG", field=field, address=shown(text))
    return Address(name, local, domain)


def _a_labels(domain: str, text: str, field: str) -> str:
    if domain.isascii() and "xn--" not in domain.lower():
        ascii_domain = domain
    elif len(domain) > _DOMAIN_LIMIT:
        raise invalid("ADDR-LONG", field=field, address=shown(text))
    else:
        import idna

        try:
            ascii_domain = idna.encode(domain, uts46=True).decode("ascii")
        except UnicodeError as exc:  # idna.IDNAError is one
            raise invalid("ADDR-DOMAIN", field=field, address=shown(text), domain=shown(domain)) from exc
    # A last label of digits is an IP address (RFC 3696 §2); brackets around one fail the pattern.
    if not _DOMAIN.fullmatch(ascii_domain) or ascii_domain.rpartition(".")[2].isdigit():
        raise invalid("ADDR-DOMAIN", field=field, address=shown(text), domain=shown(domain))
    return ascii_domain


def _failure(spec: str, text: str, field: str) -> InvalidMessage:
    if re.search(r":[^;]*;\s*$", text):
        return invalid("ADDR-GROUP", field=field, address=shown(text))
    if spec.count("@") > 1 and re.search(r"[,;\s]", spec):
        return invalid("ADDR-SEVERAL", field=field, address=shown(text))
    return invalid("ADDR-SYNTAX", field=field, address=shown(text))


def _items(text: str, field: str) -> Iterable[list[str]]:
    """The pieces of each mailbox, comments and empty groups left out."""
    item: list[str] = []
    comments, in_brackets, group = 0, False, False
    for piece in _LIST_PIECE.findall(text):
        if piece == '"' or (comments and piece[0] == '"'):
            raise invalid("ADDR-SYNTAX", field=field, address=shown(text))
        if piece == "(":
            comments += 1
        elif piece == ")":
            comments -= 1
            item.append(" ")
        elif comments:
            continue
        elif piece in "<>":
            if in_brackets == (piece == "<"):
                raise invalid("ADDR-SYNTAX", field=field, address=shown(text))
            in_brackets = piece == "<"
            item.append(piece)
        elif piece == ":" and not in_brackets and not group:
            item, group = [], True
        elif piece == ";" and group:
            if "".join(item).strip():
                raise invalid("ADDR-GROUP", field=field, address=shown(text))
            item, group = [], False
        elif piece == "," and not in_brackets:
            yield item
            item = []
        else:
            item.append(piece)
    if comments or in_brackets or group:
        raise invalid("ADDR-SYNTAX", field=field, address=shown(text))
    yield item


def _listed(item: list[str], field: str) -> Address:
    text = "".join(item).strip()
    if "<" not in item:
        return _located("", text, text, field)
    start, end = item.index("<"), item.index(">")
    name, spec, rest = ("".join(part) for part in (item[:start], item[start + 1 : end], item[end + 1 :]))
    if rest.strip() or re.search(r"[;@]", _QUOTED.sub("", name)):
        raise _failure(text, text, field)
    unquoted = _QUOTED.sub(lambda match: _ESCAPED.sub(r"\1", match[1]), name)
    person = check_text(" ".join(decoded_words(unquoted).split()), field)
    return _located(person, spec.strip(), text, field)
