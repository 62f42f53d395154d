"""A stand-in for Google: consent, tokens, the Gmail API and its SMTP server, as strict as what it stands for."""

from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from recapito.secret import Secrets
from recapito.testing.bench import Arrived
from recapito.testing.gmail_api import GmailApi
from recapito.testing.google_assertion import ServiceAccount
from recapito.testing.https_asked import Asked, Said, json_said
from recapito.testing.oauth_vendor import Code, OAuthVendor, Person, StoredGrant, oauth_error, page
from recapito.testing.smtp_server import SmtpServer

__all__ = ["GoogleServer"]

_SPELLED = {
    "email": "https://www.googleapis.com/auth/userinfo.email",
    "profile": "https://www.googleapis.com/auth/userinfo.profile",
}
MAIL = "https://mail.google.com/"
_NO_GRANT = "Token has been expired or revoked."


class GoogleServer(OAuthVendor):
    """Google on loopback; facts: developers.google.com/identity/protocols/oauth2 and the Gmail API's discovery.

    ``messages`` is what the Gmail API took. :meth:`client_settings` and :meth:`client_secrets` are a registration
    that reaches it; :meth:`smtp` a server that takes the tokens that were issued here, and no others.
    """

    client_id = "1234567890-abc.apps.googleusercontent.com"
    client_secret = "GOCSPX-secret-of-the-app"

    def __init__(
        self, account: str = "anna@example.com", *, redirect_uris: Collection[str] = (), **server: Any
    ) -> None:
        super().__init__(Person(account), redirect_uris=redirect_uris, name="google", **server)
        self.workspace = ServiceAccount(self, self.token_answer)
        self.gmail = GmailApi(self)
        self.route("GET", "/o/oauth2/v2/auth", self._authorize)
        self.route("POST", "/token", self._token)
        self.route("POST", "/revoke", self._revoke)
        self.route("GET", "/v1/userinfo", self._userinfo)

    @property
    def messages(self) -> list[Arrived]:
        """What the Gmail API took, in order."""
        return self.gmail.messages

    def client_settings(self, **more: Any) -> dict[str, Any]:
        """The settings of a client ``google`` that reaches this server."""
        return {
            "client_id": self.client_id,
            "auth_uri": f"{self.url}/o/oauth2/v2/auth",
            "token_uri": f"{self.url}/token",
            "revoke_uri": f"{self.url}/revoke",
            "userinfo_uri": f"{self.url}/v1/userinfo",
            "api_root": self.url,
            "ca": self.pem,
            **more,
        }

    def client_secrets(self) -> Secrets:
        """Its secrets."""
        return Secrets({"client_secret": self.client_secret})

    def service_account(self) -> str:
        """A service account's key, as Google's console gives it: JSON."""
        return self.workspace.key

    def smtp(self, **server: Any) -> SmtpServer:
        """An SMTP server that takes a token issued here for that very account, with the scope for SMTP."""
        given = {
            "tls": "ssl",
            "mechanisms": ("PLAIN", "LOGIN", "XOAUTH2"),
            "authority": self.authority,
            **server,
        }
        return SmtpServer(token_fits=self._fits_smtp, **given)

    def _fits_smtp(self, user: str, token: str) -> bool:
        access = self.access(token)
        return access is not None and access.account.lower() == user.lower() and MAIL in access.scopes

    def _authorize(self, asked: Asked) -> Said:
        query, person = asked.query, self.person
        uri = query.get("redirect_uri", "")
        if query.get("client_id") != self.client_id:
            return page(401, "Error 401: invalid_client")
        if not self._may_return_to(uri):
            return page(400, "Error 400: redirect_uri_mismatch")
        if query.get("response_type") != "code" or not query.get("scope"):
            return page(400, "Error 400: invalid_request")
        if query.get("code_challenge_method") != "S256" or len(query.get("code_challenge", "")) != 43:
            return page(400, "Error 400: invalid_request. PKCE with S256 is wanted.")
        if person.error:
            return page(403, f"Error 403: {person.error}")
        state = {"state": query["state"]} if "state" in query else {}
        back = {**state, "iss": self.url}
        if person.deny:
            return self.redirect(uri, error="access_denied", **back)
        scopes = tuple(each for each in query["scope"].split() if each not in person.untick)
        first = not any(grant.account == person.account and not grant.dead for grant in self.grants.values())
        offline = query.get("access_type") == "offline" and (first or "consent" in query.get("prompt", ""))
        code = self.add_code(query, scopes, offline=offline)
        return self.redirect(uri, code=code, scope=" ".join(map(_spelled, scopes)), authuser="0", **back)

    def _may_return_to(self, uri: str) -> bool:
        place = urlsplit(uri)
        return uri in self.redirect_uris or (
            place.scheme == "http" and place.hostname in ("127.0.0.1", "::1")
        )

    def _token(self, asked: Asked) -> Said:
        form = asked.form
        kind = form.get("grant_type", "")
        if kind == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return self.workspace.token(form)
        if (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            return oauth_error(401, "invalid_client", "Unauthorized")
        if kind == "authorization_code":
            code = self.redeem(form)
            return oauth_error(400, "invalid_grant", "Bad Request") if code is None else self._redeemed(code)
        if kind == "refresh_token":
            self.refreshes += 1
            return self._refreshed(form)
        return oauth_error(400, "unsupported_grant_type", f"Invalid grant_type: {kind}")

    def _redeemed(self, code: Code) -> Said:
        data = self.token_answer(code.account, code.scopes)
        if code.offline:
            data["refresh_token"] = self.give(code.account, code.scopes)
        if "openid" in code.scopes:
            nonce = {"nonce": code.nonce} if code.nonce else {}
            data["id_token"] = self.id_token(
                iss=self.url,
                aud=self.client_id,
                azp=self.client_id,
                sub="1081",
                email=code.account,
                email_verified=True,
                **nonce,
            )
        return json_said(200, data)

    def _refreshed(self, form: dict[str, str]) -> Said:
        grant = self.grants.get(form.get("refresh_token", ""))
        if grant is None or grant.dead:
            more = {"error_subtype": "invalid_rapt"} if grant and grant.dead == "invalid_rapt" else {}
            said = "reauth related error (invalid_rapt)" if more else _NO_GRANT
            return oauth_error(400, "invalid_grant", said, **more)
        data = self.token_answer(grant.account, grant.scopes)
        if self.rotates:
            data["refresh_token"] = self.rotated(grant)
        return json_said(200, data)

    def token_answer(self, account: str, scopes: tuple[str, ...]) -> dict[str, Any]:
        """What the token endpoint says when it gives a token."""
        return {
            "access_token": self.issue(account, scopes),
            "expires_in": self.token_lives,
            "scope": " ".join(map(_spelled, scopes)),
            "token_type": "Bearer",
        }

    def _revoke(self, asked: Asked) -> Said:
        value = asked.form.get("token", "")
        grant: StoredGrant | None = self.grants.get(value)
        access = self.tokens.get(value)
        account = grant.account if grant and not grant.dead else access.account if access else ""
        if not account:
            return oauth_error(400, "invalid_token", "Token expired or revoked")
        self.revoke(account)
        return json_said(200, {})

    def _userinfo(self, asked: Asked) -> Said:
        access = self.bearer(asked)
        if access is None or "email" not in access.scopes:
            return oauth_error(401, "invalid_request", "Invalid Credentials")
        return json_said(200, {"sub": "1081", "email": access.account, "email_verified": True})


def _spelled(scope: str) -> str:
    return _SPELLED.get(scope, scope)
