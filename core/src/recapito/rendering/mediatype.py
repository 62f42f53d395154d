"""Content types: guessed from a file's name, the same on every machine, or given and checked."""

import re
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from recapito.invalid import check_text, invalid, shown

if TYPE_CHECKING:
    from mimetypes import MimeTypes

__all__ = ["UNKNOWN", "Kind", "guess", "parse"]

#: ``type/subtype`` in lower case, and its parameters.
Kind: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]

#: What is said of octets that nobody knows anything about.
UNKNOWN = "application/octet-stream"

# What offices send and Python 3.11's own table lacks or names otherwise.
_OFFICE = {
    "7z": "application/x-7z-compressed",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "dwg": "image/vnd.dwg",
    "gz": "application/gzip",
    "heic": "image/heic",
    "ics": "text/calendar",
    "md": "text/markdown",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "p7m": "application/pkcs7-mime",
    "p7s": "application/pkcs7-signature",
    "pdf": "application/pdf",
    "png": "image/png",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "rar": "application/vnd.rar",
    "rtf": "application/rtf",
    "tsd": "application/timestamped-data",
    "webp": "image/webp",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "application/xml",
    "zip": "application/zip",
}

_WORD = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
_TYPE = re.compile(rf"({_WORD})/({_WORD})")
_PARAMETER = re.compile(rf"; *({_WORD})=(?:({_WORD})|\"((?:[^\"\\]|\\.)*)\") *")


def guess(filename: str) -> str:
    """The content type of a file by its name; never text of a charset, a message or a multipart."""
    suffix = filename.lower().rpartition(".")[2] if "." in filename else ""
    if known := _OFFICE.get(suffix):
        return known
    found, encoding = _table().guess_type(f"x.{suffix}")
    # Those two may not be base64 (RFC 2046 §5.2.1); the name still tells the reader what it is.
    return UNKNOWN if found is None or encoding or found.startswith(("message/", "multipart/")) else found


def parse(content_type: str, file: str) -> Kind:
    """``type/subtype`` in lower case and the parameters; InvalidMessage (FILE-TYPE) naming ``file`` otherwise."""
    text = check_text(content_type, "content_type").strip(" ")
    main = _TYPE.match(text)
    if main is None or main[1].lower() in {"message", "multipart"}:
        raise invalid("FILE-TYPE", file=shown(file), content_type=shown(content_type))
    parameters: list[tuple[str, str]] = []
    position = main.end()
    while position < len(text):
        found = _PARAMETER.match(text, position)
        if found is None:
            raise invalid("FILE-TYPE", file=shown(file), content_type=shown(content_type))
        parameters.append((found[1].lower(), found[2] or re.sub(r"\\(.)", r"\1", found[3] or "")))
        position = found.end()
    return main[0].lower(), tuple(parameters)


@cache
def _table() -> "MimeTypes":
    from mimetypes import MimeTypes

    return MimeTypes()  # without the machine's own files
