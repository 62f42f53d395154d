"""The bytes that leave, as a stream whose size is known beforehand."""

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

__all__ = ["Content", "Part"]


class Part(Protocol):
    """A leaf of the MIME tree."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The part's own header fields, unfolded and decoded; names in lower case."""
        ...

    @property
    def content_type(self) -> str:
        """``type/subtype`` in lower case."""
        ...

    @property
    def filename(self) -> str | None:
        """The decoded file name, or None."""
        ...

    @property
    def size(self) -> int:
        """Bytes of the decoded content."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The decoded content, a fresh iterator each call."""
        ...


class Content(Protocol):
    """RFC 5322 bytes, rendered: lines end in CRLF, none is longer than 998 octets, no bare CR, LF or NUL."""

    @property
    def size(self) -> int:
        """Bytes of the whole content, exact before the first of them is read."""
        ...

    @property
    def message_id(self) -> str:
        """``<id@domain>``, as in the header."""
        ...

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The top header fields in order, unfolded and decoded. There is no Bcc among them."""
        ...

    @property
    def is_7bit(self) -> bool:
        """True where every octet is ASCII, so that the server needs no 8BITMIME (RFC 6152)."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes in order: a fresh iterator each call, so that a retry starts anew and sends the same.

        Raises :class:`recapito.errors.NotSent` (MSG-CHANGED) where a file changed or ended early; the channel
        must then be closed before the end of the content.
        """
        ...

    def with_header(self, name: str, value: str) -> "Content":
        """The same content with one more header field on top: how a header-driven transport adds Bcc."""
        ...

    def parts(self) -> tuple[Part, ...]:
        """The leaves of the MIME tree in order, for providers that take no MIME."""
        ...

    def close(self) -> None:
        """Release the files it holds open. It may be called twice."""
        ...
