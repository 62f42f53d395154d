"""A :class:`~recapito.message.Message` made into content."""

from collections.abc import Sequence

from recapito.address import Address, parse_address
from recapito.invalid import check_text, invalid
from recapito.message import Message
from recapito.profile import Profile
from recapito.rendering.attachment import TakenFile, take_all
from recapito.rendering.body import Body, text_body
from recapito.rendering.header import address_field, check_name, identifier_field, text_field
from recapito.rendering.identity import (
    allowed_sender,
    date_text,
    from_line,
    new_message_id,
    reply_to_line,
    sent_identifier,
)
from recapito.rendering.rendered import Rendered, check_reachable, envelope_for
from recapito.rendering.streamed import LeafPart, StreamedContent
from recapito.rendering.structure import Leaf, Node, file_leaf, leaves, multipart, text_leaf, write

__all__ = ["compose"]

#: Header fields that belong to Message's own attributes, or to those who carry the message.
_OWNED = frozenset(
    {"from", "sender", "reply-to", "to", "cc", "bcc", "subject", "date", "message-id"}
    | {"in-reply-to", "references", "return-path", "received"}
)
_OWNED_PREFIXES = ("content-", "mime-", "resent-")


def compose(message: Message, profile: Profile, to: Sequence[str] | None) -> Rendered:
    """``message`` rendered once: what may vary (ids, date, boundaries, open files) is fixed from here on."""
    sender = allowed_sender(message.sender, profile)
    shown_to, cc, bcc = (
        _addresses(given, name)
        for given, name in ((message.to, "to"), (message.cc, "cc"), (message.bcc, "bcc"))
    )
    everyone = shown_to + cc + bcc if to is None else _addresses(to, "to")
    envelope = envelope_for(sender, everyone, message.notify)
    reply_to = _addresses(message.reply_to, "reply_to")
    for field, addresses in (("to", shown_to), ("cc", cc), ("reply_to", reply_to)):
        check_reachable(envelope, addresses, field)
    message_id = (
        new_message_id(sender.domain)
        if message.message_id is None
        else sent_identifier(message.message_id, "message_id")
    )
    head = [from_line(sender)]
    if shown_to:
        head.append(address_field("To", shown_to))
    if cc:
        head.append(address_field("Cc", cc))
    if reply_to:
        head.append(address_field("Reply-To", reply_to))
    elif profile.reply_to:
        head.append(reply_to_line(profile.reply_to))
    head += [
        text_field("Subject", check_text(message.subject, "subject")),
        f"Date: {date_text(message.date)}\r\n",
        f"Message-ID: {message_id}\r\n",
        *_thread(message),
        *_extra(message),
        "MIME-Version: 1.0\r\n",
    ]
    text, html = _text(message.text, "text"), _text(message.html, "html")
    files = take_all(message.attachments) if message.attachments else []
    tree = _tree(text, html, files)
    content = StreamedContent(
        write("".join(head), tree),
        message_id,
        lambda: tuple(map(LeafPart.of, leaves(tree))),
        [file.source for file in files],
    )
    return Rendered(envelope, content, message_id)


def _addresses(given: Sequence[str], field: str) -> tuple[Address, ...]:
    # One text is one address: iterating over its letters is never what was meant.
    texts = (given,) if isinstance(given, str) else given
    return tuple([parse_address(text, field) for text in texts])


def _thread(message: Message) -> list[str]:
    lines = []
    if message.in_reply_to is not None:
        lines.append(f"In-Reply-To: {sent_identifier(message.in_reply_to, 'in_reply_to')}\r\n")
    if message.references:
        given = (message.references,) if isinstance(message.references, str) else message.references
        lines.append(identifier_field("References", [sent_identifier(text, "references") for text in given]))
    return lines


def _extra(message: Message) -> list[str]:
    lines = []
    for name, value in message.headers.items():
        lower = check_name(name).lower()
        if lower in _OWNED or lower.startswith(_OWNED_PREFIXES):
            raise invalid("MSG-HEADER-OWNED", name=name)
        lines.append(text_field(name, check_text(value, f"headers[{name}]")))
    return lines


def _text(text: str | None, field: str) -> Body | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise invalid("MSG-TEXT", field=field, value=repr(text)[:80])
    try:
        return text_body(text.encode())
    except UnicodeEncodeError as exc:
        raise invalid("MSG-CHARACTER", field=field, character=f"U+{ord(text[exc.start]):04X}") from None


def _tree(text: Body | None, html: Body | None, files: Sequence[TakenFile]) -> Node:
    shown_in_html = [file_leaf(file) for file in files if file.inline and html is not None]
    attached = [file_leaf(file) for file in files if not file.inline or html is None]
    bodies: list[Node] = []
    if text is not None:
        bodies.append(text_leaf("plain", text))
    if html is not None:
        page: Leaf = text_leaf("html", html)
        bodies.append(multipart("related", [page, *shown_in_html]) if shown_in_html else page)
    if len(bodies) > 1:
        bodies = [multipart("alternative", bodies)]
    if attached:
        return multipart("mixed", [*bodies, *attached])
    return bodies[0] if bodies else text_leaf("plain", Body(b"", "7bit"))
