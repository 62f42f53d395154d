"""Sign in with Google: a person consents in a browser, and a refresh token is left."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from recapito.errors import Held
from recapito.oauth import (
    Answer,
    challenge,
    new_state,
    refuse_error,
    refuse_other_issuer,
)
from recapito.secret import Secret, Secrets
from recapito.transport import Attempt, Grant, Refreshed, SignInContext, SignInKind, Step
from recapito_gmail_oauth.authority import Authority, Told, error_of
from recapito_gmail_oauth.google import Google, scope_of, spelled
from recapito_gmail_oauth.kept import IDLE, Kept
from recapito_gmail_oauth.refresh import PATIENCE, Requests, refreshed

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["GoogleSignIn"]

_OK = 200
# Google's have up to 512 bytes (developers.google.com/identity/protocols/oauth2, "Token size").
_REFRESH_TOKEN_LIMIT = 4096


class GoogleSignIn:
    """A :class:`~recapito.transport.SignIn` by authorisation code and PKCE (RFC 7636).

    It asks for what sending by ``sends_by`` needs, and for the address of whoever consents. ``patience`` is
    in seconds, for each act.
    """

    kind: SignInKind = "code"

    def __init__(self, client: str, sends_by: str, patience: float = PATIENCE) -> None:
        self.client = client
        self._patience = patience
        self.resource = scope_of(sends_by)
        self.scopes = frozenset({"openid", "email", self.resource})

    async def begin(self, context: SignInContext, attempt: Attempt) -> Step:
        """The address at which a person consents; see :class:`~recapito.transport.SignIn`."""
        google = Google.of(context.client.settings)
        nonce = new_state()
        query = {
            "client_id": context.client.settings["client_id"],
            "redirect_uri": attempt.redirect_uri,
            "response_type": "code",
            "scope": " ".join(sorted(self.scopes)),
            # Without both of these Google gives no refresh token to who has consented before.
            "access_type": "offline",
            "prompt": "consent",
            "state": attempt.state,
            "nonce": nonce,
            "code_challenge": challenge(attempt.verifier),
            "code_challenge_method": "S256",
        } | ({"login_hint": attempt.hint} if attempt.hint else {})
        joint = "&" if urlsplit(google.auth_uri).query else "?"
        return Step(url=f"{google.auth_uri}{joint}{urlencode(query)}", private=Secrets({"nonce": nonce}))

    async def finish(self, context: SignInContext, attempt: Attempt, query: Mapping[str, str]) -> Grant:
        """Redeem the code. Held where a person refused, or Google gave nothing that lasts."""
        authority, query = Authority(context, self.client, self._patience), Told(query)
        refuse_other_issuer(query, authority.google.issuer)
        refuse_error(query, context, authority.google.token_host, self.client)
        if not query.get("code"):
            raise Held(authority.refused("no-code"))
        fields = {
            "grant_type": "authorization_code",
            "code": Secret(query["code"]),
            "redirect_uri": attempt.redirect_uri,
            "client_id": context.client.settings["client_id"],
            "client_secret": context.client.secrets["client_secret"],
            "code_verifier": attempt.verifier,
        }
        answer = await authority.post(authority.google.token_uri, fields)
        if error_of(answer) == "invalid_grant":
            # Of a code it means that it was used, or came too late; of a grant it would mean that it is dead.
            raise Held(authority.problem("OAUTH-REFUSED", answer))
        data = authority.judged(answer, uri=attempt.redirect_uri)
        now = datetime.now(UTC)
        return Grant(
            account=await self._account(authority, attempt, data),
            scopes=_scopes(data) or self.scopes,
            secret=Kept(_refresh_token(authority, data), now, now).secret,
            idle_until=now + IDLE,
        )

    async def refresh(self, context: SignInContext, grant: Grant, resource: str) -> Refreshed:  # noqa: ARG002
        """A new token, by google-auth; one serves every scope that was granted, whichever ``resource`` is meant."""
        authority = Authority(context, self.client, self._patience)
        kept = Kept.of(grant.secret)
        if kept is None:
            raise Held(authority.problem("OAUTH-REVOKED"))
        authority.hide(kept.refresh_token)

        def credentials(_requests: Requests) -> "Credentials":
            from google.oauth2.credentials import Credentials

            return Credentials(  # type: ignore[no-untyped-call]
                None,
                refresh_token=kept.refresh_token.reveal(),
                token_uri=authority.google.token_uri,
                client_id=context.client.settings["client_id"],
                client_secret=context.client.secrets["client_secret"].reveal(),
            )

        answer = (await refreshed(context, authority.google, credentials, self._patience)).answer
        now = datetime.now(UTC)
        if isinstance(answer, Answer) and error_of(answer) == "invalid_grant" and kept.died_of_testing(now):
            raise Held(authority.refused("testing-expired", answer))
        data = authority.judged(answer)
        token = authority.token(data)
        rotated = _refresh_token(authority, data) if data.get("refresh_token") else None
        renewed = Grant(
            account=grant.account,
            scopes=_scopes(data) or grant.scopes,
            secret=kept.renewed(now, rotated).secret,
            idle_until=now + IDLE,
        )
        return Refreshed(token, renewed)

    async def revoke(self, context: SignInContext, grant: Grant) -> None:
        """Give the refresh token back (RFC 7009), and every access token with it. A dead one needs no giving back."""
        authority, kept = Authority(context, self.client, self._patience), Kept.of(grant.secret)
        if kept is None:
            return
        url = authority.google.revoke_uri
        answer = await authority.post(url, {"token": kept.refresh_token})
        if answer.status != _OK and error_of(answer) not in ("invalid_token", "invalid_grant"):
            raise authority.error(answer, url)

    async def _account(self, authority: Authority, attempt: Attempt, data: Told) -> str:
        """The address of whoever consented: from the id token, or asked for where there is none."""
        if isinstance(data.get("id_token"), str):
            claims = authority.claims(data, attempt.private.get("nonce"))
        else:
            token = authority.token(data)
            claims = authority.judged(await authority.get(authority.google.userinfo_uri, token.value))
        email = claims.get("email")
        if not isinstance(email, str) or not email or claims.get("email_verified") not in (True, "true"):
            raise Held(authority.refused("email-not-verified"))
        return email


def _refresh_token(authority: Authority, data: Mapping[str, Any]) -> Secret:
    found = data.get("refresh_token")
    if not isinstance(found, str) or not found:
        raise Held(authority.refused("no-refresh-token"))
    if len(found) > _REFRESH_TOKEN_LIMIT or not (found.isascii() and found.isprintable()):
        raise Held(authority.problem("OAUTH-REFUSED"))
    return Secret(found)


def _scopes(data: Mapping[str, Any]) -> frozenset[str]:
    """What was granted; empty where it was not told, which means what was asked for (RFC 6749 §5.1)."""
    found = data.get("scope")
    return spelled(found) if isinstance(found, str) else frozenset()
