"""The one door: every kind of message goes in, envelope and content come out."""

from collections.abc import Sequence
from email.message import Message as StandardMessage

from recapito.invalid import invalid, shown
from recapito.message import AnyMessage, Attachment, Message
from recapito.profile import Profile
from recapito.rendering.compose import compose
from recapito.rendering.rendered import Rendered

__all__ = ["is_cheap", "render"]

#: Octets and recipients below which rendering takes well under 2 ms.
_CHEAP_OCTETS, _CHEAP_RECIPIENTS = 1 << 16, 100


def render(message: AnyMessage, profile: Profile, *, to: Sequence[str] | None = None) -> Rendered:
    """``message`` as it leaves through ``profile``, checked; rendered once, it is the same for every try.

    Recipients are those of To, Cc and Bcc; ``to`` replaces them all (an envelope of its own). Bcc is never in the
    content. Raises InvalidMessage, whose problem names the field and what to do, before anything is sent; files
    that were opened are closed then. Close the content when the message is done.
    """
    if isinstance(message, Message):
        return compose(message, profile, to)
    if isinstance(message, StandardMessage):
        from recapito.rendering.standard import render_standard

        return render_standard(message, profile, to)
    if isinstance(message, (bytes, bytearray, memoryview)):
        from recapito.rendering.finished import render_finished

        return render_finished(bytes(message), profile, to)
    raise invalid("MSG-TYPE", value=shown(type(message).__name__))


def is_cheap(message: AnyMessage) -> bool:
    """Whether :func:`render` surely takes under 2 ms and touches no file: then a thread would cost more."""
    if isinstance(message, Message):
        recipients = len(message.to) + len(message.cc) + len(message.bcc)
        octets = len(message.text or "") + len(message.html or "") + len(message.subject)
        for given in message.attachments:
            source = given.source if isinstance(given, Attachment) else given
            source = source[1] if isinstance(source, tuple) else source
            if not isinstance(source, bytes):
                return False
            octets += len(source)
        return recipients <= _CHEAP_RECIPIENTS and octets <= _CHEAP_OCTETS
    if isinstance(message, (bytes, bytearray)):
        return len(message) <= _CHEAP_OCTETS
    return False
