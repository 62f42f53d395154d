"""Sign in with Microsoft in a browser: a person consents, and a refresh token is left."""

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from recapito.catalogue import problem
from recapito.errors import DeliveryError, Held
from recapito.oauth import challenge, new_state, refuse_error, refuse_other_issuer
from recapito.secret import Secret, Secrets
from recapito.transport import Attempt, Grant, SignInContext, SignInKind, Step
from recapito_ms365_oauth.credential import has_credential
from recapito_ms365_oauth.delegated import Delegated
from recapito_ms365_oauth.entra import Given, ask, tenant_metadata, unusable, with_link
from recapito_ms365_oauth.microsoft import Microsoft

if TYPE_CHECKING:
    import msal

__all__ = ["CodeSignIn"]

# msal adds them itself where it asks (application.py, _decorate_scope); here the address is ours.
_OPENID = ("openid", "profile", "offline_access")
# "Client is public so neither 'client_assertion' nor 'client_secret' should be presented."
_NOT_WANTED = "AADSTS700025"


class CodeSignIn(Delegated):
    """A :class:`~recapito.transport.SignIn` by authorisation code and PKCE (RFC 7636)."""

    kind: SignInKind = "code"

    async def begin(self, context: SignInContext, attempt: Attempt) -> Step:
        """The address at which a person consents. A tenant that does not exist is told before they go there."""
        microsoft = Microsoft.of(context.client.settings)
        metadata = await tenant_metadata(context, microsoft)
        nonce = new_state()
        query = {
            "client_id": microsoft.client_id,
            "response_type": "code",
            # Not form_post, which msal advises: a program on this machine takes the answer from its address.
            "response_mode": "query",
            "redirect_uri": attempt.redirect_uri,
            "scope": " ".join(sorted([*self.asked(microsoft), *_OPENID])),
            "state": attempt.state,
            "nonce": _hashed(nonce),
            "code_challenge": challenge(attempt.verifier),
            "code_challenge_method": "S256",
        } | ({"login_hint": attempt.hint} if attempt.hint else {})
        return Step(
            url=f"{microsoft.endpoint('authorize')}?{urlencode(query)}",
            private=Secrets({"nonce": nonce, "issuer": str(metadata["issuer"])}),
        )

    async def finish(self, context: SignInContext, attempt: Attempt, query: Mapping[str, str]) -> Grant:
        """Redeem the code. Held where a person or the tenant refused, or Entra gave nothing that lasts."""
        microsoft = Microsoft.of(context.client.settings)
        issuer = attempt.private["issuer"].reveal()
        refuse_other_issuer(query, _expected(issuer, query))
        try:
            refuse_error(query, context, microsoft.login_host, self.client)
        except DeliveryError as exc:
            raise with_link(microsoft, exc) from None
        code = Secret(query.get("code", ""))
        if not code:
            raise unusable(microsoft)
        public = not has_credential(context.client)
        try:
            data = await self._redeemed(context, microsoft, attempt, code, public=public)
        except DeliveryError as exc:
            if public or _NOT_WANTED not in (exc.problem.reply or ""):
                raise _of_this_try(exc) from None
            # The redirect URI is one of a program, and the app has a secret for its other ones.
            public = True
            data = await self._redeemed(context, microsoft, attempt, code, public=public)
        nonce = _hashed(attempt.private["nonce"].reveal())
        return self.left(microsoft, data, public=public, hint=attempt.hint, issuer=issuer, nonce=nonce)

    async def _redeemed(
        self, context: SignInContext, microsoft: Microsoft, attempt: Attempt, code: Secret, *, public: bool
    ) -> Given:
        def act(app: "msal.ClientApplication") -> Mapping[str, Any]:
            flow = {
                "state": attempt.state,
                "redirect_uri": attempt.redirect_uri,
                "scope": [*self.asked(microsoft), *_OPENID],
                "code_verifier": attempt.verifier.reveal(),
                "nonce": attempt.private["nonce"].reveal(),
            }
            found: Mapping[str, Any] = app.acquire_token_by_auth_code_flow(
                flow, {"state": attempt.state, "code": code.reveal()}
            )
            return found

        hidden = (code, attempt.verifier)
        return await ask(context, microsoft, act, public=public, hidden=hidden, uri=attempt.redirect_uri)


def _of_this_try(exc: DeliveryError) -> DeliveryError:
    """A code that is wrong, used or too old: no grant has died, since there is none yet."""
    if exc.problem.code != "OAUTH-REVOKED":
        return exc
    found = exc.problem
    return Held(problem("OAUTH-REFUSED", step=found.step, host=found.host, reply=found.reply))


def _hashed(nonce: str) -> str:
    """As msal sends it, and compares it with what the id token has (oidc.py, _nonce_hash)."""
    return sha256(nonce.encode("ascii")).hexdigest()


def _expected(issuer: str, query: Mapping[str, str]) -> str:
    """The issuer that a redirect may name (RFC 9207); of an app for every tenant, that of any tenant there."""
    before, any_tenant, after = issuer.partition("{tenantid}")
    said = query.get("iss", "")
    within = any_tenant and said.startswith(before) and said.endswith(after)
    return said if within and "/" not in said[len(before) : len(said) - len(after)] else issuer
