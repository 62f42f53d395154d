"""A request that got no answer: how far it came, and why it ended."""

from typing import Literal

from recapito.reply import Via

__all__ = ["HttpFailure", "OpeningStep"]

#: How far the way to the server was; empty: it was open.
OpeningStep = Literal["name", "port", "encryption", ""]


class HttpFailure(Exception):
    """No answer came, or nothing that is one.

    ``via`` and ``kind`` are :class:`recapito.reply.ServerReply`'s: ``net`` with ``dns``, ``dns-temporary``,
    ``refused``, ``timeout`` or ``lost``; ``tls`` with ``name``, ``untrusted``, ``expired``, ``not-yet-valid``,
    ``version``, ``mode`` or ``failed``; and ``http`` with ``answer`` (what came is not HTTP) or ``url`` (no address
    that anything may be sent to). ``sent`` is True where the whole request may have left: what became of it is then
    not known. ``step`` is where the way ended while it was being opened. No text of it holds what was sent.
    """

    def __init__(
        self, kind: str, *, via: Via = "net", sent: bool = False, text: str = "", step: OpeningStep = ""
    ) -> None:
        super().__init__(f"{via}: {kind}" + (f" ({text})" if text else ""))
        self.kind = kind
        self.via: Via = via
        self.sent = sent
        self.text = text
        self.step: OpeningStep = step
