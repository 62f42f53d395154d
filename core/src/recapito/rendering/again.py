"""A message that is rendered a second time, because its profile was edited while it waited."""

from copy import deepcopy
from email.message import Message as StandardMessage
from email.utils import parsedate_to_datetime
from os import PathLike

from recapito.message import AnyMessage, Attachment, Message
from recapito.rendering.rendered import Rendered

__all__ = ["can_render_again", "same_again"]


def can_render_again(message: AnyMessage) -> bool:
    """Whether all of it can be read once more; a stream that was attached may be at its end."""
    if not isinstance(message, Message):
        return True
    sources = (each.source if isinstance(each, Attachment) else each for each in message.attachments)
    return all(isinstance(source, (str, bytes, tuple, PathLike)) for source in sources)


def same_again(message: AnyMessage, rendered: Rendered) -> AnyMessage:
    """``message`` with the Message-ID and the Date that it was ``rendered`` with: it stays the same message."""
    date = next(value for name, value in rendered.content.headers if name.lower() == "date")
    if isinstance(message, Message):
        return message.with_(message_id=rendered.message_id, date=parsedate_to_datetime(date))
    missing = {"Date": date, "Message-ID": rendered.message_id}
    if isinstance(message, StandardMessage):
        copy = deepcopy(message)
        for name, value in missing.items():
            del copy[name]
            copy[name] = value
        return copy
    # Of two, the first that is well formed counts.
    return b"".join(f"{name}: {value}\r\n".encode() for name, value in missing.items()) + bytes(message)
