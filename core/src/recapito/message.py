"""What a person writes: addresses, a subject, texts and attachments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.message import EmailMessage
from os import PathLike
from typing import Any, BinaryIO, Self, TypeAlias

from recapito.envelope import Notify

__all__ = ["AnyMessage", "Attachment", "Item", "Message"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a message: a path, bytes, or an open binary file.

    ``filename`` is what the recipient sees (default: the path's last part); ``content_type`` is guessed from
    it. ``inline`` with ``content_id`` shows an image inside ``html`` (``<img src="cid:…">``).
    """

    source: str | PathLike[str] | bytes | BinaryIO = field(repr=False)
    filename: str | None = None
    content_type: str | None = None
    inline: bool = False
    content_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message as a person writes it. It is checked and rendered when it is sent.

    Addresses are ``a@example.it`` or ``Name <a@example.it>``, one a string. ``sender`` is one of the profile's
    aliases (default: the profile's own address). ``headers`` are extra header fields. ``message_id`` and
    ``date`` are made where they are None. An attachment may be given as a path, as ``(filename, bytes)`` or as
    an :class:`Attachment`.
    """

    to: Sequence[str] = ()
    cc: Sequence[str] = ()
    bcc: Sequence[str] = ()
    subject: str = ""
    text: str | None = None
    html: str | None = None
    attachments: Sequence[Attachment | str | PathLike[str] | tuple[str, bytes]] = ()
    sender: str | None = None
    reply_to: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    message_id: str | None = None
    date: datetime | None = None
    in_reply_to: str | None = None
    references: Sequence[str] = ()
    notify: frozenset[Notify] = frozenset()

    def with_(self, **changes: Any) -> Self:
        """A copy with ``changes``, for hooks that add a footer or a recipient."""
        return replace(self, **changes)


#: What a caller hands over: a message to be rendered, or one that is finished.
AnyMessage: TypeAlias = Message | EmailMessage | bytes


@dataclass(frozen=True, slots=True)
class Item:
    """One of many messages that go together: ``reference`` is the host's own id for it, ``to`` replaces the
    recipients of a message that is finished."""

    message: AnyMessage
    reference: str | None = None
    to: Sequence[str] | None = None
