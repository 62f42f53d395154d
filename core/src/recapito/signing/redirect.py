"""Where a sign-in may come back to: exactly one address, never taken from what a request says of itself."""

from urllib.parse import urlsplit

from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.problem import clean_reply

__all__ = ["checked_redirect"]

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def checked_redirect(uri: str) -> str:
    """``uri`` as it is. Raises Misconfigured (SIGN-IN-REDIRECT).

    Whole and without a fragment (RFC 6749 §3.1.2); https, or http to this machine (RFC 8252 §7.3).
    """
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    encrypted = parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    clean = uri.isascii() and uri.isprintable() and not {" ", "\\", "#"} & set(uri)
    if host and encrypted and clean and port != 0 and parts.username is None:
        return uri
    raise Misconfigured(problem("SIGN-IN-REDIRECT", uri=clean_reply(uri[:200]) or "-"))
