"""The columns of a CSV file of profiles: their names in Italian and English, and the field each one is."""

import re
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING

from recapito.cli.words import language

if TYPE_CHECKING:
    from recapito.plugins import Plugins

__all__ = ["FIELDS", "columns_of", "heading", "security_of"]

#: The fields in the order of an export, with their headings (English, Italian) and other names they go by.
FIELDS: dict[str, tuple[str, ...]] = {
    "company": ("company", "azienda", "ditta"),
    "operator": ("operator", "operatore"),
    "profile": ("profile", "profilo"),
    "sender": (
        "email",
        "email",
        "e mail",
        "mail",
        "sender",
        "mittente",
        "address",
        "indirizzo",
        "indirizzo email",
    ),
    "sender_name": ("name", "nome", "sender name", "nome mittente"),
    "aliases": ("aliases", "alias"),
    "reply_to": ("reply to", "rispondi a"),
    "transport": ("transport", "trasporto"),
    "host": ("server", "server", "host", "smtp", "server smtp", "smtp server"),
    "port": ("port", "porta"),
    "security": ("security", "sicurezza", "cifratura", "encryption"),
    "username": ("user", "utente", "username", "user name", "nome utente"),
    "password": ("password", "password"),
}

# What people and other programs write, and what it means; TLS alone depends on the port.
_SECURITIES = {
    "ssl": "ssl",
    "ssl/tls": "ssl",
    "tls/ssl": "ssl",
    "smtps": "ssl",
    "implicit tls": "ssl",
    "starttls": "starttls",
    "tls/starttls": "starttls",
    "starttls/tls": "starttls",
}


def heading(field: str) -> str:
    """The heading of ``field`` in the language of the run; a setting that only some transport has is its own."""
    names = FIELDS.get(field, (field, field))
    return names[1 if language() == "it" else 0]


def columns_of(header: Iterable[str], plugins: "Plugins") -> dict[int, str | None]:
    """The field of each column by place; None for one that nobody knows."""
    known: dict[str, str] = {}
    for info in plugins.transports.values():
        for name, field in info.settings.model_fields.items():
            known[_folded(name)] = name
            if field.title:
                known.setdefault(_folded(field.title), name)
    known |= {_folded(name): field for field, names in FIELDS.items() for name in (field, *names)}
    return {place: known.get(_folded(title)) for place, title in enumerate(header)}


def security_of(text: str, port: str) -> str:
    """``ssl`` or ``starttls`` for what people write; anything else as it is, for the transport to refuse."""
    folded = " ".join(text.lower().split()).replace(" / ", "/")
    if folded == "tls":
        return "ssl" if port.strip() == "465" else "starttls"
    return _SECURITIES.get(folded, text)


def _folded(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title)
    letters = "".join(char for char in plain if not unicodedata.combining(char)).casefold()
    return re.sub(r"[^a-z0-9]+", " ", letters).strip()
