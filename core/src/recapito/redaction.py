"""Logs without secrets: what a plugin writes is cleaned before any handler sees it."""

import base64
import hashlib
import logging
import quopri
import traceback
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote, quote_plus

from recapito.secret import Secret, Secrets

__all__ = ["Mask", "RedactingLog", "fingerprint", "redact"]

_STARS = "**********"


def fingerprint(address: str) -> str:
    """A recipient as logs at INFO and above show them: the same for the same address, and not the address."""
    return "h:" + hashlib.sha256(address.lower().encode()).hexdigest()[:12]


def redact(text: str, secrets: Iterable[Secret], account: str = "") -> str:
    """``text`` with every secret replaced by asterisks, as it is or encoded (base64, percent, quoted-printable).

    ``account`` is the user name that stands before a password in the base64 of AUTH PLAIN and XOAUTH2.
    """
    return Mask(secrets, account)(text)


class Mask:
    """What :func:`redact` does, for many texts: the forms are found once, and a text without any costs 1 µs."""

    __slots__ = ("_forms",)

    def __init__(self, secrets: Iterable[Secret], account: str = "") -> None:
        forms = dict.fromkeys(form for secret in secrets for form in _forms(secret, account))
        # Secrets themselves: what each form is must not show where the secret does not.
        self._forms = tuple(Secret(form) for form in forms)

    def __call__(self, text: str) -> str:
        """``text`` with every form replaced by asterisks."""
        for form in self._forms:
            if form.reveal() in text:
                text = text.replace(form.reveal(), _STARS)
        return text


def _forms(secret: Secret, account: str) -> Iterator[str]:
    """The ways ``secret`` can be written, the longest first where one holds another."""
    if not secret:
        return
    raw = secret.reveal().encode()
    # Base64 depends on what stands before: with 0, 1 or 2 octets in front, the middle is always the same text.
    for before in (f"\0{account}\0", f"{account}\0{account}\0", f"user={account}\x01auth=Bearer "):
        yield base64.b64encode(before.encode() + raw).decode().rstrip("=")
    for lead in range(3):
        middle = base64.b64encode(b"\0" * lead + raw).decode().rstrip("=")
        kept = middle[(0, 2, 3)[lead] : len(middle) - (1 if (lead + len(raw)) % 3 else 0)]
        if len(kept) >= 4:
            yield kept
            yield kept.replace("+", "-").replace("/", "_")
    yield quote(secret.reveal(), safe="")
    yield quote_plus(secret.reveal())
    yield quopri.encodestring(raw).decode("ascii", "replace")
    yield repr(secret.reveal())[1:-1]
    yield secret.reveal()


class RedactingLog(logging.LoggerAdapter[logging.Logger]):
    """Writes to ``recapito.transport.NAME`` with the profile's fields, and its secrets replaced by asterisks.

    A traceback is written as redacted text and not handed on as an object: frames hold what was redacted.
    """

    def __init__(
        self, logger: logging.Logger, fields: Mapping[str, object], secrets: Secrets, account: str
    ) -> None:
        super().__init__(logger, fields)
        self._secrets = secrets
        self._account = account

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """As :meth:`logging.Logger.log`."""
        if not self.isEnabledFor(level):
            return
        text = logging.LogRecord("", level, "", 0, msg, args, None).getMessage()
        exc = kwargs.pop("exc_info", None)
        if exc:
            text += "\n" + _traceback(exc)
        text = redact(text, self._secrets.values(), self._account)
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        super().log(level, "%s", text, **kwargs)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """The profile's fields, and the caller's own ``extra`` redacted beside them."""
        extra = {
            name: redact(value, self._secrets.values(), self._account) if isinstance(value, str) else value
            for name, value in (kwargs.get("extra") or {}).items()
        }
        return msg, {**kwargs, "extra": {**(self.extra or {}), **extra}}


def _traceback(exc_info: object) -> str:
    if isinstance(exc_info, BaseException):
        return "".join(traceback.format_exception(exc_info))
    return traceback.format_exc()
