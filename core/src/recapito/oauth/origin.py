"""Where a request goes: an address taken apart, and refused where nothing may be sent there."""

import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from recapito.oauth.failure import HttpFailure

__all__ = ["Origin", "Target"]

_PLAIN = re.compile(r"[\x21-\x7e]+")
_HTTPS, _HTTP = 443, 80


@dataclass(frozen=True, slots=True)
class Origin:
    """One end of a connection."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port as CONNECT and Host have them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def of_proxy(cls, url: str) -> "tuple[Self, bool]":
        """A proxy, and whether it is spoken to over TLS itself. ValueError where ``url`` names none."""
        place = urlsplit(url)
        if place.scheme not in ("http", "https") or not place.hostname or place.username is not None:
            raise ValueError("a proxy is named as http://host:port, without a user")
        tls = place.scheme == "https"
        return cls(place.hostname, place.port or (_HTTPS if tls else _HTTP)), tls


@dataclass(frozen=True, slots=True)
class Target:
    """An https address: who is connected to, and what is asked for there, which may be a secret."""

    origin: Origin
    host: str
    path: str = field(repr=False)

    @classmethod
    def of(cls, url: str) -> Self:
        """HttpFailure (``url``) where ``url`` is not plain https: it may hold a secret, so its text does not."""
        try:
            place = urlsplit(url)
            port = place.port or _HTTPS
        except ValueError:
            raise HttpFailure("url", via="http", text="not an address") from None
        if place.scheme != "https" or not place.hostname or "@" in place.netloc or not _PLAIN.fullmatch(url):
            raise HttpFailure("url", via="http", text="not a plain https address")
        path = (place.path or "/") + (f"?{place.query}" if place.query else "")
        return cls(Origin(place.hostname, port), place.netloc, path)
