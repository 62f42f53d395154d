"""Sign in by a browser, at a provider that keeps to the standards: authorisation code and PKCE."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from recapito.catalogue import problem
from recapito.errors import NotSent
from recapito.oauth.pkce import challenge, new_state
from recapito.oauth.provider import ClientAuth, Provider
from recapito.oauth.redirect import refuse_error, refuse_other_issuer
from recapito.secret import Secret, Secrets
from recapito.signin import Attempt, Grant, Refreshed, SignInContext, SignInKind, Step

if TYPE_CHECKING:
    from recapito.oauth.endpoints import Endpoints

__all__ = ["CodeSignIn", "Lasting"]


class Lasting:
    """What every sign-in has that leaves a refresh token.

    ``client`` is the registration's name and ``scopes`` what is asked for and compared with what was granted;
    ``also`` is asked for too, and not compared (``offline_access``, ``openid``). ``resource`` is the word for its
    tokens (default: the scopes). ``idle`` is how long a grant lives unused, where the provider says so;
    ``parameters`` are more that it wants in the address or the form. One token serves all scopes.
    """

    kind: SignInKind = "code"

    def __init__(
        self,
        client: str,
        scopes: frozenset[str],
        endpoints: "Endpoints",
        *,
        also: frozenset[str] = frozenset(),
        resource: str = "",
        idle: timedelta | None = None,
        auth: ClientAuth = "basic",
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        self.client = client
        self.scopes = scopes
        self.resource = resource or " ".join(sorted(scopes))
        self._endpoints = endpoints
        self._also = also
        self._idle = idle
        self._auth: ClientAuth = auth
        self._parameters = dict(parameters or {})

    async def refresh(self, context: SignInContext, grant: Grant, resource: str) -> Refreshed:  # noqa: ARG002
        """A new token; the grant comes back where its refresh token was rotated, or its ``idle_until`` moved."""
        provider = self._provider(context)
        data = await provider.ask(
            provider.endpoints.token, {"grant_type": "refresh_token", "refresh_token": grant.secret}
        )
        return provider.refreshed(data, grant, self._idle)

    async def revoke(self, context: SignInContext, grant: Grant) -> None:
        """Give the refresh token back (RFC 7009), where the provider has an endpoint for it."""
        await self._provider(context).give_back(grant.secret)

    def _provider(self, context: SignInContext) -> Provider:
        return Provider(context, self._endpoints, self._auth)

    @property
    def _scope(self) -> str:
        return " ".join(sorted(self.scopes | self._also))


class CodeSignIn(Lasting):
    """A :class:`~recapito.transport.SignIn` by authorisation code and PKCE S256 (RFC 6749 §4.1, RFC 7636).

    See :class:`Lasting` for what it is made with.
    """

    async def begin(self, context: SignInContext, attempt: Attempt) -> Step:
        """The address at which a person consents. Nobody is asked yet."""
        provider = self._provider(context)
        nonce = new_state()
        query = {
            **self._parameters,
            "client_id": provider.client_id,
            "redirect_uri": attempt.redirect_uri,
            "response_type": "code",
            "scope": self._scope,
            "state": attempt.state,
            "code_challenge": challenge(attempt.verifier),
            "code_challenge_method": "S256",
        }
        if "openid" in self.scopes | self._also:
            query["nonce"] = nonce
        if attempt.hint:
            query["login_hint"] = attempt.hint
        joint = "&" if urlsplit(provider.endpoints.authorize).query else "?"
        url = f"{provider.endpoints.authorize}{joint}{urlencode(query)}"
        return Step(url=url, private=Secrets({"nonce": nonce} if "nonce" in query else {}))

    async def finish(self, context: SignInContext, attempt: Attempt, query: Mapping[str, str]) -> Grant:
        """Redeem the code. Held where a person refused, another issuer answers, or nothing lasting was given."""
        provider = self._provider(context)
        if provider.endpoints.issuer:
            refuse_other_issuer(query, provider.endpoints.issuer)
        refuse_error(query, context, provider.endpoints.host, self.client)
        code = query.get("code")
        if not code:
            raise NotSent(problem("OAUTH-ANSWER", step="sign-in", host=provider.endpoints.host))
        data = await provider.ask(
            provider.endpoints.token,
            {
                "grant_type": "authorization_code",
                "code": Secret(code),
                "redirect_uri": attempt.redirect_uri,
                "code_verifier": attempt.verifier,
            },
        )
        nonce = attempt.private["nonce"].reveal() if "nonce" in attempt.private else ""
        return provider.granted(data, self.scopes, self._idle, nonce)
