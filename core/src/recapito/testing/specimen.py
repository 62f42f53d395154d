"""A message for checks: finished bytes, cut into chunks, that counts how it was read."""

import email
import email.policy
from collections.abc import AsyncIterator, Mapping, Sequence
from email.message import EmailMessage

from recapito.catalogue import problem
from recapito.errors import NotSent

__all__ = ["Specimen", "SpecimenPart"]

# Everything that a careless transport changes: dots and "From " at line starts, trailing spaces, a line of 998.
_BODY = (
    b".\r\n..\r\n.text\r\nFrom the start\r\ntrailing \t\r\n\r\n"
    + b"x" * 998
    + b"\r\n=3D =20 =?utf-8?q?no?=\r\n"
)

_FILLING = b"y" * 70 + b"\r\n"
_LINE = len(_FILLING)
_LINES = 900  # 64,800 bytes a chunk


class SpecimenPart:
    """The only leaf of a specimen: its text, all of it, read and broken off as the whole is."""

    def __init__(self, specimen: "Specimen", message: EmailMessage, skip: int) -> None:
        self._specimen = specimen
        self._skip = skip
        self.headers: Mapping[str, str] = {name.lower(): str(value) for name, value in message.items()}
        self.content_type = message.get_content_type()
        self.filename: str | None = message.get_filename()

    @property
    def size(self) -> int:
        """Bytes of the text."""
        return self._specimen.size - self._skip

    async def chunks(self) -> AsyncIterator[bytes]:
        """The text."""
        skip = self._skip
        async for chunk in self._specimen.chunks():
            if rest := chunk[skip:]:
                yield rest
            skip = max(0, skip - len(chunk))


class Specimen:
    """A :class:`recapito.content.Content` made of ``head`` and a body, ``size`` bytes in all where given.

    ``handed`` counts the bytes that were read in the last reading, ``readings`` how often reading began. With
    ``changes_after`` a file "changes" once so many bytes were read (NotSent, MSG-CHANGED).
    """

    def __init__(
        self,
        head: bytes,
        *,
        message_id: str = "<specimen@example.it>",
        size: int | None = None,
        changes_after: int | None = None,
    ) -> None:
        self._head = head + b"\r\n" + _BODY
        filling = (size or 0) - len(self._head)
        self._filling = filling if filling >= 2 else 0  # the end of a line takes two
        self._changes_after = changes_after
        self.message_id = message_id
        self.is_7bit = True
        self.handed = 0
        self.readings = 0
        self.closed = False

    @classmethod
    def of(
        cls,
        sender: str,
        recipients: Sequence[str],
        *,
        mark: str = "specimen",
        size: int | None = None,
        changes_after: int | None = None,
    ) -> "Specimen":
        """A message from ``sender`` to ``recipients`` with ``mark`` in subject and Message-ID."""
        message_id = f"<{mark}@{sender.rpartition('@')[2]}>"
        head = "\r\n".join(
            [
                f"From: {sender}",
                "To: " + ",\r\n ".join(recipients),
                f"Subject: {mark}",
                "Date: Mon, 02 Nov 2026 09:00:00 +0100",
                f"Message-ID: {message_id}",
                "MIME-Version: 1.0",
                "Content-Type: text/plain; charset=us-ascii",
                "",
            ]
        )
        return cls(head.encode(), message_id=message_id, size=size, changes_after=changes_after)

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self._head) + self._filling

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The header fields, unfolded."""
        return tuple((name, str(value)) for name, value in self._parsed().items())

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes from the first on, anew at each call."""
        self.handed = 0
        self.readings += 1
        for start in range(0, len(self._head), 500):
            yield self._count(self._head[start : start + 500])
        lines = max(0, self._filling // _LINE - 1)
        for start in range(0, lines, _LINES):
            yield self._count(_FILLING * min(_LINES, lines - start))
        if self._filling:
            yield self._count(b"y" * (self._filling - lines * _LINE - 2) + b"\r\n")

    async def whole(self) -> bytes:
        """All the bytes at once."""
        readings, handed = self.readings, self.handed
        data = b"".join([chunk async for chunk in self.chunks()])
        self.readings, self.handed = readings, handed
        return data

    def with_header(self, name: str, value: str) -> "Specimen":
        """The same with one more field on top."""
        end = self._head.index(b"\r\n\r\n") + 2
        return Specimen(
            f"{name}: {value}\r\n".encode() + self._head[:end],
            message_id=self.message_id,
            size=self.size + len(name) + len(value) + 4 if self._filling else None,
            changes_after=self._changes_after,
        )

    def parts(self) -> tuple[SpecimenPart, ...]:
        """Its one leaf."""
        return (SpecimenPart(self, self._parsed(), self._head.index(b"\r\n\r\n") + 4),)

    def close(self) -> None:
        """Nothing is held open."""
        self.closed = True

    def _parsed(self) -> EmailMessage:
        return email.message_from_bytes(self._head, policy=email.policy.default)

    def _count(self, piece: bytes) -> bytes:
        self.handed += len(piece)
        if self._changes_after is not None and self.handed > self._changes_after:
            raise NotSent(problem("MSG-CHANGED", file="fattura.pdf"))
        return piece
