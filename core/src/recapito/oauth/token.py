"""Access tokens, checked before anything is done with them."""

import re
from datetime import UTC, datetime, timedelta

from recapito.catalogue import problem
from recapito.errors import NotSent
from recapito.secret import Secret
from recapito.signin import Token

__all__ = ["TOKEN_LIMIT", "checked_token"]

#: Characters of the longest token that is taken. Google's have up to 2,048, Entra's some more with many groups.
TOKEN_LIMIT = 16_384

# RFC 6750 §2.1. Anything else could end a header, or a field of XOAUTH2, and begin another.
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_SECONDS = re.compile(r"[0-9]{1,10}")
# RFC 6749 §5.1 allows to leave out how long a token lasts: it is then asked for anew soon.
_UNTOLD = 300.0
_LONGEST = 365 * 86400.0
# A token that was refused for its form is not asked for again at once.
_AGAIN = timedelta(minutes=5)


def checked_token(value: object, expires_in: object, *, now: datetime | None = None) -> Token:
    """The token, where it is one that can be used: token68, 1 to 16,384 characters, valid for a second or more.

    ``expires_in`` is in seconds from ``now`` (default: this moment); None counts as five minutes. Raises NotSent
    (TOKEN-ILL-FORMED), which never shows the value.
    """
    now = now or datetime.now(UTC)
    fits = isinstance(value, str) and len(value) <= TOKEN_LIMIT and _TOKEN68.fullmatch(value)
    seconds = _seconds(expires_in)
    if not fits or not isinstance(value, str) or seconds < 1:
        raise NotSent(problem("TOKEN-ILL-FORMED", step="sign-in", retry_at=now + _AGAIN))
    return Token(Secret(value), now + timedelta(seconds=min(seconds, _LONGEST)))


def _seconds(expires_in: object) -> float:
    """0 where it is no number of seconds; some providers write a text."""
    if expires_in is None:
        return _UNTOLD
    if isinstance(expires_in, str) and _SECONDS.fullmatch(expires_in):
        return float(expires_in)
    if isinstance(expires_in, bool) or not isinstance(expires_in, (int, float)) or expires_in != expires_in:
        return 0.0
    return min(max(0.0, expires_in), _LONGEST)
