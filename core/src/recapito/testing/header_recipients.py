"""Who a message goes to where its headers decide, and what is left of it when Bcc is taken off."""

import re
from email.utils import getaddresses

from recapito.testing.bench import Arrived
from recapito.testing.https_asked import Asked

__all__ = ["arrived", "recipients_of", "without_bcc"]

_BCC = re.compile(rb"^bcc:.*\r?\n(?:[ \t].*\r?\n)*", re.IGNORECASE | re.MULTILINE)


def recipients_of(content: Asked | bytes) -> tuple[str, ...]:
    """The addresses of To, Cc and Bcc, each once, in that order."""
    message = _asked(content).message()
    fields = [str(value) for name in ("to", "cc", "bcc") for value in message.get_all(name, [])]
    return tuple(dict.fromkeys(address for _, address in getaddresses(fields) if "@" in address))


def without_bcc(content: bytes) -> bytes:
    """The content as everybody sees it."""
    end = content.find(b"\r\n\r\n") + 2
    return _BCC.sub(b"", content[:end]) + content[end:] if end > 1 else content


def arrived(content: bytes, account: str) -> Arrived:
    """One message as it lies in the mailboxes."""
    sender = getaddresses([str(_asked(content).message().get("from", ""))])[0][1]
    return Arrived(sender, recipients_of(content), without_bcc(content), account)


def _asked(content: Asked | bytes) -> Asked:
    return content if isinstance(content, Asked) else Asked("", "", {}, content, len(content), "", 0)
