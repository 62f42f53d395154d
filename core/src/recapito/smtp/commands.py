"""The commands of a transaction, as they are written."""

import re
from typing import TYPE_CHECKING

from recapito.envelope import Notify
from recapito.smtp.unfit import unfit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recapito.content import Content
    from recapito.envelope import Envelope
    from recapito.smtp.extensions import Extensions

__all__ = ["lines", "mail_command", "recipient_command"]

#: RFC 3461 §4.4.
_ENVID_LIMIT = 100


def mail_command(
    envelope: "Envelope", content: "Content", extensions: "Extensions", *, smtputf8: bool = False
) -> str:
    """MAIL with what the server offers and this message needs."""
    words = [f"MAIL FROM:<{envelope.sender}>"]
    if "size" in extensions:
        words.append(f"SIZE={content.size}")
    if smtputf8 or not content.is_7bit:
        words.append("BODY=8BITMIME")
    if smtputf8:
        words.append("SMTPUTF8")
    if envelope.notify:
        words.append("RET=HDRS")
        if (mark := _xtext(content.message_id.strip("<>"))).isascii() and 0 < len(mark) <= _ENVID_LIMIT:
            words.append(f"ENVID={mark}")
    return " ".join(words)


def recipient_command(address: str, notify: frozenset[Notify]) -> str:
    """RCPT, with the notices that are asked for (RFC 3461)."""
    if not notify:
        return f"RCPT TO:<{address}>"
    wanted = ",".join(kind.value.upper() for kind in Notify if kind in notify)
    kind = "rfc822" if address.isascii() else "utf-8"
    return f"RCPT TO:<{address}> NOTIFY={wanted} ORCPT={kind};{_xtext(address)}"


def lines(commands: "Sequence[str]") -> bytes:
    """``commands``, each on a line of its own. ValueError where one would become two."""
    if unfit("".join(commands)):  # checked long before; this is the last door
        raise ValueError("a command holds a control character")
    return ("\r\n".join(commands) + "\r\n").encode()


def _xtext(text: str) -> str:
    """RFC 3461 §4; beyond ASCII as it is, which RFC 6533 allows where SMTPUTF8 was asked for."""
    return re.sub(r"[\x00-\x20+=\x7f]", lambda match: f"+{ord(match[0]):02X}", text)
