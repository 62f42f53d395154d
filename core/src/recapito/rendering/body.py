"""Bodies made fit for the wire: 7bit where they are, quoted-printable or base64 where not, never 8bit."""

import binascii
import re
from dataclasses import dataclass
from typing import Literal

from recapito.rendering.base64stream import encode_lines
from recapito.rendering.header import LIMIT

__all__ = ["Body", "Encoding", "decode", "first_long_line", "is_plain", "text_body", "with_crlf"]

#: "8bit" only for what must not be changed: finished bytes and signed parts.
Encoding = Literal["7bit", "8bit", "quoted-printable", "base64"]

_LINE_END = re.compile(rb"\r\n|\r|\n")
_NOT_PLAIN = re.compile(rb"[^\t\r\n\x20-\x7e]")

#: What quoted-printable leaves as it is.
_UNCHANGED = bytes([octet for octet in range(0x20, 0x7F) if octet != ord("=")]) + b"\t\r\n"


@dataclass(frozen=True, slots=True)
class Body:
    """A body as it leaves, and how it was encoded."""

    octets: bytes
    encoding: Encoding


def with_crlf(data: bytes) -> bytes:
    """``data`` with every line end written CRLF: bare CR and bare LF too."""
    ends = data.count(b"\n")
    if ends == data.count(b"\r\n") == data.count(b"\r"):
        return data
    if b"\r" not in data:
        return data.replace(b"\n", b"\r\n")
    return _LINE_END.sub(b"\r\n", data)


def text_body(data: bytes) -> Body:
    """Text in a charset that contains ASCII, its line ends normalised."""
    data = with_crlf(data)
    if is_plain(data):
        return Body(data, "7bit")
    special = len(data.translate(None, _UNCHANGED))
    # Each costs two more octets in quoted-printable; base64 costs a third of everything.
    if special * 6 <= len(data):
        # It breaks lines as the first one in the data ends, with a bare LF where there is none.
        return Body(with_crlf(binascii.b2a_qp(data)), "quoted-printable")
    return Body(encode_lines(data), "base64")


def is_plain(data: bytes) -> bool:
    """Whether CRLF-normalised ``data`` may leave as it is: printable ASCII in lines of at most 998."""
    return _NOT_PLAIN.search(data) is None and first_long_line(data) is None


def first_long_line(data: bytes) -> int | None:
    """Where the first line above 998 octets starts in CRLF-normalised ``data``; None where there is none."""
    start, end = 0, len(data)
    while end - start > LIMIT:
        # One leap of up to a thousand octets: to the last line end that a lawful line would have to reach.
        line_end = data.rfind(b"\n", start, start + LIMIT + 2)
        if line_end < 0:
            return start
        start = line_end + 1
    return None


def decode(body: Body) -> bytes:
    """The octets that ``body`` stands for."""
    match body.encoding:
        case "base64":
            return binascii.a2b_base64(body.octets)
        case "quoted-printable":
            return binascii.a2b_qp(body.octets)
    return body.octets
