"""Attachments taken in: files opened and kept open, streams spooled, names and types checked."""

import io
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import IO, Any

from recapito.errors import InvalidMessage
from recapito.invalid import check_text, invalid, shown
from recapito.message import Attachment
from recapito.rendering import mediatype
from recapito.rendering.source import BytesSource, FileSource, Source, is_pipe, is_regular

__all__ = ["TakenFile", "take", "take_all"]

#: What cannot be read from any place is kept in memory up to this size, in an unnamed file above it.
_SPOOL = 1 << 20

_OPEN = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True)
class TakenFile:
    """An attachment whose octets are ours: what its part says, and where they are."""

    source: Source
    filename: str | None
    content_type: str
    parameters: tuple[tuple[str, str], ...] = ()
    inline: bool = False
    content_id: str | None = None


def take_all(attachments: Sequence[Attachment | str | PathLike[str] | tuple[str, bytes]]) -> list[TakenFile]:
    """Every attachment, opened; where one cannot be taken the others are closed again."""
    taken: list[TakenFile] = []
    try:
        taken.extend(map(take, attachments))
    except BaseException:
        for file in taken:
            file.source.close()
        raise
    return taken


def take(given: Attachment | str | PathLike[str] | tuple[str, bytes]) -> TakenFile:
    """One attachment, opened. InvalidMessage names the file that is missing, unreadable or a folder."""
    attachment = _as_attachment(given)
    filename = _filename(attachment)
    name = filename or attachment.content_id or "attachment"
    if attachment.content_type is None:
        kind: mediatype.Kind = (mediatype.guess(filename or ""), ())
    else:
        kind = mediatype.parse(attachment.content_type, name)
    content_id = _content_id(attachment, filename)
    source = _open(attachment.source, name)
    return TakenFile(source, filename, *kind, attachment.inline, content_id)


def _as_attachment(given: object) -> Attachment:
    if isinstance(given, Attachment):
        return given
    if isinstance(given, (str, PathLike)):
        return Attachment(given)
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], (bytes, bytearray, memoryview)):
        return Attachment(bytes(given[1]), filename=given[0])
    raise invalid("FILE-SOURCE", file=shown(given))


def _filename(attachment: Attachment) -> str | None:
    name: object = attachment.filename
    if name is None:
        source = attachment.source
        path = source if isinstance(source, (str, PathLike)) else getattr(source, "name", None)
        if isinstance(path, PathLike):
            path = os.fspath(path)
        # An unnamed temporary file is called by its number, standard input "<stdin>".
        if isinstance(path, str) and not path.startswith("<"):
            name = os.path.basename(path)  # noqa: PTH119 (a path of any kind, bytes too)
    if name is None or name == "":
        return None if attachment.content_id else "attachment"
    return check_text(name, "filename")


def _content_id(attachment: Attachment, filename: str | None) -> str | None:
    given = attachment.content_id
    if given is None:
        return filename if attachment.inline and filename and _is_identifier(filename) else None
    text = check_text(given, "content_id").strip(" ").removeprefix("<").removesuffix(">")
    if not _is_identifier(text):
        raise invalid("MSG-ID", field="content_id", id=shown(given))
    return text


def _is_identifier(text: str) -> bool:
    return 0 < len(text) <= 240 and text.isascii() and text.isprintable() and not set(text) & set(' <>"')


def _open(source: object, name: str) -> Source:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return BytesSource(bytes(source))
    try:
        if isinstance(source, (str, PathLike)):
            return _open_path(os.fspath(source), name)
        if callable(getattr(source, "read", None)):
            return _open_stream(source, name)
    except InvalidMessage:
        raise
    except FileNotFoundError as exc:
        raise invalid("FILE-MISSING", file=shown(source if isinstance(source, str) else name)) from exc
    except (OSError, ValueError) as exc:
        raise invalid("FILE-UNREADABLE", file=shown(name), reason=_reason(exc)) from exc
    raise invalid("FILE-SOURCE", file=shown(name))


def _reason(exc: Exception) -> str:
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc)


def _open_path(path: str | bytes, name: str) -> Source:
    if os.path.isdir(path):  # noqa: PTH112 (a path of any kind, bytes too)
        raise invalid("FILE-FOLDER", file=shown(os.fsdecode(path)))
    # Without O_NONBLOCK opening a pipe that nobody writes to would wait for ever.
    descriptor = os.open(path, _OPEN)
    if is_regular(descriptor):
        return FileSource(descriptor, name)
    with open(descriptor, "rb") as stream:  # noqa: PTH123 (a descriptor, not a path)
        if not is_pipe(descriptor):  # a terminal, a device without an end
            raise invalid("FILE-KIND", file=shown(name))
        os.set_blocking(descriptor, True)
        spooled = _spool(stream, name)
    if not spooled.size:  # nobody writes to it: an empty attachment would go out in silence
        raise invalid("FILE-PIPE", file=shown(name))
    return spooled


def _open_stream(stream: Any, name: str) -> Source:
    """An open binary file from its current position on, which stays where it is."""
    inner = getattr(stream, "file", stream)  # tempfile's wrappers
    if isinstance(inner, (io.FileIO, io.BufferedReader, io.BufferedRandom)) and _is_plain_file(inner):
        if inner.writable():
            inner.flush()
        return FileSource(os.dup(inner.fileno()), name, inner.tell())
    position = stream.tell() if _can_seek(stream) else None
    try:
        return _spool(stream, name)
    finally:
        if position is not None:
            stream.seek(position)


def _is_plain_file(stream: io.FileIO | io.BufferedReader | io.BufferedRandom) -> bool:
    # A reader may wrap something else than a file (a decompressor): then its descriptor, if any, has other octets.
    raw = stream if isinstance(stream, io.FileIO) else stream.raw
    return isinstance(raw, io.FileIO) and is_regular(raw.fileno())


def _can_seek(stream: Any) -> bool:
    seekable = getattr(stream, "seekable", None)
    return bool(seekable and seekable())


def _spool(stream: IO[bytes], name: str) -> Source:
    head = bytearray()
    while len(head) <= _SPOOL:
        if not (block := _block(stream, name)):
            return BytesSource(bytes(head))
        head += block
    with tempfile.TemporaryFile() as spool:
        spool.write(head)
        while block := _block(stream, name):
            spool.write(block)
        spool.flush()
        return FileSource(os.dup(spool.fileno()), name)


def _block(stream: IO[bytes], name: str) -> bytes:
    block = stream.read(1 << 16)
    if not isinstance(block, bytes):
        raise invalid("FILE-TEXT", file=shown(name))
    return block
