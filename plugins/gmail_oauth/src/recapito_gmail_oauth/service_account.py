"""A company's service account, which acts for the mailboxes of its own Workspace (domain-wide delegation)."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from recapito.errors import Held
from recapito.oauth import Answer
from recapito.secret import Secret
from recapito.transport import Attempt, Grant, Refreshed, SignInContext, SignInKind, Step
from recapito_gmail_oauth.authority import Authority, error_of
from recapito_gmail_oauth.google import TOKEN_URI, scope_of
from recapito_gmail_oauth.refresh import PATIENCE, Requests, Said, refreshed

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["ServiceAccountSignIn"]

_UNIVERSE = "googleapis.com"
_SIGNING = "https://www.googleapis.com/auth/cloud-platform"
# What Google says where delegation is missing, wholly or for this scope (its OAuth 2.0 page for server to server).
_NOT_DELEGATED = ("unauthorized_client", "access_denied")
_REFUSALS = (400, 401, 403, 404)


class ServiceAccountSignIn:
    """A :class:`~recapito.transport.SignIn` without a person: every token is asked for as ``mailbox``."""

    kind: SignInKind = "service-account"

    def __init__(self, client: str, sends_by: str, mailbox: str, patience: float = PATIENCE) -> None:
        self.client = client
        self._patience = patience
        self.resource = scope_of(sends_by)
        self.scopes = frozenset({self.resource})
        self._mailbox = mailbox

    async def begin(self, context: SignInContext, attempt: Attempt) -> Step:  # noqa: ARG002 - nobody has to act
        """Nothing to do."""
        return Step()

    async def finish(
        self,
        context: SignInContext,  # noqa: ARG002 - the administrator has granted it in Google's console
        attempt: Attempt,  # noqa: ARG002
        query: Mapping[str, str],  # noqa: ARG002
    ) -> Grant:
        """A grant that keeps nothing: the registration has the key. Whether it counts shows with the first token."""
        return Grant(account=self._mailbox, scopes=self.scopes, secret=Secret(""))

    async def refresh(self, context: SignInContext, grant: Grant, resource: str) -> Refreshed:  # noqa: ARG002
        """A new token for this mailbox and scope, by google-auth."""
        authority = Authority(context, self.client, self._patience)
        make = self._keyed if "key" in context.client.secrets else self._keyless
        said = await refreshed(
            context, authority.google, lambda requests: make(context, requests), self._patience
        )
        authority.hide(*said.told)
        self._refuse(authority, said)
        data = authority.judged(said.answer)
        return Refreshed(authority.token(data))

    async def revoke(self, context: SignInContext, grant: Grant) -> None:
        """Nothing was given to this mailbox: the administrator takes the delegation back."""

    def _keyed(self, context: SignInContext, _requests: Requests) -> "Credentials":
        from google.oauth2.service_account import Credentials

        made = Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
            # Where the key says that tokens are asked for is not asked: the registration's endpoint is.
            json.loads(context.client.secrets["key"].reveal()) | {"token_uri": TOKEN_URI},
            scopes=sorted(self.scopes),
            subject=self._mailbox,
        )
        return cast("Credentials", made)

    def _keyless(self, context: SignInContext, requests: Requests) -> "Credentials":
        from google.auth import default
        from google.auth.impersonated_credentials import Credentials

        own, _ = default(scopes=[_SIGNING], request=cast("Any", requests))
        if hasattr(own, "with_universe_domain"):
            # Delegation works in no other; to ask the metadata server, google-auth would bring its own HTTP.
            own = own.with_universe_domain(_UNIVERSE)
        return Credentials(  # type: ignore[no-untyped-call]
            own,
            target_principal=context.client.settings["service_account"],
            target_scopes=sorted(self.scopes),
            subject=self._mailbox,
        )

    def _refuse(self, authority: Authority, said: Said) -> None:
        """Held where Google's words mean one thing only when a service account hears them."""
        settings, answer = authority.context.client.settings, said.answer
        keyless = str(settings.get("service_account") or "")
        if answer is None and keyless:
            raise Held(authority.problem("GOOGLE-KEYLESS", service_account=keyless, missing=1))
        if not isinstance(answer, Answer):
            return
        if error_of(answer) in _NOT_DELEGATED:
            client_id = str(settings.get("client_id") or _key_field(authority.context, "client_id"))
            scopes = " ".join(sorted(self.scopes))
            raise Held(authority.problem("GOOGLE-DELEGATION", answer, client_id=client_id, scopes=scopes))
        if keyless and said.url != authority.google.token_uri and answer.status in _REFUSALS:
            raise Held(authority.problem("GOOGLE-KEYLESS", answer, service_account=keyless))


def _key_field(context: SignInContext, name: str) -> str:
    """What the key file says of its account; empty where there is no key."""
    if "key" not in context.client.secrets:
        return ""
    return str(json.loads(context.client.secrets["key"].reveal()).get(name) or "")
