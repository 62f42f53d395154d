"""Who signed in, as the token endpoint says it."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from recapito.catalogue import problem
from recapito.errors import Held, NotSent

__all__ = ["id_token_claims"]

_LIMIT = 64 * 1024
# The token was made seconds ago, so its end tells an old one that was put in its place. Clocks of machines that
# send mail are hours off now and then, and a sign-in must still succeed there.
_CLOCKS = 3 * 3600.0


def id_token_claims(
    raw: str, *, issuer: str, audience: str, nonce: str = "", now: datetime | None = None
) -> dict[str, Any]:
    """The claims of an id token that came from the token endpoint over TLS.

    Its signature is then not needed (OpenID Connect Core §3.1.3.7, point 6); ``iss``, ``aud`` (and ``azp``),
    ``exp`` and, where one was sent, ``nonce`` are compared. Raises Held (SIGN-IN-ISSUER) where it is for somebody
    else, NotSent (OAUTH-ANSWER) where it is none. Never use it for a token that came another way.
    """
    claims, host = _payload(raw), urlsplit(issuer).hostname
    if claims is None:
        raise NotSent(problem("OAUTH-ANSWER", step="sign-in", host=host))
    moment = (now or datetime.now(UTC)).timestamp()
    asked = not nonce or claims.get("nonce") == nonce
    if not (asked and _is_ours(claims, issuer, audience) and _lasts(claims, moment)):
        other = claims.get("iss")
        named = other[:200] if isinstance(other, str) and other != issuer else None
        raise Held(problem("SIGN-IN-ISSUER", step="sign-in", host=host, issuer=named))
    return claims


def _is_ours(claims: Mapping[str, Any], issuer: str, audience: str) -> bool:
    named = claims.get("aud")
    audiences = [named] if isinstance(named, str) else named
    if claims.get("iss") != issuer or not isinstance(audiences, list) or audience not in audiences:
        return False
    return claims.get("azp", audience) == audience and (len(audiences) == 1 or "azp" in claims)


def _lasts(claims: Mapping[str, Any], moment: float) -> bool:
    ends = claims.get("exp")
    return isinstance(ends, (int, float)) and not isinstance(ends, bool) and ends > moment - _CLOCKS


def _payload(raw: object) -> dict[str, Any] | None:
    if not isinstance(raw, str) or len(raw) > _LIMIT or not raw.isascii() or raw.count(".") != 2:
        return None
    part = raw.split(".")[1]
    try:
        found = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
