"""Sign in as the company's app: nobody consents, the administrator has granted what it may do."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from recapito.catalogue import problem
from recapito.errors import Held
from recapito.oauth import checked_token
from recapito.secret import Secret
from recapito.transport import Attempt, Grant, Refreshed, SignInContext, SignInKind, Step
from recapito_ms365_oauth.credential import has_credential
from recapito_ms365_oauth.delegated import warn_of_expiry
from recapito_ms365_oauth.entra import ask
from recapito_ms365_oauth.microsoft import Microsoft

if TYPE_CHECKING:
    import msal

    from recapito_ms365_oauth.settings import Resource

__all__ = ["AppSignIn"]


class AppSignIn:
    """A :class:`~recapito.transport.SignIn` by client credentials (RFC 6749 §4.4): a secret, certificate or assertion.

    Entra names no scopes and no account: the mailboxes are those that the administrator allows.
    """

    kind: SignInKind = "app"
    scopes: frozenset[str] = frozenset()

    def __init__(self, client: str, resource: "Resource") -> None:
        self.client = client
        self.resource: Resource = resource

    async def begin(self, context: SignInContext, attempt: Attempt) -> Step:  # noqa: ARG002 - nobody is sent away
        """Nothing to do for a person; Held where the registration cannot do it."""
        _fit(context)
        return Step()

    async def finish(
        self,
        context: SignInContext,
        attempt: Attempt,  # noqa: ARG002
        query: Mapping[str, str],  # noqa: ARG002
    ) -> Grant:
        """An empty grant: the registration's own credential gives each token."""
        _fit(context)
        return Grant(account="", scopes=self.scopes, secret=Secret(""))

    async def refresh(
        self,
        context: SignInContext,
        grant: Grant,  # noqa: ARG002 - it is empty
        resource: str,
    ) -> Refreshed:
        """A new token for all that the app was granted at ``resource``."""
        microsoft = _fit(context)
        warn_of_expiry(context)

        def act(app: "msal.ConfidentialClientApplication") -> Mapping[str, Any]:
            found: Mapping[str, Any] = app.acquire_token_for_client(
                [microsoft.default_scope(cast("Resource", resource))]
            )
            return found

        data = await ask(context, microsoft, act, public=False)
        return Refreshed(checked_token(data.get("access_token"), data.get("expires_in")))

    async def revoke(self, context: SignInContext, grant: Grant) -> None:
        """Nothing: there is only the registration, which is the administrator's."""


def _fit(context: SignInContext) -> Microsoft:
    microsoft = Microsoft.of(context.client.settings)
    if microsoft.any_tenant:
        raise Held(
            problem("M365-TENANT", step="sign-in", tenant=microsoft.tenant, client=context.client.info.name)
        )
    if not has_credential(context.client):
        raise Held(problem("M365-NO-CREDENTIAL", step="sign-in", client=context.client.info.name))
    return microsoft
