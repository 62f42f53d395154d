"""One provider, asked in one act of one sign-in, as the standards say."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import quote, urlencode, urlsplit

from recapito.catalogue import problem
from recapito.errors import DeliveryError, Held, NotSent
from recapito.oauth.answer import Answer
from recapito.oauth.endpoints import Endpoints
from recapito.oauth.explain import explained
from recapito.oauth.failure import HttpFailure
from recapito.oauth.id_token import id_token_claims
from recapito.oauth.token import checked_token
from recapito.secret import Secret
from recapito.signin import Grant, Refreshed, SignInContext, Token

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["ClientAuth", "Provider"]

#: How a client with a secret proves itself (RFC 6749 §2.3.1): by HTTP Basic, or in the form.
ClientAuth: TypeAlias = Literal["basic", "post"]

#: Seconds for one act (:meth:`recapito.transport.SignIn.refresh` allows 25).
_PATIENCE = 20.0
_OK = 200
# RFC 6749 appendix A.17 allows any printable character; no provider's are longer.
_REFRESH_TOKEN = re.compile(r"[\x20-\x7e]{1,16384}")


class Provider:
    """The endpoints of a registration. ``auth`` is how it proves itself, where it has a secret."""

    def __init__(self, context: SignInContext, endpoints: Endpoints, auth: ClientAuth = "basic") -> None:
        self.context = context
        self.endpoints = endpoints.with_settings(context.client.settings)
        self.client_id = str(context.client.settings.get("client_id") or "")
        self._auth = auth

    @property
    def _name(self) -> str:
        return self.context.client.info.name

    @property
    def _secret(self) -> Secret | None:
        found = self.context.client.secrets.get("client_secret")
        return found or None

    async def ask(
        self, url: str, fields: Mapping[str, "str | Secret"], *, waits: "Collection[str]" = ()
    ) -> dict[str, Any]:
        """The JSON that a form was answered with: of 200, or with an ``error`` that is one of ``waits``.

        Raises what is behind any other answer, or none.
        """
        answer = await self._post(url, fields)
        data = answer.json() if isinstance(answer, Answer) else None
        if isinstance(answer, Answer) and data is not None:
            granted = answer.status == _OK and "error" not in data
            if granted or data.get("error") in waits:
                return data
        raise self._refused(url, answer, fields)

    async def give_back(self, token: Secret) -> None:
        """Revoke a refresh token (RFC 7009), where the provider can; one that is dead needs no giving back."""
        url = self.endpoints.revoke
        if not url or not token:
            return
        fields: dict[str, str | Secret] = {"token": token, "token_type_hint": "refresh_token"}
        answer = await self._post(url, fields)
        if not isinstance(answer, Answer) or answer.status != _OK:
            raise self._refused(url, answer, fields)

    def refreshed(self, data: Mapping[str, Any], grant: Grant, idle: timedelta | None) -> Refreshed:
        """The token in an answer, and the grant as it is now."""
        token = self.token(data)
        rotated = self.refresh_token(data)
        if rotated is None and idle is None:
            return Refreshed(token)
        renewed = Grant(
            account=grant.account,
            scopes=self.scopes(data, grant.scopes),
            secret=rotated or grant.secret,
            idle_until=None if idle is None else datetime.now(UTC) + idle,
        )
        return Refreshed(token, renewed)

    def granted(
        self, data: Mapping[str, Any], asked: frozenset[str], idle: timedelta | None, nonce: str = ""
    ) -> Grant:
        """The grant in the answer to a code. Held (OAUTH-SCOPE) where it has nothing that lasts."""
        self.token(data)
        secret = self.refresh_token(data)
        if secret is None:
            found = problem("OAUTH-SCOPE", step="sign-in", host=self.endpoints.host, client=self._name)
            raise Held(found)
        return Grant(
            account=self._account(data, nonce),
            scopes=self.scopes(data, asked),
            secret=secret,
            idle_until=None if idle is None else datetime.now(UTC) + idle,
        )

    def token(self, data: Mapping[str, Any]) -> Token:
        """The access token in an answer; NotSent where it is not a bearer token that can be used."""
        if str(data.get("token_type", "bearer")).lower() != "bearer":
            raise self._unusable()
        return checked_token(data.get("access_token"), data.get("expires_in"))

    def refresh_token(self, data: Mapping[str, Any]) -> Secret | None:
        """The refresh token in an answer; None where there is none."""
        found = data.get("refresh_token")
        if found is None:
            return None
        if not isinstance(found, str) or not _REFRESH_TOKEN.fullmatch(found):
            raise self._unusable()
        return Secret(found)

    def scopes(self, data: Mapping[str, Any], asked: frozenset[str]) -> frozenset[str]:
        """What was granted; an answer without it grants what was asked for (RFC 6749 §5.1)."""
        said = data.get("scope")
        return frozenset(said.split()) if isinstance(said, str) and said.strip() else asked

    def _account(self, data: Mapping[str, Any], nonce: str) -> str:
        """The address in the id token; empty where there is none, or nobody said whose it may be."""
        if not self.endpoints.issuer or "id_token" not in data:
            return ""
        claims = id_token_claims(
            data["id_token"], issuer=self.endpoints.issuer, audience=self.client_id, nonce=nonce
        )
        # OpenID Connect Core §5.7: no other claim may be relied on, and this one only where it is verified.
        verified = claims.get("email_verified") in (True, "true")
        email = claims.get("email")
        return email if verified and isinstance(email, str) else ""

    async def _post(self, url: str, fields: Mapping[str, "str | Secret"]) -> Answer | HttpFailure:
        from recapito.oauth.http import Http

        settings = self.context.client.settings
        headers: dict[str, str | Secret] = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        try:
            async with Http(self.context.tls(settings.get("ca")), proxy=settings.get("proxy")) as http:
                return await http.request(
                    "POST",
                    url,
                    headers=headers | self._proof(),
                    content=_form({**fields, **self._named()}),
                    deadline_in=_PATIENCE,
                )
        except HttpFailure as exc:
            return exc.with_traceback(None)

    def _proof(self) -> dict[str, Secret]:
        secret = self._secret
        if secret is None or self._auth != "basic":
            return {}
        return {"Authorization": Secret(f"Basic {_basic(self.client_id, secret)}")}

    def _named(self) -> dict[str, "str | Secret"]:
        secret = self._secret
        if secret is None:
            return {"client_id": self.client_id}
        return {} if self._auth == "basic" else {"client_id": self.client_id, "client_secret": secret}

    def _refused(
        self, url: str, answer: Answer | HttpFailure, fields: Mapping[str, "str | Secret"]
    ) -> DeliveryError:
        hidden = [value for value in fields.values() if isinstance(value, Secret)]
        return explained(self.context, answer, urlsplit(url).hostname or "", self._name, hidden=hidden)

    def _unusable(self) -> NotSent:
        return NotSent(problem("OAUTH-ANSWER", step="sign-in", host=self.endpoints.host, client=self._name))


def _basic(client_id: str, secret: Secret) -> str:
    from base64 import b64encode

    # RFC 6749 §2.3.1: both are encoded as in a form first. A space as %20: some servers do not take a + for one.
    return b64encode(f"{quote(client_id, safe='')}:{quote(secret.reveal(), safe='')}".encode()).decode(
        "ascii"
    )


def _form(fields: Mapping[str, "str | Secret"]) -> Secret:
    return Secret(
        urlencode(
            {name: value.reveal() if isinstance(value, Secret) else value for name, value in fields.items()}
        )
    )
