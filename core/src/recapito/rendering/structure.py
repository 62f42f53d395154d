"""The MIME tree: leaves with their headers and bodies, multiparts around them, written out in one pass."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from recapito.rendering.attachment import TakenFile
from recapito.rendering.base64stream import Base64
from recapito.rendering.body import Body
from recapito.rendering.header import parameter_field

__all__ = ["Leaf", "Multipart", "Node", "Segment", "file_leaf", "leaves", "multipart", "text_leaf", "write"]

#: What content consists of: octets at hand, and files that are encoded as they are sent.
Segment: TypeAlias = bytes | Base64


@dataclass(frozen=True, slots=True)
class Leaf:
    """One part: its header lines (without the blank one), the same decoded for readers, and its body."""

    head: str
    fields: tuple[tuple[str, str], ...]
    content_type: str
    body: Body | Base64
    filename: str | None = None


@dataclass(frozen=True, slots=True)
class Multipart:
    """Parts in order, under one header."""

    head: str
    boundary: str
    children: Sequence["Node"]


Node: TypeAlias = Leaf | Multipart


def text_leaf(subtype: str, body: Body) -> Leaf:
    """A text in UTF-8."""
    content_type = f'text/{subtype}; charset="utf-8"'
    return Leaf(
        f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {body.encoding}\r\n",
        (("content-type", content_type), ("content-transfer-encoding", body.encoding)),
        f"text/{subtype}",
        body,
    )


def file_leaf(file: TakenFile) -> Leaf:
    """An attachment, to be encoded as it is sent."""
    disposition = "inline" if file.inline else "attachment"
    named = () if file.filename is None else (("filename", file.filename),)
    head = [
        parameter_field("Content-Type", file.content_type, file.parameters),
        "Content-Transfer-Encoding: base64\r\n",
        parameter_field("Content-Disposition", disposition, named),
    ]
    fields = [
        ("content-type", readable(file.content_type, file.parameters)),
        ("content-transfer-encoding", "base64"),
        ("content-disposition", readable(disposition, named)),
    ]
    if file.content_id:
        head.append(f"Content-ID: <{file.content_id}>\r\n")
        fields.append(("content-id", f"<{file.content_id}>"))
    return Leaf("".join(head), tuple(fields), file.content_type, Base64(file.source), file.filename)


def readable(value: str, parameters: Sequence[tuple[str, str]]) -> str:
    """A structured field as its reader sees it, parameters decoded."""
    return "; ".join([value, *(f'{key}="{text}"' for key, text in parameters)])


def multipart(
    subtype: str, children: Sequence[Node], parameters: Sequence[tuple[str, str]] = (), rest: str = ""
) -> Multipart:
    """``children`` under a boundary that occurs in none of them: encoded text has no ``=_``, and it is random.

    ``rest`` are more lines of its header.
    """
    boundary = f"=_{os.urandom(12).hex()}"
    field = parameter_field("Content-Type", f"multipart/{subtype}", [*parameters, ("boundary", boundary)])
    return Multipart(field + rest, boundary, children)


def leaves(node: Node) -> Iterator[Leaf]:
    """The leaves in order."""
    if isinstance(node, Leaf):
        yield node
    else:
        for child in node.children:
            yield from leaves(child)


def write(head: str, node: Node) -> tuple[Segment, ...]:
    """The octets of a message: ``head``, the node's own header, its body."""
    writer = _Writer([head.encode()])
    _write_node(writer, node)
    writer.end_line()
    return writer.finished()


@dataclass(slots=True)
class _Writer:
    pending: list[bytes]
    segments: list[Segment] = field(default_factory=list)

    def stream(self, encoded: Base64) -> None:
        self.segments += [b"".join(self.pending), encoded]
        self.pending = []

    def end_line(self) -> None:
        if self.pending and not self.pending[-1].endswith(b"\n"):
            self.pending.append(b"\r\n")

    def finished(self) -> tuple[Segment, ...]:
        return (*self.segments, b"".join(self.pending)) if self.pending else tuple(self.segments)


def _write_node(writer: _Writer, node: Node) -> None:
    writer.pending.append(f"{node.head}\r\n".encode())
    if isinstance(node, Multipart):
        for child in node.children:
            writer.pending.append(f"--{node.boundary}\r\n".encode())
            _write_node(writer, child)
            _end_part(writer, child)
        writer.pending.append(f"--{node.boundary}--\r\n".encode())
    elif isinstance(node.body, Base64):
        if node.body.size:
            writer.stream(node.body)
    elif node.body.octets:
        writer.pending.append(node.body.octets)


def _end_part(writer: _Writer, child: Node) -> None:
    # The line end before a boundary belongs to it. Base64 and multiparts have one to give; a text's own stays its own.
    if isinstance(child, Leaf) and not (isinstance(child.body, Base64) and child.body.size):
        encoded = isinstance(child.body, Body) and child.body.encoding == "base64" and child.body.octets
        if not encoded:
            writer.pending.append(b"\r\n")
