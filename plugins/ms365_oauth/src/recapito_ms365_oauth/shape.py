"""A message as Graph's own object, where it is too large to go as MIME; what that object cannot hold is refused."""

import json
import mimetypes
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from recapito.address import Address, parse_address_list
from recapito.catalogue import problem
from recapito.errors import Refused
from recapito.texts import N_, Phrase

if TYPE_CHECKING:
    from recapito.content import Content, Part

__all__ = ["File", "Shape", "shape"]

# Bytes of the JSON: a request has at most 4 MB (learn: use the Microsoft Graph API, Outlook mail).
_LONGEST = 3_500_000
# "Maximum number of headers in one message should be less than or equal to 5" (Graph's own error).
_OWN_HEADERS = 5
_PEOPLE = {"to": "toRecipients", "cc": "ccRecipients", "reply-to": "replyTo", "from": "from"}
# MS-OXPROPS: PidTagInReplyToId, PidTagInternetReferences; Graph has no fields of its own for them.
_PROPERTIES = {"in-reply-to": "String 0x1042", "references": "String 0x1039"}
# What Exchange writes itself when it sends, or what the structure says already.
_REMADE = frozenset({"date", "mime-version", "content-type", "content-transfer-encoding", "content-language"})
_TOPS = ("multipart/mixed", "multipart/related", "multipart/alternative", "text/plain", "text/html")
_SIGNATURES = ("application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature")
_SIGNATURE_NAMES = re.compile(r"smime\.p7s|signature\.asc", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class File:
    """One attachment: its part, and Graph's description of it (``fileAttachment`` without the content)."""

    part: "Part"
    described: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self.part.size

    def chunks(self) -> AsyncIterator[bytes]:
        """The content."""
        return self.part.chunks()


@dataclass(frozen=True, slots=True)
class Shape:
    """A message as Graph has it: the JSON of its draft, and the files that are attached to it afterwards."""

    draft: bytes = field(repr=False)
    files: tuple[File, ...]


async def shape(content: "Content", hidden: tuple[str, ...]) -> Shape:
    """``content`` as an object; ``hidden`` get it as Bcc.

    Refused (M365-DRAFT), naming it, where it has what such an object cannot hold: a signature or encryption of
    the whole, header fields but X-…, texts beside each other. Exchange writes the Date itself, and the plain
    text of a message that has an HTML one.
    """
    top = next((value for name, value in content.headers if name.lower() == "content-type"), "text/plain")
    if not top.lower().startswith(_TOPS):
        raise _refused(N_("the content type {name}"), name=top.partition(";")[0])
    message = _headers(content.headers)
    if hidden:
        message["bccRecipients"] = [{"emailAddress": {"address": address}} for address in hidden]
    texts, files = _sorted(content.parts())
    if len(texts) > 1 and not await _are_alternatives(content):
        raise _refused(N_("several texts"))
    if texts:
        kind = "html" if texts[-1].content_type == "text/html" else "text"
        message["body"] = {"contentType": kind, "content": await _text(texts[-1])}
    draft = json.dumps(message, ensure_ascii=False).encode()
    if len(draft) > _LONGEST:
        raise _refused(N_("a text of more than 3 MB"))
    return Shape(draft, tuple(files))


async def _are_alternatives(content: "Content") -> bool:
    """Whether the HTML text is another form of the plain one, and not a text of its own beside it."""
    before = b""
    async with aclosing(_lowered(content)) as chunks:
        async for chunk in chunks:
            before += chunk
            end = before.find(b"content-type: text/html")
            if end >= 0 or len(before) > _LONGEST:
                return b"content-type: multipart/alternative" in before[: end if end >= 0 else None]
    return False


async def _lowered(content: "Content") -> AsyncGenerator[bytes, None]:
    async for chunk in content.chunks():
        yield chunk.lower()


def _headers(fields: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """The message's fields as Graph names them."""
    message: dict[str, Any] = {}
    own: list[dict[str, str]] = []
    properties: list[dict[str, str]] = []
    for name, value in fields:
        lower = name.lower()
        if lower in _PEOPLE:
            people = [_person(address) for address in parse_address_list(value, name)]
            message[_PEOPLE[lower]] = _only(people, name) if lower == "from" else people
        elif lower == "sender":
            # Exchange writes it itself, where somebody sends for another.
            _only(parse_address_list(value, name), name)
        elif lower == "subject":
            message["subject"] = value
        elif lower == "message-id":
            message["internetMessageId"] = value
        elif lower == "importance" and value.lower() in ("low", "normal", "high"):
            message["importance"] = value.lower()
        elif lower in _PROPERTIES:
            properties.append({"id": _PROPERTIES[lower], "value": value})
        elif lower.startswith("x-"):
            own.append({"name": name, "value": value})
        elif lower not in _REMADE:
            raise _refused(N_("the header field {name}"), name=name)
    if len(own) > _OWN_HEADERS:
        raise _refused(N_("more than {count} header fields of its own (X-…)"), count=_OWN_HEADERS)
    if own:
        message["internetMessageHeaders"] = own
    if properties:
        message["singleValueExtendedProperties"] = properties
    return message


def _only(people: Any, name: str) -> Any:
    if len(people) != 1:
        raise _refused(N_("several addresses in {name}"), name=name)
    return people[0]


def _person(address: Address) -> dict[str, Any]:
    named = {"name": address.name} if address.name else {}
    return {"emailAddress": {"address": address.addr_spec, **named}}


def _sorted(parts: "tuple[Part, ...]") -> "tuple[list[Part], list[File]]":
    """The one text, or its two forms, and the attached files."""
    texts: list[Part] = []
    files: list[File] = []
    for part in parts:
        if part.content_type in _SIGNATURES and _SIGNATURE_NAMES.fullmatch(part.filename or ""):
            raise _refused(N_("a signature"))
        if len(parts) > 1 and not part.headers.keys().isdisjoint(("from", "subject", "message-id")):
            raise _refused(N_("another message inside it"))
        if _is_text(part):
            texts.append(part)
        else:
            files.append(File(part, dict(_description(part, len(files) + 1))))
    kinds = [part.content_type for part in texts]
    if kinds not in ([], ["text/plain"], ["text/html"], ["text/plain", "text/html"]):
        raise _refused(N_("several texts"))
    return texts, files


def _is_text(part: "Part") -> bool:
    attached = part.headers.get("content-disposition", "").lower().startswith("attachment")
    return part.content_type.startswith("text/") and not attached and part.filename is None


def _description(part: "Part", number: int) -> Iterator[tuple[str, Any]]:
    identity = part.headers.get("content-id", "").strip().strip("<>")
    inline = part.headers.get("content-disposition", "").lower().startswith("inline") and bool(identity)
    ending = mimetypes.guess_extension(part.content_type) or ""
    yield "name", part.filename or f"{number}{ending}"
    yield "contentType", part.content_type
    yield "isInline", inline
    if identity:
        yield "contentId", identity


async def _text(part: "Part") -> str:
    if part.size > _LONGEST:
        raise _refused(N_("a text of more than 3 MB"))
    octets = b"".join([chunk async for chunk in part.chunks()])
    said = EmailMessage()
    said["Content-Type"] = part.headers.get("content-type", "text/plain")
    charset = said.get_content_charset("utf-8")
    try:
        return octets.decode("utf-8" if charset == "us-ascii" else charset)
    except (LookupError, UnicodeDecodeError):
        raise _refused(N_("a text in the character set {name}"), name=charset) from None


def _refused(what: str, **params: object) -> Refused:
    return Refused(
        problem("M365-DRAFT", step="message", what=Phrase(what, package="recapito_ms365_oauth", **params))
    )
