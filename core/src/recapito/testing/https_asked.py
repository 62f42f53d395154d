"""What an HTTPS server of the kit was asked, and what it says."""

import email
import email.policy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qsl, urlsplit

__all__ = ["Asked", "Body", "Said", "json_said"]

#: Bytes of a body that are kept; of a larger one the beginning, the size and the hash.
KEPT = 8_000_000


class Body:
    """A body as it comes in: counted and hashed, kept up to a size."""

    def __init__(self, keep: int = KEPT) -> None:
        self._keep = keep
        self._hash = hashlib.sha256()
        self._pieces: list[bytes] = []
        self._kept = 0
        self.size = 0

    def add(self, piece: bytes) -> None:
        """The next bytes."""
        self.size += len(piece)
        self._hash.update(piece)
        if self._kept < self._keep:
            piece = piece[: self._keep - self._kept]
            self._pieces.append(piece)
            self._kept += len(piece)

    @property
    def head(self) -> bytes:
        """What was kept: all of a body that is no larger than what is kept."""
        return b"".join(self._pieces)

    @property
    def sha256(self) -> str:
        """The hash of all of it, in hexadecimal digits."""
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. Header names are in lower case; ``body`` is its beginning where it was too large to keep."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    size: int
    sha256: str
    connection: int

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's fields; of several with one name the last."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form; empty where the body is none."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip()
        if kind != "application/x-www-form-urlencoded":
            return {}
        return dict(parse_qsl(self.body.decode("ascii", "replace"), keep_blank_values=True))

    @property
    def bearer(self) -> str:
        """The token of the Authorization header; empty where there is none."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme == "Bearer" else ""

    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def message(self) -> EmailMessage:
        """The body, read as a message."""
        return email.message_from_bytes(self.body, policy=email.policy.default)


@dataclass(frozen=True, slots=True)
class Said:
    """One answer."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def json_said(status: int, data: object, **headers: str) -> Said:
    """An answer in JSON; underscores in names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Said(status, json.dumps(data).encode(), {"Content-Type": "application/json", **named})
