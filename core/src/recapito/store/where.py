"""Which database: a URL, read once, and the form of it that may be shown."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.store.location import default_database_file, default_database_url
from recapito.texts import Phrase

if TYPE_CHECKING:
    from sqlalchemy import URL

__all__ = ["Where", "locate", "located"]

#: Seconds that a statement waits for another process's lock, unless the URL says ``?timeout=``.
PATIENCE = 5.0
#: The most that may be said: a day.
_LONGEST = 86_400

_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Where:
    """One database. ``path`` is set for SQLite only, ``schema`` for PostgreSQL where one was asked for."""

    url: "URL" = field(repr=False)
    #: The URL without its password: safe to show.
    shown: str
    path: Path | None = None
    schema: str | None = None
    patience: float = PATIENCE

    @property
    def silence(self) -> float:
        """Seconds that a server may say nothing: longer than a lock is waited for, which it says."""
        return self.patience + max(self.patience, 1.0)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a SQLite file; PostgreSQL otherwise."""
        return self.path is not None


def locate(url: str | None = None, schema: str | None = None, *, create: bool = False) -> Where:
    """The database of ``url``, of ``RECAPITO_DATABASE``, or the user's own where it exists (or ``create``).

    ``?schema=NAME`` and ``?timeout=SECONDS`` are ours. Raises Misconfigured (STORE-NOWHERE, STORE-URL).
    """
    found, url = located(url, schema, create=create), None
    if isinstance(found, Misconfigured):
        raise found
    return found


def located(url: str | None, schema: str | None, *, create: bool) -> Where | Misconfigured:
    """As :func:`locate`, with the error returned: whoever raises it has let go of ``url``, and of its password."""
    try:
        return _located(url, schema, create=create)
    except Misconfigured as exc:
        return Misconfigured(exc.problem)


def _located(url: str | None, schema: str | None, *, create: bool) -> Where:
    url = url or os.environ.get("RECAPITO_DATABASE") or None
    if url is None:
        if not create and not default_database_file().exists():
            raise Misconfigured(problem("STORE-NOWHERE", variable="RECAPITO_DATABASE"))
        url = default_database_url()
    parsed = _parsed(url)
    _refuse_controls(parsed)
    wanted = parsed.query.get("schema"), parsed.query.get("timeout")
    schema = schema or (wanted[0] if isinstance(wanted[0], str) else None)
    parsed = parsed.difference_update_query(["schema", "timeout"])
    patience = _patience(wanted[1])
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, patience)
    # libpq takes passwords there too: password=, sslpassword=.
    secret = [name for name in parsed.query if "password" in name.lower()]
    shown = parsed.difference_update_query(secret).render_as_string(hide_password=True)
    if schema is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", schema):
        raise _bad(Phrase("a schema is named with letters, digits and underscores"))
    return Where(parsed, shown + (f" ({schema})" if schema else ""), None, schema, patience)


def _parsed(url: str) -> "URL":
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None:
        raise _bad(Phrase("it does not look like sqlite:///file.db or postgresql://user@host/name"))
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg"}:
        raise _bad(Phrase("{kind} is not supported; SQLite and PostgreSQL are", kind=parsed.drivername))
    return parsed


def _refuse_controls(parsed: "URL") -> None:
    # libpq ends a text at a NUL: "db.example.it%00.evil" would be another host than the one that is shown.
    own = [(name, value) for name, value in parsed._asdict().items() if name != "query"]
    for name, value in (*own, *parsed.query.items()):
        texts = (name, *value) if isinstance(value, tuple) else (name, str(value))
        if any(_CONTROL.search(text) for text in texts):
            shown = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", name)
            raise _bad(Phrase("{name} holds a control character, or half of a surrogate pair", name=shown))


def _sqlite(parsed: "URL", patience: float) -> Where:
    if parsed.database in {None, "", ":memory:"} or parsed.query:
        raise _bad(Phrase("a SQLite store is a plain file, as in sqlite:///folder/recapito.db"))
    path = Path(str(parsed.database)).absolute()
    parsed = parsed.set(database=str(path))
    return Where(parsed, str(parsed), path, None, patience)


def _patience(given: object) -> float:
    try:
        seconds = float(str(given)) if given is not None else PATIENCE
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST:  # neither is a nan
        raise _bad(Phrase("timeout= is a number of seconds from 0 to {most}", most=_LONGEST))
    return seconds


def _bad(reason: Phrase) -> Misconfigured:
    return Misconfigured(problem("STORE-URL", reason=reason))
