"""Rendered content: segments in order, sizes known, files read as they are sent."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import cached_property

from recapito.address import parse_address_list
from recapito.content import Part
from recapito.errors import InvalidMessage
from recapito.invalid import check_text, decoded_words
from recapito.rendering.base64stream import BLOCK, Base64
from recapito.rendering.body import decode
from recapito.rendering.header import address_field, check_name, text_field
from recapito.rendering.source import BytesSource, Source
from recapito.rendering.structure import Leaf, Segment

__all__ = ["ADDRESS_FIELDS", "LeafPart", "StreamedContent", "split_head"]

#: The fields that hold addresses, in lower case.
ADDRESS_FIELDS = frozenset(
    f"{prefix}{name}"
    for prefix in ("", "resent-")
    for name in ("from", "sender", "reply-to", "to", "cc", "bcc")
)


class LeafPart:
    """A leaf for providers that take no MIME: what it says, and its decoded octets."""

    def __init__(
        self, fields: Iterable[tuple[str, str]], content_type: str, filename: str | None, source: Source
    ) -> None:
        self.headers: Mapping[str, str] = dict(fields)
        self.content_type = content_type
        self.filename = filename
        self._source = source

    @classmethod
    def of(cls, leaf: Leaf) -> "LeafPart":
        """The part of a leaf that we wrote."""
        source = leaf.body.source if isinstance(leaf.body, Base64) else BytesSource(decode(leaf.body))
        return cls(leaf.fields, leaf.content_type, leaf.filename, source)

    @property
    def size(self) -> int:
        """Octets of the decoded content."""
        return self._source.size

    async def chunks(self) -> AsyncIterator[bytes]:
        """The decoded content; raises NotSent (MSG-CHANGED) as :meth:`StreamedContent.chunks` does."""
        for offset in range(0, self._source.size, BLOCK):
            yield self._source.read(offset, min(BLOCK, self._source.size - offset))


class StreamedContent:
    """Implements :class:`recapito.content.Content` for every kind of message."""

    def __init__(
        self,
        segments: Sequence[Segment],
        message_id: str,
        parts: Callable[[], tuple[Part, ...]],
        sources: Sequence[Source] = (),
    ) -> None:
        self.size = sum(len(part) if isinstance(part, bytes) else part.size for part in segments)
        self.message_id = message_id
        self._segments, self._parts, self._sources = segments, parts, sources

    def __repr__(self) -> str:
        return f"<content {self.message_id}, {self.size} octets>"

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The top header fields in order, unfolded and decoded."""
        head = self._segments[0]
        assert isinstance(head, bytes)
        return tuple((name, _readable(name, value)) for name, value in split_head(head)[0])

    @cached_property
    def is_7bit(self) -> bool:
        """True where every octet is ASCII."""
        return all(segment.isascii() for segment in self._segments if isinstance(segment, bytes))

    async def chunks(self) -> AsyncIterator[bytes]:
        """The octets in order, the same each time; NotSent (MSG-CHANGED) where a file is no longer what it was."""
        for segment in self._segments:
            if isinstance(segment, Base64):
                for block in segment.blocks():
                    yield block
            elif len(segment) <= BLOCK:
                yield segment
            else:
                for start in range(0, len(segment), BLOCK):
                    yield segment[start : start + BLOCK]

    def with_header(self, name: str, value: str) -> "StreamedContent":
        """The same content with one more header field on top; InvalidMessage where it cannot be one."""
        line = _line(check_name(name), check_text(value, name))
        head, *rest = self._segments
        assert isinstance(head, bytes)
        return StreamedContent((line.encode() + head, *rest), self.message_id, self._parts, self._sources)

    def parts(self) -> tuple[Part, ...]:
        """The leaves of the MIME tree in order."""
        return self._parts()

    def close(self) -> None:
        """Release the files it holds open. It may be called twice."""
        for source in self._sources:
            source.close()


def split_head(octets: bytes) -> tuple[list[tuple[str, str]], int]:
    """The header fields of CRLF-normalised ``octets``, unfolded, and where the body starts."""
    end = octets.find(b"\r\n\r\n")
    head, body = (octets, len(octets)) if end < 0 else (octets[:end], end + 4)
    text = head.decode("utf-8", "surrogateescape").rstrip("\r\n")
    unfolded = text.replace("\r\n ", " ").replace("\r\n\t", " ")
    fields = [line.partition(":") for line in unfolded.split("\r\n")] if text else []
    return [(name, value.strip(" \t")) for name, _, value in fields], body


def _line(name: str, value: str) -> str:
    if name.lower() in ADDRESS_FIELDS:
        return address_field(name, parse_address_list(value, name))
    return text_field(name, value)


def _readable(name: str, value: str) -> str:
    lower = name.lower()
    if lower in ADDRESS_FIELDS:
        try:
            return ", ".join(map(str, parse_address_list(value, name)))
        except InvalidMessage:
            return decoded_words(value)
    if lower.startswith("content-"):
        from email import policy

        return str(policy.default.header_factory(name, value))
    return decoded_words(value)
