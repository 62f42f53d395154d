"""Replies that no rule explains: the server's own words, by the class of the reply, and never a guess."""

from recapito.catalogue.moment import Retry
from recapito.outcome import Outcome
from recapito.reply import ServerReply

__all__ = ["generic_code"]

# What a code of these says about the content: the channel was not yet open, so nothing can have left.
_BEFORE_CONTENT = frozenset({"name", "port", "answer", "encryption", "sign-in", "sender", "recipient"})
_DOOR = frozenset({"name", "port", "answer", "encryption"})

_SOON = Retry(300)


def generic_code(reply: ServerReply) -> tuple[str, Retry | None, Outcome | None]:
    """The code for ``reply``, when to try again, and the outcome where it is not the code's own."""
    if reply.via == "smtp":
        return _smtp(reply)
    if reply.via == "http":
        return _http(reply)
    if reply.via == "oauth":
        return "OAUTH-REFUSED", None, None
    return ("TLS-FAILED" if reply.via == "tls" else "NET-LOST"), _SOON, None


def _smtp(reply: ServerReply) -> tuple[str, Retry | None, Outcome | None]:
    if 400 <= reply.status < 500:
        return "REPLY-TEMPORARY", (_SOON if reply.status == 421 else None), None
    if not 500 <= reply.status < 600:
        # After the content an answer without a meaning leaves open whether it was taken.
        after_content = reply.step == "message" and 200 <= reply.status < 300
        return "REPLY-STRANGE", None, (Outcome.UNKNOWN if after_content else None)
    if reply.step == "sign-in":
        return "REPLY-SIGN-IN", None, None
    return ("REPLY-DOOR" if reply.step in _DOOR else "REPLY-PERMANENT"), None, None


def _http(reply: ServerReply) -> tuple[str, Retry | None, Outcome | None]:
    if reply.status == 401:
        return "HTTP-SIGN-IN", None, None
    if reply.status == 403:
        return "HTTP-FORBIDDEN", None, None
    if reply.status in (408, 423, 425, 429):
        return "HTTP-TEMPORARY", _SOON, None
    if 400 <= reply.status < 500:
        return "HTTP-REFUSED", None, None
    waits = reply.status == 503 and reply.retry_after is not None
    if waits or reply.step in _BEFORE_CONTENT:
        return "HTTP-TEMPORARY", _SOON, None
    return "HTTP-UNKNOWN", None, None
