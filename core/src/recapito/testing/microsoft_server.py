"""A stand-in for Microsoft: consent, tokens, device codes, Graph and SMTP, as strict as what it stands for."""

import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from recapito.secret import Secrets
from recapito.testing.bench import Arrived
from recapito.testing.entra_app import AppIdentity
from recapito.testing.entra_error import entra_error
from recapito.testing.graph_api import GraphApi
from recapito.testing.https_asked import Asked, Said, json_said
from recapito.testing.oauth_vendor import Code, OAuthVendor, Person, page
from recapito.testing.smtp_server import SmtpServer

__all__ = ["DeviceCode", "MicrosoftServer"]

OUTLOOK = ("https://outlook.office.com", "https://outlook.office365.com")
_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
_OPENID = ("openid", "profile", "offline_access", "email")
_INTERVAL = 5
_DEVICE_LIVES = 900


@dataclass(slots=True)
class DeviceCode:
    """A device sign-in: ``user_code`` is what the person types; ``state`` what they have done."""

    user_code: str
    scopes: tuple[str, ...]
    expires: float
    state: str = "pending"


class MicrosoftServer(OAuthVendor):
    """Entra, Graph and Exchange on loopback; facts: learn.microsoft.com (Entra's protocol pages, Graph v1.0).

    ``tenant`` is the only one it knows, besides ``common``, ``organizations`` and ``consumers``. ``messages`` is
    what Graph took, ``drafts`` what lies about unsent. ``authorize_device`` plays the person of a device sign-in.
    """

    client_id = "66666666-7777-8888-9999-000000000000"
    client_secret = "s3cret~Value-of-the-app"

    def __init__(
        self, account: str = "anna@example.com", *, redirect_uris: Collection[str] = (), **server: Any
    ) -> None:
        super().__init__(Person(account), redirect_uris=redirect_uris, name="microsoft", **server)
        self.tenant = "11111111-2222-3333-4444-555555555555"
        self.rotates = True
        #: Whether Entra takes the app without proof ("Allow public client flows"), and with its secret.
        self.public = True
        self.devices: dict[str, DeviceCode] = {}
        #: Seconds between two polls of a device, as it is told.
        self.interval = _INTERVAL
        self.identity = AppIdentity(self)
        self.graph = GraphApi(self)
        for tenant in (self.tenant, "common", "organizations", "consumers"):
            self.route("GET", f"/{tenant}/v2.0/.well-known/openid-configuration", self._metadata)
            self.route("GET", f"/{tenant}/oauth2/v2.0/authorize", self._authorize)
            self.route("POST", f"/{tenant}/oauth2/v2.0/token", self._token)
            self.route("POST", f"/{tenant}/oauth2/v2.0/devicecode", self._devicecode)
        self.route("GET", "/common/discovery/instance", self._instance)
        for method in ("GET", "POST"):
            self.route(method, "/*", self._other_tenant)

    @property
    def messages(self) -> list[Arrived]:
        """What Graph took, in order."""
        return self.graph.messages

    @property
    def drafts(self) -> list[str]:
        """The ids of drafts that were neither sent nor deleted."""
        return list(self.graph.drafts)

    def client_settings(self, **more: Any) -> dict[str, Any]:
        """The settings of a client ``microsoft`` that reaches this server."""
        given = {
            "tenant": self.tenant,
            "client_id": self.client_id,
            "authority": self.url,
            "graph_root": self.url,
            "ca": self.pem,
        }
        return given | more

    def client_secrets(self) -> Secrets:
        """Its secrets."""
        return Secrets({"client_secret": self.client_secret})

    def smtp(self, **server: Any) -> SmtpServer:
        """An SMTP server as Exchange's: STARTTLS, XOAUTH2 alone, with tokens issued here for Outlook."""
        given = {"tls": "starttls", "mechanisms": ("XOAUTH2",), "authority": self.authority, **server}
        return SmtpServer(token_fits=self._fits_smtp, **given)

    def authorize_device(self, user_code: str, *, decline: bool = False) -> None:
        """The person has typed the code, and agreed (or not)."""
        for device in self.devices.values():
            if device.user_code == user_code:
                device.state = "declined" if decline else "agreed"

    def new_token(self) -> str:
        """Entra's are JWTs; nobody but the resource may look inside."""
        return f"eyJ0eXAi.{secrets.token_urlsafe(600)}.{secrets.token_urlsafe(200)}"

    def _fits_smtp(self, user: str, token: str) -> bool:
        access = self.access(token)
        if access is None or access.audience not in OUTLOOK:
            return False
        app = "SMTP.SendAsApp" in access.scopes and user in self.identity.full_access
        person = "SMTP.Send" in access.scopes and (
            user.lower() == access.account.lower() or (access.account, user) in self.graph.send_as
        )
        return app or person

    def _metadata(self, asked: Asked) -> Said:
        base = f"{self.url}/{asked.path.split('/')[1]}"
        issuer = base if not base.endswith(("common", "organizations")) else f"{self.url}/{{tenantid}}"
        return json_said(
            200,
            {
                "issuer": f"{issuer}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            },
        )

    def _instance(self, asked: Asked) -> Said:  # noqa: ARG002 - a route's signature
        found = f"{self.url}/{self.tenant}/v2.0/.well-known/openid-configuration"
        return json_said(200, {"tenant_discovery_endpoint": found, "metadata": []})

    def _other_tenant(self, asked: Asked) -> Said:
        if "/oauth2/v2.0/" not in asked.path and ".well-known" not in asked.path:
            return json_said(404, {"error": {"code": "ResourceNotFound", "message": "Resource not found."}})
        tenant = asked.path.split("/")[1]
        said = f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID"
        return entra_error(400, "invalid_tenant", 90002, said)

    def _authorize(self, asked: Asked) -> Said:
        query, person = asked.query, self.person
        uri = query.get("redirect_uri", "")
        if query.get("client_id") != self.client_id:
            return page(400, "AADSTS700016: Application was not found in the directory")
        if not self._may_return_to(uri):
            return page(400, "AADSTS50011: The redirect URI does not match the redirect URIs configured")
        if query.get("code_challenge_method") != "S256" or len(query.get("code_challenge", "")) != 43:
            return page(400, "AADSTS9002325: Proof Key for Code Exchange is required")
        state = {"state": query["state"]} if "state" in query else {}
        if person.error or person.deny:
            error = person.error or "access_denied"
            said = person.description or "AADSTS65004: User declined to consent to access the app."
            return self.redirect(uri, error=error, error_description=said, **state)
        scopes = tuple(each for each in query.get("scope", "").split() if each not in person.untick)
        code = self.add_code(query, scopes, offline="offline_access" in scopes)
        return self.redirect(uri, code=code, session_state=secrets.token_hex(8), **state)

    def _may_return_to(self, uri: str) -> bool:
        place = urlsplit(uri)
        return uri in self.redirect_uris or (place.scheme == "http" and place.hostname == "localhost")

    def _token(self, asked: Asked) -> Said:
        form, kind = asked.form, asked.form.get("grant_type", "")
        if form.get("client_id") != self.client_id:
            return entra_error(
                400, "unauthorized_client", 700016, f"Application '{form.get('client_id')}' was not found"
            )
        if kind == "client_credentials":
            return self.identity.token(form)
        if problem := self.identity.refusal(form):
            return problem
        if kind == "authorization_code":
            code = self.redeem(form)
            if code is None:
                return entra_error(400, "invalid_grant", 70000, "The provided value for 'code' is not valid.")
            return self._given(asked, code.account, code.scopes, code)
        if kind == "refresh_token":
            self.refreshes += 1
            return self._refreshed(asked)
        if kind == _DEVICE:
            return self._polled(asked)
        return entra_error(400, "unsupported_grant_type", 70003, f"The grant type '{kind}' is not supported.")

    def _refreshed(self, asked: Asked) -> Said:
        grant = self.grants.get(asked.form.get("refresh_token", ""))
        if grant is None or grant.dead not in ("", "rotated"):
            number, said = _DEAD.get(grant.dead if grant else "", _DEAD["revoked"])
            return entra_error(400, "invalid_grant", number, said)
        wanted = tuple(asked.form.get("scope", "").split()) or grant.scopes
        missing = {_bare(each) for each in wanted} - {_bare(each) for each in grant.scopes} - set(_OPENID)
        if missing:
            said = f"The user or administrator has not consented to use the application. Send an interactive \
authorization request for this user and resource: {' '.join(sorted(missing))}"
            return entra_error(400, "invalid_grant", 65001, said, suberror="consent_required")
        return self._given(asked, grant.account, wanted, None, all_scopes=grant.scopes)

    def _polled(self, asked: Asked) -> Said:
        device = self.devices.get(asked.form.get("device_code", ""))
        if device is None:
            return entra_error(400, "bad_verification_code", 70018, "Invalid verification code")
        if device.expires < time.time():
            return entra_error(400, "expired_token", 70020, "The device code has expired.")
        if device.state == "declined":
            return entra_error(400, "authorization_declined", 65004, "User declined to consent.")
        if device.state == "pending":
            return entra_error(400, "authorization_pending", 70016, "OAuth 2.0 device flow is pending.")
        del self.devices[asked.form["device_code"]]
        return self._given(asked, self.person.account, device.scopes, None)

    def _devicecode(self, asked: Asked) -> Said:
        if asked.form.get("client_id") != self.client_id:
            return entra_error(400, "unauthorized_client", 700016, "Application was not found")
        if not self.public:
            said = "The client application is not enabled for public client flows."
            return entra_error(401, "invalid_client", 7000218, said)
        code, user_code = secrets.token_urlsafe(64), secrets.token_hex(4).upper()
        scopes = tuple(asked.form.get("scope", "").split())
        self.devices[code] = DeviceCode(user_code, scopes, time.time() + _DEVICE_LIVES)
        return json_said(
            200,
            {
                "user_code": user_code,
                "device_code": code,
                "verification_uri": "https://microsoft.com/devicelogin",
                "expires_in": _DEVICE_LIVES,
                "interval": self.interval,
                "message": f"To sign in, open https://microsoft.com/devicelogin and enter {user_code}",
            },
        )

    def _given(
        self,
        asked: Asked,
        account: str,
        scopes: tuple[str, ...],
        code: Code | None,
        *,
        all_scopes: tuple[str, ...] = (),
    ) -> Said:
        permissions = [each for each in scopes if each not in _OPENID]
        audiences = {_audience(each) for each in permissions}
        if len(audiences) > 1:
            return entra_error(400, "invalid_scope", 28000, "The scope is for more than one resource.")
        audience = audiences.pop() if audiences else ""
        granted = [_bare(each) for each in permissions]
        data: dict[str, Any] = {
            "token_type": "Bearer",
            # As Entra spells them: Graph's without its root, with what is always there.
            "scope": " ".join([*permissions, "openid", "profile", "email"]),
            "expires_in": self.token_lives,
            "ext_expires_in": self.token_lives,
            "access_token": self.issue(account, granted, audience),
        }
        kept = all_scopes or scopes
        if "offline_access" in scopes or all_scopes:
            old = self.grants.get(asked.form.get("refresh_token", ""))
            if old is None or self.rotates:
                # Entra gives a new one each time, and lets the old one live.
                data["refresh_token"] = self.give(account, kept)
        if "openid" in scopes or code is None:
            nonce = {"nonce": code.nonce} if code and code.nonce else {}
            tenant = asked.path.split("/")[1]
            tenant = self.tenant if tenant in ("common", "organizations") else tenant
            data["id_token"] = self.id_token(
                iss=f"{self.url}/{tenant}/v2.0",
                aud=self.client_id,
                tid=tenant,
                sub="sub",
                oid="00000000-0000-0000-0000-000000000001",
                preferred_username=account,
                email=account,
                **nonce,
            )
        return json_said(200, data)


_DEAD = {
    "revoked": (50132, "The session is not valid due to password expiration or recent password change."),
    "password": (
        50173,
        "The provided grant has expired due to it being revoked, a fresh auth token is needed.",
    ),
    "idle": (700082, "The refresh token has expired due to inactivity."),
    "mfa": (
        50076,
        "Due to a configuration change made by your administrator you must use multi-factor auth.",
    ),
    "conditional": (53003, "Access has been blocked by Conditional Access policies."),
}


def _audience(scope: str) -> str:
    place = urlsplit(scope)
    return f"{place.scheme}://{place.netloc}" if place.netloc else ""


def _bare(scope: str) -> str:
    return scope.rpartition("/")[2]
