"""An EmailMessage of the standard library: its tree written anew, since its own writer lets too much through."""

import re
from collections.abc import Iterator, Sequence
from email import errors, policy
from email.message import Message
from email.policy import EmailPolicy

from recapito.errors import InvalidMessage
from recapito.invalid import check_text, invalid
from recapito.profile import Profile
from recapito.rendering.base64stream import Base64
from recapito.rendering.body import Body, text_body, with_crlf
from recapito.rendering.finished import check_wire, parts_of
from recapito.rendering.header import encoded_field, parameter_field
from recapito.rendering.ready import HeaderField, prepare, read_value
from recapito.rendering.rendered import Rendered
from recapito.rendering.source import BytesSource
from recapito.rendering.streamed import LeafPart, StreamedContent, split_head
from recapito.rendering.structure import Leaf, Node, leaves, multipart, readable, write

__all__ = ["render_standard"]

#: Fields that are written from what they mean, not from their text.
_STRUCTURED = frozenset({"content-type", "content-disposition", "content-transfer-encoding"})

#: Encodings for octets; from here on all of them are base64.
_BINARY = frozenset({"base64", "uuencode", "x-uuencode", "uue", "x-uue"})

#: Parts inside parts; more than that is an attack on whoever reads it.
_DEPTH = 50

#: What the standard library raises on headers and trees that it cannot make sense of.
_FAULTS = (errors.MessageError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

_TOKEN = re.compile(r"[A-Za-z0-9!#$&^_.+-]+(?:/[A-Za-z0-9!#$&^_.+-]+)?")

Parameters = tuple[tuple[str, str], ...]


def render_standard(message: Message, profile: Profile, to: Sequence[str] | None) -> Rendered:
    """``message`` as it leaves; it is not changed itself."""
    fields = [field for field in _fields(message) if not _is_mime(field)]
    ready = prepare(fields, profile, to, complete=True)
    tree = _node(message, 0, outermost=True)
    segments = write(ready.head + "MIME-Version: 1.0\r\n", tree)
    content = StreamedContent(segments, ready.message_id, lambda: tuple(_parts(tree)))
    return Rendered(ready.envelope, content, ready.message_id)


def _fields(part: Message) -> Iterator[HeaderField]:
    # raw_items, since reading a header of a parsed message through its policy may raise anything.
    for name, value in part.raw_items():
        yield read_value(name, value)


def _is_mime(field: HeaderField) -> bool:
    return field.key.startswith("content-") or field.key == "mime-version"


def _parts(tree: Node) -> Iterator[LeafPart]:
    for leaf in leaves(tree):
        if leaf.content_type.startswith("multipart/") and isinstance(leaf.body, Body):
            yield from parts_of(leaf.head.encode() + b"\r\n" + leaf.body.octets)
        else:
            yield LeafPart.of(leaf)


def _node(part: Message, depth: int, *, outermost: bool) -> Node:
    if depth > _DEPTH:
        raise invalid("MSG-NESTED", limit=_DEPTH)
    content_type, parameters = _structured(part, "Content-Type") or (part.get_default_type(), ())
    main = content_type.partition("/")[0]
    if content_type == "multipart/signed" or (main == "message" and content_type != "message/rfc822"):
        return _verbatim(part, content_type, outermost=outermost)
    own = [field for field in _fields(part) if not outermost or _is_mime(field)]
    own = [field for field in own if field.key not in _STRUCTURED and field.key != "mime-version"]
    rest = "".join([field.written() for field in own])
    if main == "multipart":
        children = [_node(child, depth + 1, outermost=False) for child in _children(part, content_type)]
        extra = tuple((key, text) for key, text in parameters if key != "boundary")
        return multipart(content_type.partition("/")[2], children, extra, rest)
    if part.is_multipart():
        body: Body | Base64 = _nested(part, content_type, depth)
    else:
        body, parameters = _body(part, main == "text", parameters)
    return _leaf(part, content_type, parameters, body, own, rest)


def _leaf(
    part: Message,
    content_type: str,
    parameters: Parameters,
    body: Body | Base64,
    own: Sequence[HeaderField],
    rest: str,
) -> Leaf:
    encoding = body.encoding if isinstance(body, Body) else "base64"
    head = parameter_field("Content-Type", content_type, parameters)
    head += f"Content-Transfer-Encoding: {encoding}\r\n"
    fields = [("content-type", readable(content_type, parameters)), ("content-transfer-encoding", encoding)]
    filename = dict(parameters).get("name")
    if disposition := _structured(part, "Content-Disposition"):
        head += parameter_field("Content-Disposition", *disposition)
        fields.append(("content-disposition", readable(*disposition)))
        filename = dict(disposition[1]).get("filename", filename)
    fields += [(field.key, field.text) for field in own]
    return Leaf(head + rest, tuple(fields), content_type, body, filename)


def _structured(part: Message, name: str) -> tuple[str, Parameters] | None:
    """Value and parameters of a MIME field, decoded and checked; None where the part has none."""
    value = next((value for key, value in part.raw_items() if key.lower() == name.lower()), None)
    if value is None:
        return None
    try:
        header = (
            value
            if hasattr(value, "params")
            else policy.default.header_factory(name, read_value(name, value).text)
        )
        text = (
            getattr(header, "content_type", None)
            or getattr(header, "content_disposition", None)
            or "attachment"
        )
        parameters = tuple((key.lower(), check_text(text, name)) for key, text in header.params.items())
    except _FAULTS as exc:
        if isinstance(exc, InvalidMessage):
            raise
        raise invalid("MSG-STRUCTURE", reason=name) from exc
    if not all(_TOKEN.fullmatch(token) for token in (text, *dict(parameters))):
        raise invalid("MSG-STRUCTURE", reason=name)
    return text.lower(), parameters


def _children(part: Message, content_type: str) -> list[Message]:
    payload = part.get_payload() if part.is_multipart() else None
    children = [child for child in payload if isinstance(child, Message)] if isinstance(payload, list) else []
    if not children:
        raise invalid("MSG-STRUCTURE", reason=f"{content_type} without parts")
    return children


def _nested(part: Message, content_type: str, depth: int) -> Body:
    """A message inside the message, written by the same rules (its own Bcc is part of what was attached)."""
    inner, *more = _children(part, content_type)
    if content_type != "message/rfc822" or more:
        raise invalid("MSG-STRUCTURE", reason=content_type)
    head = "".join(field.written() for field in _fields(inner) if not field.key.startswith("content-"))
    segments = write(head, _node(inner, depth + 1, outermost=True))
    octets = b"".join(
        segment if isinstance(segment, bytes) else b"".join(segment.blocks()) for segment in segments
    )
    return Body(octets, "7bit" if octets.isascii() else "8bit")


def _body(part: Message, is_text: bool, parameters: Parameters) -> tuple[Body | Base64, Parameters]:
    """The body in an encoding that keeps every line lawful, and the parameters that then describe it."""
    encoding = next((f.text.lower() for f in _fields(part) if f.key == "content-transfer-encoding"), "7bit")
    try:
        data = part.get_payload(decode=True)
    except (*_FAULTS, NameError) as exc:  # NameError: bytes as payload, in quoted-printable
        raise invalid("MSG-STRUCTURE", reason="Content-Transfer-Encoding") from exc
    data = bytes(data) if isinstance(data, (bytes, bytearray)) else b""
    if encoding in _BINARY:
        return Base64(BytesSource(data)), parameters
    if encoding != "quoted-printable" and (text := _unencoded(part, data, parameters)) is not None:
        data = text.encode("utf-8", "replace")
        parameters = (*((key, value) for key, value in parameters if key != "charset"), ("charset", "utf-8"))
    # NUL is of UTF-16 and its like, where a line end is not one octet.
    if is_text and b"\0" not in data:
        return text_body(data), parameters
    return Base64(BytesSource(data)), parameters


def _unencoded(part: Message, data: bytes, parameters: Parameters) -> str | None:
    """The text of a payload that was set as text and never encoded: ``data`` is then not what was meant."""
    try:
        text = part.get_payload()
        if not isinstance(text, str) or text.isascii():
            return None
        return None if data.decode(dict(parameters).get("charset", "ascii"), "replace") == text else text
    except _FAULTS:  # octets that were parsed, under a charset that nobody knows
        return None


def _verbatim(part: Message, content_type: str, *, outermost: bool) -> Leaf:
    """A part that a signature covers, or whose parts are header blocks: as the standard library writes it."""
    for inner in part.walk():
        list(_fields(inner))
    writing = policy.SMTP if isinstance(part.policy, EmailPolicy) else policy.compat32.clone(linesep="\r\n")
    if isinstance(writing, EmailPolicy):
        writing = writing.clone(refold_source="none")
    try:
        octets = with_crlf(part.as_bytes(policy=writing))
    except _FAULTS as exc:
        raise invalid("MSG-STRUCTURE", reason=content_type) from exc
    fields, start = split_head(octets)
    body = octets[start:]
    check_wire(body)
    own = [(name, text) for name, text in fields if not outermost or name.lower().startswith("content-")]
    head = "".join(encoded_field(name, text) for name, text in own if name.lower() != "mime-version")
    return Leaf(
        head,
        tuple((name.lower(), text) for name, text in own),
        content_type,
        Body(body, "7bit" if body.isascii() else "8bit"),
    )
