"""An authorisation server by somebody else: Authlib's, with Flask, over TLS. A second opinion on our sign-ins."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint, DeviceCodeGrant, DeviceCredentialDict
from authlib.oauth2.rfc9207 import IssuerParameter
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode
from flask import Flask, request
from joserfc.jwk import OctKey
from werkzeug.serving import WSGIRequestHandler, make_server

__all__ = ["SCOPES", "Authority", "Registered", "authority"]

SCOPES = frozenset({"openid", "email", "mail.send", "offline_access"})
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass
class Registered(ClientMixin):
    """A client that the server knows."""

    client_id: str
    secret: str = ""
    redirect_uri: str = "http://127.0.0.1:8000/"

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_allowed_scope(self, scope: str) -> str:
        return " ".join(sorted(SCOPES & set(scope.split())))

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.redirect_uri

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == self.secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in (("client_secret_basic", "client_secret_post") if self.secret else ("none",))

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return True


@dataclass
class Issued(TokenMixin):
    """A token that the server gave out."""

    client_id: str
    user: str | None
    access_token: str
    scope: str
    refresh_token: str = ""
    revoked: bool = False

    def check_client(self, client: Registered) -> bool:
        return client.client_id == self.client_id

    def get_scope(self) -> str:
        return self.scope

    def get_expires_in(self) -> int:
        return 3600

    def is_expired(self) -> bool:
        return False

    def is_revoked(self) -> bool:
        return self.revoked

    def get_user(self) -> str | None:
        return self.user


@dataclass
class Code:
    """An authorisation code, good once."""

    code: str
    client_id: str
    redirect_uri: str
    scope: str
    user: str
    nonce: str | None
    code_challenge: str | None
    code_challenge_method: str | None

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str | None:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


@dataclass
class Authority:
    """What the server knows, and what a test asks of it."""

    client: Registered
    url: str = ""
    #: Who consents in a browser; None: somebody who refuses.
    person: str | None = "anna@example.it"
    codes: dict[str, Code] = field(default_factory=dict)
    issued: list[Issued] = field(default_factory=list)
    devices: dict[str, Any] = field(default_factory=dict)
    #: Who has typed a user code, and whether they agreed.
    typed: dict[str, tuple[str, bool]] = field(default_factory=dict)
    hurry: bool = False

    def good(self, value: str) -> bool:
        return any(each.access_token == value and not each.revoked for each in self.issued)


def _flask(known: Authority) -> Flask:
    app = Flask(__name__)
    app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True

    def save_token(token: dict[str, Any], asked: Any) -> None:
        kept = {name: token.get(name, "") for name in ("access_token", "scope", "refresh_token")}
        known.issued.append(Issued(asked.client.client_id, asked.user, **kept))

    server = AuthorizationServer(
        app,
        query_client=lambda name: known.client if name == known.client.client_id else None,
        save_token=save_token,
    )
    for grant, extensions in _grants(known):
        server.register_grant(grant, extensions)
    for endpoint in _endpoints(known):
        server.register_endpoint(endpoint)
    server.register_extension(_issuer(known))

    @app.get("/authorize")
    def authorize() -> Any:
        grant = server.get_consent_grant(end_user=known.person)
        return server.create_authorization_response(grant_user=known.person, grant=grant)

    @app.post("/token")
    def token() -> Any:
        return server.create_token_response()

    @app.post("/device")
    def device() -> Any:
        return server.create_endpoint_response("device_authorization")

    @app.post("/revoke")
    def revoke() -> Any:
        return server.create_endpoint_response("revocation")

    @app.post("/send")
    def send() -> Any:
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        return ("", 200) if scheme == "Bearer" and known.good(value) else ("", 401)

    return app


def _grants(known: Authority) -> Iterator[tuple[Any, list[Any]]]:
    methods = ["client_secret_basic", "client_secret_post", "none"]

    class ByCode(grants.AuthorizationCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = methods

        def save_authorization_code(self, code: str, asked: Any) -> None:
            data = asked.payload.data
            known.codes[code] = Code(
                code,
                asked.client.client_id,
                asked.payload.redirect_uri,
                asked.payload.scope,
                asked.user,
                data.get("nonce"),
                data.get("code_challenge"),
                data.get("code_challenge_method"),
            )

        def query_authorization_code(self, code: str, client: Registered) -> Code | None:
            found = known.codes.get(code)
            return found if found and found.client_id == client.client_id else None

        def delete_authorization_code(self, code: Code) -> None:
            del known.codes[code.code]

        def authenticate_user(self, code: Code) -> str:
            return code.user

    class WithIdToken(OpenIDCode):
        def exists_nonce(self, nonce: str, asked: Any) -> bool:
            return any(code.nonce == nonce for code in known.codes.values())

        def resolve_client_private_key(self, client: Registered) -> OctKey:
            return OctKey.import_key("k" * 64)

        def get_client_algorithm(self, client: Registered) -> str:
            return "HS256"

        def get_client_claims(self, client: Registered) -> dict[str, Any]:
            return {"iss": known.url, "aud": [client.client_id]}

        def generate_user_info(self, user: str, scope: str) -> UserInfo:
            return UserInfo(sub=user, email=user, email_verified=True)

    class ByRefreshToken(grants.RefreshTokenGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = methods
        INCLUDE_NEW_REFRESH_TOKEN = True

        def authenticate_refresh_token(self, token: str) -> Issued | None:
            return next(
                (each for each in known.issued if each.refresh_token == token and not each.revoked), None
            )

        def authenticate_user(self, token: Issued) -> str | None:
            return token.user

        def revoke_old_credential(self, token: Issued) -> None:
            token.revoked = True

    class ByDevice(DeviceCodeGrant):
        def query_device_credential(self, device_code: str) -> Any:
            return known.devices.get(device_code)

        def query_user_grant(self, user_code: str) -> tuple[str, bool] | None:
            return known.typed.get(user_code)

        def should_slow_down(self, credential: Any) -> bool:
            return known.hurry

    class ByClient(grants.ClientCredentialsGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = methods

    yield ByCode, [CodeChallenge(required=True), WithIdToken(require_nonce=True)]
    yield ByRefreshToken, []
    yield ByDevice, []
    yield ByClient, []


def _endpoints(known: Authority) -> Iterator[Any]:
    class Device(DeviceAuthorizationEndpoint):
        def get_verification_uri(self) -> str:
            return f"{known.url}/typed"

        def save_device_credential(self, client_id: str, scope: str, data: dict[str, Any]) -> None:
            credential = {"client_id": client_id, "scope": scope, "expires_at": time.time() + 600, **data}
            known.devices[data["device_code"]] = DeviceCredentialDict(credential)

    class Revocation(RevocationEndpoint):
        CLIENT_AUTH_METHODS: ClassVar = ["client_secret_basic", "client_secret_post", "none"]

        def query_token(self, token: str, hint: str | None) -> Issued | None:
            return next(
                (each for each in known.issued if token in (each.refresh_token, each.access_token)), None
            )

        def revoke_token(self, token: Issued, asked: Any) -> None:
            token.revoked = True

    yield Device
    yield Revocation


def _issuer(known: Authority) -> IssuerParameter:
    class Named(IssuerParameter):
        def get_issuer(self) -> str:
            return known.url

    return Named()


class _Quiet(WSGIRequestHandler):
    def log(self, *_said: Any) -> None:
        """Nothing: the other side's log is not what is tested."""


@contextmanager
def authority(tls: ssl.SSLContext, client: Registered) -> Iterator[Authority]:
    """The server, while it runs."""
    known = Authority(client)
    server = make_server(
        "localhost", 0, _flask(known), threaded=True, ssl_context=tls, request_handler=_Quiet
    )
    known.url = f"https://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
