"""Looks for secrets where they must not be: records of every logger, reprs, tracebacks with locals."""

import base64
import json
import logging
import quopri
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import quote, quote_plus

from recapito.secret import Secret
from recapito.testing.serving import THREAD_PREFIX

__all__ = ["Leaks"]


class Leaks:
    """Collects what is shown; :meth:`found` says which secrets are in it, in whatever encoding."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside it every logger writes at DEBUG to this object, whatever it was told before.

        What threads of the kit write is the far side's, and not heard.
        """
        handler = _Listener(self)
        manager = logging.Logger.manager
        loggers = [
            logging.root,
            *(each for each in manager.loggerDict.values() if isinstance(each, logging.Logger)),
        ]
        before = [(each, each.level, each.disabled, each.propagate) for each in loggers]
        disabled = manager.disable
        try:
            manager.disable = 0
            for each in loggers:
                each.setLevel(logging.DEBUG)
                each.disabled = False
                each.propagate = True
            logging.root.addHandler(handler)
            yield
        finally:
            logging.root.removeHandler(handler)
            manager.disable = disabled
            for each, level, off, propagate in before:
                each.setLevel(level)
                each.disabled = off
                each.propagate = propagate

    def look_at(self, what: str, value: object) -> None:
        """Take in how ``value`` shows itself, and its attributes."""
        self.shown.append((f"repr of {what}", repr(value)))
        for name, attribute in getattr(value, "__dict__", {}).items():
            self.shown.append((f"{what}.{name}", repr(attribute)))

    def look_at_error(self, what: str, error: BaseException) -> None:
        """Take in an error as a crash reporter does: causes and contexts, each frame with its locals."""
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        self.shown.append((f"traceback of {what}", "".join(shown.format())))
        self.look_at(what, error)

    def found(self, secrets: Iterable[tuple[str, Secret]]) -> list[str]:
        """A line for each place where a secret shows: which one, where, how encoded."""
        forms = [(name, form) for name, secret in secrets for form in _shown(secret)]
        return [
            f"{name} ({encoding}) in {place}"
            for place, text in self.shown
            for name, (encoding, written) in forms
            if written in text
        ]


class _Listener(logging.Handler):
    def __init__(self, leaks: Leaks) -> None:
        super().__init__(logging.DEBUG)
        self._leaks = leaks

    def emit(self, record: logging.LogRecord) -> None:
        if (record.threadName or "").startswith(THREAD_PREFIX):
            return
        where = f"a record of {record.name}"
        self._leaks.shown.append((where, logging.Formatter().format(record)))
        self._leaks.shown.append((where, repr(record.__dict__)))
        if record.exc_info and record.exc_info[1]:
            self._leaks.look_at_error(where, record.exc_info[1])


def _shown(secret: Secret) -> Iterator[tuple[str, str]]:
    """Each form, and how ``repr`` of a text or of bytes that hold it shows it."""
    for encoding, written in _forms(secret):
        for shown in dict.fromkeys((written, repr(written)[1:-1], repr(written.encode())[2:-1])):
            yield encoding, shown


def _forms(secret: Secret) -> Iterator[tuple[str, str]]:
    raw = secret.reveal().encode()
    yield "as it is", secret.reveal()
    yield "as JSON", json.dumps(secret.reveal())[1:-1]
    for encode in (quote, quote_plus):
        yield "percent", encode(secret.reveal(), safe="")
        yield "percent", encode(secret.reveal(), safe="").lower()
    yield "quoted-printable", quopri.encodestring(raw).decode("ascii")
    yield "hexadecimal", raw.hex()
    # What stands before it in AUTH PLAIN or XOAUTH2 shifts base64 by 0, 1 or 2 octets; the middle stays the same.
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + raw).decode().rstrip("=")
        middle = encoded[(0, 2, 3)[lead] : -2]
        if len(middle) >= 6:
            yield "base64", middle
            yield "base64", middle.replace("+", "-").replace("/", "_")
