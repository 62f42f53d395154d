"""Replies of a server: read from its bytes within bounds, whatever it sends."""

import re
from dataclasses import dataclass, field

from recapito.problem import REPLY_LIMIT, clean_reply

__all__ = ["LINES_LIMIT", "LINE_LIMIT", "Garbled", "Reply", "ReplyParser"]

#: Octets of one line. RFC 5321 allows 512, a SASL challenge needs 12,288 (RFC 4954 §4).
LINE_LIMIT = 16_384
#: Lines of one reply; an EHLO has about twenty.
LINES_LIMIT = 256
#: Replies that are kept to be recognised, and the longest of them in octets.
_KEPT, _KEPT_LENGTH = 16, 80
#: Octets of one reply.
_REPLY_LIMIT = 65_536

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?= |$)")


class Garbled(Exception):
    """The server sent what is no SMTP reply: the rest of the line cannot be trusted. Its text says what it was."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: its status, its enhanced code (RFC 3463, empty where there is none) and the text of its lines.

    The lines are plain text: control characters, escape sequences and bidirectional marks are gone. ``clean`` is
    False where they were no UTF-8. They are not in the repr: some servers repeat a password, and reprs end in
    tracebacks.
    """

    status: int
    lines: tuple[str, ...] = field(default=("",), repr=False)
    enhanced: str = ""
    clean: bool = True

    @property
    def positive(self) -> bool:
        """Whether it is a 2xx."""
        return 200 <= self.status < 300

    @property
    def negative(self) -> bool:
        """Whether it is a 4xx or 5xx: a refusal, for now or for good."""
        return self.status >= 400

    @property
    def text(self) -> str:
        """The words, without the codes, capped to what may be shown and kept."""
        return clean_reply("\n".join(self.lines)) if len(self.lines) > 1 else self.lines[0][:REPLY_LIMIT]

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.status), self.enhanced, self.text) if part)


class ReplyParser:
    """Takes bytes as they come and gives whole replies."""

    __slots__ = ("_buffer", "_clean", "_known", "_lines", "_scanned", "_size", "_status")

    def __init__(self) -> None:
        self._buffer = bytearray()
        # Replies of one line that came before: to MAIL and RCPT a server always says the same.
        self._known: dict[bytes, Reply] = {}
        self._scanned = 0
        self._forget()

    def _forget(self) -> None:
        self._status = b""
        self._lines: list[str] = []
        self._size = 0
        self._clean = True

    @property
    def pending(self) -> bool:
        """Whether a reply has begun that has not ended."""
        return bool(self._buffer or self._lines)

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that ``data`` completes; Garbled where it cannot be one, or is too long."""
        if not self._buffer and data.endswith(b"\n"):
            return [reply for line in data.split(b"\n")[:-1] if (reply := self._whole_line(line))]
        self._buffer += data
        replies: list[Reply] = []
        start = 0
        while (end := self._buffer.find(b"\n", max(start, self._scanned))) >= 0:
            reply = self._whole_line(bytes(self._buffer[start:end]))
            start = end + 1
            if reply:
                replies.append(reply)
        del self._buffer[:start]
        self._scanned = len(self._buffer)
        if self._scanned > LINE_LIMIT:
            raise Garbled("a line without end")
        return replies

    def _whole_line(self, line: bytes) -> Reply | None:
        if len(line) > _KEPT_LENGTH or self._lines:
            if len(line) > LINE_LIMIT:
                raise Garbled("a line without end")
            return self._line(line.removesuffix(b"\r"))
        if (known := self._known.get(line)) is not None:
            return known
        reply = self._line(line.removesuffix(b"\r"))
        if reply is not None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[line] = reply
        return reply

    def _line(self, line: bytes) -> Reply | None:
        match = _LINE.fullmatch(line)
        if match is None or (self._status and match[1] != self._status):
            raise Garbled(clean_reply(line.decode("utf-8", "backslashreplace")))
        self._status = match[1]
        self._lines.append(self._decoded(match[3] or b""))
        self._size += len(line)
        if len(self._lines) > LINES_LIMIT or self._size > _REPLY_LIMIT:
            raise Garbled("a reply without end")
        return None if match[2] == b"-" else self._whole()

    def _decoded(self, text: bytes) -> str:
        try:
            return text.decode()
        except UnicodeDecodeError:
            self._clean = False
            return text.decode("latin-1")

    def _whole(self) -> Reply:
        found = _ENHANCED.match(self._lines[0])
        enhanced = found[0] if found else ""
        lines = tuple(
            line.removeprefix(enhanced).strip() if enhanced else line.strip() for line in self._lines
        )
        lines = tuple(line if line.isprintable() else clean_reply(line) for line in lines)
        reply = Reply(int(self._status), lines, enhanced, self._clean)
        self._forget()
        return reply
