"""A message given as bytes: its body stays as it is but for line ends; what may not leave is refused by its line."""

import re
from collections.abc import Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage

from recapito.invalid import invalid
from recapito.profile import Profile
from recapito.rendering.body import first_long_line, with_crlf
from recapito.rendering.ready import HeaderField, prepare
from recapito.rendering.rendered import Rendered
from recapito.rendering.source import BytesSource
from recapito.rendering.streamed import LeafPart, StreamedContent

__all__ = ["check_wire", "parts_of", "render_finished"]

_HEAD_END = re.compile(rb"\r\n\r\n|\n\n|\n\r\n")


def render_finished(data: bytes, profile: Profile, to: Sequence[str] | None) -> Rendered:
    """``data`` as it leaves: From checked, Bcc taken out, Date and Message-ID made good."""
    end = _HEAD_END.search(data)
    if bare := re.search(rb"\r(?!\n)", data[: end.start()] if end else data):
        # Normalised it would begin a new field; that cannot have been meant.
        raise invalid("MSG-LINE-END", line=_line_number(data, bare.start()))
    data = with_crlf(data)
    check_wire(data)
    split = 0 if data.startswith(b"\r\n") else data.find(b"\r\n\r\n") + 2
    head, body = (data[:split], data[split:]) if split != 1 else (data, b"\r\n")
    ready = prepare(list(_fields(head)), profile, to, complete=False)
    octets = b"".join([ready.head.encode(), body, b"" if body.endswith(b"\r\n") else b"\r\n"])
    content = StreamedContent((octets,), ready.message_id, lambda: parts_of(octets))
    return Rendered(ready.envelope, content, ready.message_id)


def check_wire(data: bytes) -> None:
    """InvalidMessage, with the line's number, where CRLF-normalised ``data`` has NUL or a line above 998."""
    if (position := data.find(b"\0")) >= 0:
        raise invalid("MSG-NUL", line=_line_number(data, position))
    if (start := first_long_line(data)) is not None:
        raise invalid("MSG-LINE-LONG", line=_line_number(data, start))


def _line_number(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def _fields(head: bytes) -> list[HeaderField]:
    text = head.decode("utf-8", "surrogateescape")
    fields: list[HeaderField] = []
    for lines in re.split(r"(?<=\r\n)(?![ \t])", text):
        if lines.strip():
            name, _, value = lines.partition(":")
            unfolded = re.sub(r"\r\n(?=[ \t])", "", value).rstrip("\r\n").replace("\t", " ").strip(" ")
            whole = lines if lines.endswith("\r\n") else lines + "\r\n"
            fields.append(HeaderField(name, unfolded, lines=whole).checked())
    return fields


def parts_of(data: bytes) -> tuple[LeafPart, ...]:
    """The leaves of a whole message."""
    message = message_from_bytes(data, policy=policy.default)
    return tuple(_part(part) for part in message.walk() if not part.is_multipart())


def _part(part: EmailMessage) -> LeafPart:
    payload = part.get_payload(decode=True)
    source = BytesSource(payload if isinstance(payload, bytes) else b"")
    fields = [(name.lower(), str(value)) for name, value in part.items()]
    return LeafPart(fields, part.get_content_type(), part.get_filename(), source)
