"""What comes back in a redirect, judged before a code goes anywhere."""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from recapito.catalogue import problem
from recapito.errors import Held, delivery_error
from recapito.oauth.explain import masked, never_unknown
from recapito.reply import ServerReply

if TYPE_CHECKING:
    from recapito.signin import SignInContext

__all__ = ["refuse_error", "refuse_other_issuer"]

_TEXT, _KEY, _ISSUER = 2000, 100, 200


def refuse_other_issuer(query: Mapping[str, str], expected: str, *, required: bool = False) -> None:
    """Raise Held (SIGN-IN-ISSUER) where the answer names another issuer than ``expected`` (RFC 9207 §2.4).

    An answer that names none passes, unless it is ``required``: the provider's metadata says
    ``authorization_response_iss_parameter_supported``.
    """
    issuer = query.get("iss", "")
    if issuer == expected or (not issuer and not required):
        return
    raise Held(
        problem(
            "SIGN-IN-ISSUER",
            step="sign-in",
            host=urlsplit(expected).hostname,
            issuer=issuer[:_ISSUER] or None,
        )
    )


def refuse_error(query: Mapping[str, str], context: "SignInContext", host: str, client: str) -> None:
    """Raise what is behind ``error`` in a redirect (RFC 6749 §4.1.2.1): Held, or NotSent where it passes."""
    error = query.get("error", "")
    if not error:
        return
    mask = masked(context.client.secrets.values())
    found = context.explain(
        ServerReply(
            "oauth",
            text=mask(query.get("error_description", "")[:_TEXT]),
            error=mask(error[:_KEY]),
            step="sign-in",
            host=host,
            credential="token",
        )
    )
    raise delivery_error(never_unknown(found.with_(params={**found.params, "client": client})))
