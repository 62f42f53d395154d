"""What signing in by a browser and by a device code have in common: a refresh token for a person's mailbox."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from recapito.catalogue import problem
from recapito.errors import Held
from recapito.oauth import checked_token, id_token_claims
from recapito.secret import Secret
from recapito.transport import Grant, Refreshed, SignInContext
from recapito_ms365_oauth.entra import Given, ask, unusable
from recapito_ms365_oauth.kept import IDLE, Kept
from recapito_ms365_oauth.microsoft import Microsoft, granted

if TYPE_CHECKING:
    import msal

    from recapito_ms365_oauth.settings import Resource

__all__ = ["Delegated", "warn_of_expiry"]

# RFC 6749 appendix A.17 allows any printable character; Entra's have some 2 kB.
_REFRESH_TOKEN = re.compile(r"[\x20-\x7e]{1,16384}")
_WARN_BEFORE = timedelta(days=30)
# What stands for the tenant in the issuer of those that are none: the id token says whose it is.
_ANY_TENANT = "{tenantid}"
_TENANT = re.compile(r"[0-9A-Fa-f-]{36}")


class Delegated:
    """The half of a :class:`~recapito.transport.SignIn` that comes after the person."""

    def __init__(self, client: str, resource: "Resource", permissions: frozenset[str]) -> None:
        self.client = client
        self.resource: Resource = resource
        self.scopes = permissions

    def asked(self, microsoft: Microsoft) -> list[str]:
        """What a person is asked for; msal adds openid, profile and offline_access."""
        return [*microsoft.scopes(self.resource, self.scopes), "email"]

    async def refresh(self, context: SignInContext, grant: Grant, resource: str) -> Refreshed:
        """A new token, and the grant with the refresh token that came with it."""
        microsoft, kept = Microsoft.of(context.client.settings), Kept.of(grant.secret)
        scopes = microsoft.scopes(cast("Resource", resource), self.scopes)
        warn_of_expiry(context)

        def act(app: "msal.ClientApplication") -> Mapping[str, Any]:
            found: Mapping[str, Any] = app.acquire_token_by_refresh_token(kept.refresh_token.reveal(), scopes)
            return found

        data = await ask(context, microsoft, act, public=kept.public, hidden=(kept.refresh_token,))
        token = checked_token(data.get("access_token"), data.get("expires_in"))
        if data.get("refresh_token") is not None:
            kept = Kept(_refresh_token(microsoft, data), kept.public)
        return Refreshed(
            token,
            Grant(
                account=grant.account,
                scopes=_granted(data, self.scopes | grant.scopes) or grant.scopes,
                secret=kept.secret,
                idle_until=datetime.now(UTC) + IDLE,
            ),
        )

    async def revoke(self, context: SignInContext, grant: Grant) -> None:
        """Nothing: Entra has no way for an app to give back a refresh token; unused, it dies after 90 days."""

    def left(
        self,
        microsoft: Microsoft,
        data: Given,
        *,
        public: bool,
        hint: str,
        issuer: str,
        nonce: str = "",
    ) -> Grant:
        """The grant in an answer of the token endpoint; Held where it has none that lasts."""
        return Grant(
            account=_account(microsoft, data, hint, issuer, nonce),
            scopes=_granted(data, self.scopes),
            secret=Kept(_refresh_token(microsoft, data), public).secret,
            idle_until=datetime.now(UTC) + IDLE,
        )


def warn_of_expiry(context: SignInContext) -> None:
    """Say in the log that the registration's secret ends soon, where the company has noted when."""
    try:
        ends = date.fromisoformat(str(context.client.settings.get("secret_expires") or ""))
    except ValueError:
        return
    if ends - _WARN_BEFORE <= datetime.now(UTC).date():
        context.log.warning(
            "the secret of the client %s expires on %s", context.client.info.name, ends.isoformat()
        )


def _granted(data: Given, asked: frozenset[str]) -> frozenset[str]:
    said = data.get("scope")
    # An answer without it grants what was asked for (RFC 6749 §5.1).
    return granted(said, asked) if isinstance(said, str) else asked


def _refresh_token(microsoft: Microsoft, data: Given) -> Secret:
    found = data.secret("refresh_token")
    if found is None:
        raise Held(problem("OAUTH-SCOPE", step="sign-in", host=microsoft.login_host))
    if not _REFRESH_TOKEN.fullmatch(found.reveal()):
        raise unusable(microsoft)
    return found


def _account(microsoft: Microsoft, data: Given, hint: str, issuer: str, nonce: str) -> str:
    """The address of whoever consented, as the id token has it.

    The sign-in name need not be the mailbox's address; ``email`` is, but in another company's tenant anybody may
    have any: it counts only where the tenant is the company's own.
    """
    raw, shown = data.secret("id_token"), data.get("id_token_claims")
    tenant = str(shown.get("tid") or "") if isinstance(shown, Mapping) else ""
    if raw is None or (_ANY_TENANT in issuer and not _TENANT.fullmatch(tenant)):
        raise unusable(microsoft)
    claims = id_token_claims(
        raw.reveal(), issuer=issuer.replace(_ANY_TENANT, tenant), audience=microsoft.client_id, nonce=nonce
    )
    name, email = (str(claims.get(key) or "") for key in ("preferred_username", "email"))
    if email and email.lower() == hint.lower() and not microsoft.any_tenant:
        return email
    known = name or ("" if microsoft.any_tenant else email)
    if not known:
        raise unusable(microsoft)
    return known
