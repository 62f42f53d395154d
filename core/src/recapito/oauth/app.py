"""Sign in as the application itself: client credentials, without a person."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from recapito.oauth.provider import ClientAuth, Provider
from recapito.secret import Secret
from recapito.signin import Attempt, Grant, Refreshed, SignInContext, SignInKind, Step

if TYPE_CHECKING:
    from recapito.oauth.endpoints import Endpoints

__all__ = ["AppSignIn"]


class AppSignIn:
    """A :class:`~recapito.transport.SignIn` by client credentials (RFC 6749 §4.4): its secret is the registration's.

    ``account`` is the mailbox that it sends for; it is not compared with anything where it is empty.
    ``parameters`` are more that the provider wants in the form (``audience``, ``resource``).
    """

    kind: SignInKind = "app"

    def __init__(
        self,
        client: str,
        scopes: frozenset[str],
        endpoints: "Endpoints",
        *,
        account: str = "",
        resource: str = "",
        auth: ClientAuth = "basic",
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        self.client = client
        self.scopes = scopes
        self.resource = resource or " ".join(sorted(scopes))
        self._endpoints = endpoints
        self._account = account
        self._auth: ClientAuth = auth
        self._parameters = dict(parameters or {})

    async def begin(self, context: SignInContext, attempt: Attempt) -> Step:  # noqa: ARG002 - nobody has to act
        """Nothing to do."""
        return Step()

    async def finish(
        self,
        context: SignInContext,  # noqa: ARG002 - whether the secret is right shows with the first token
        attempt: Attempt,  # noqa: ARG002
        query: Mapping[str, str],  # noqa: ARG002
    ) -> Grant:
        """A grant that keeps nothing."""
        return Grant(account=self._account, scopes=self.scopes, secret=Secret(""))

    async def refresh(self, context: SignInContext, grant: Grant, resource: str) -> Refreshed:  # noqa: ARG002
        """A new token."""
        provider = Provider(context, self._endpoints, self._auth)
        asked = {**self._parameters, "grant_type": "client_credentials"}
        if self.scopes:
            asked["scope"] = " ".join(sorted(self.scopes))
        return Refreshed(provider.token(await provider.ask(provider.endpoints.token, asked)))

    async def revoke(self, context: SignInContext, grant: Grant) -> None:
        """Nothing: whoever registered the application takes its rights back."""
