"""A service account of the stand-in for Google: its key, and what its assertions are worth (RFC 7523)."""

import base64
import json
import time
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from recapito.testing.https_asked import Asked, Said, json_said
from recapito.testing.oauth_vendor import oauth_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from recapito.testing.oauth_vendor import OAuthVendor

__all__ = ["ServiceAccount"]

#: Google's own audience, whatever endpoint is asked (google-auth writes no other).
AUDIENCE = "https://oauth2.googleapis.com/token"
_HOUR = 3600
_SKEW = 300
_CLOCK = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)
_NOT_ALLOWED = (
    "Client is unauthorized to retrieve access tokens using this method, or client not authorized "
    "for any of the scopes requested."
)


class ServiceAccount:
    """``domain`` is the Workspace whose mailboxes it may act for, ``scopes`` what it was delegated."""

    def __init__(
        self, google: "OAuthVendor", answer: "Callable[[str, tuple[str, ...]], dict[str, Any]]"
    ) -> None:
        self._google = google
        self._answer = answer
        self.email = "recapito@project.iam.gserviceaccount.com"
        self.client_id = "104242424242424242424"
        self.domain = "example.com"
        #: Seconds by which Google's clock is ahead of the one that signs.
        self.ahead = 0.0
        self.scopes = {"https://www.googleapis.com/auth/gmail.send", "https://mail.google.com/"}
        self._private: rsa.RSAPrivateKey | None = None
        google.route("POST", "/v1/projects/-/serviceAccounts/*", self._sign)

    @property
    def key(self) -> str:
        """The key file."""
        pem = self._key().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return json.dumps(
            {
                "type": "service_account",
                "project_id": "project",
                "private_key_id": "0123456789abcdef",
                "private_key": pem.decode(),
                "client_email": self.email,
                "client_id": self.client_id,
                "token_uri": AUDIENCE,
            }
        )

    def token(self, form: dict[str, str]) -> Said:
        """What the token endpoint says to an assertion."""
        claims = self._claims(form.get("assertion", ""))
        if claims is None:
            return oauth_error(400, "invalid_grant", "Invalid JWT Signature.")
        now = time.time() + self.ahead
        issued, ends = claims.get("iat", 0), claims.get("exp", 0)
        if issued > now + _SKEW or ends < now or ends - issued > _HOUR:
            return oauth_error(400, "invalid_grant", _CLOCK)
        if claims.get("iss") != self.email or claims.get("aud") != AUDIENCE:
            return oauth_error(400, "invalid_grant", "Invalid JWT: Failed audience check")
        subject, scopes = str(claims.get("sub", "")), tuple(str(claims.get("scope", "")).split())
        if not subject.endswith(f"@{self.domain}") or not scopes or not set(scopes) <= self.scopes:
            return oauth_error(401, "unauthorized_client", _NOT_ALLOWED)
        self._google.refreshes += 1
        return json_said(200, self._answer(subject, scopes))

    def _sign(self, asked: Asked) -> Said:
        """IAM Credentials' signJwt, for keyless signing; any bearer is the machine's own identity."""
        if not asked.path.endswith(f"{self.email}:signJwt") or not asked.bearer:
            return json_said(
                403, {"error": {"code": 403, "message": "Permission denied", "status": "PERMISSION_DENIED"}}
            )
        payload = str((asked.json() or {}).get("payload", "{}"))
        head = _b64(json.dumps({"alg": "RS256", "typ": "JWT"}).encode())
        unsigned = f"{head}.{_b64(payload.encode())}"
        signature = self._key().sign(unsigned.encode(), padding.PKCS1v15(), hashes.SHA256())
        return json_said(200, {"keyId": "0123456789abcdef", "signedJwt": f"{unsigned}.{_b64(signature)}"})

    def _key(self) -> rsa.RSAPrivateKey:
        if self._private is None:
            self._private = rsa.generate_private_key(65537, 2048)
        return self._private

    def _claims(self, assertion: str) -> dict[str, Any] | None:
        unsigned, _, signature = assertion.rpartition(".")
        try:
            public = self._key().public_key()
            public.verify(_raw(signature), unsigned.encode(), padding.PKCS1v15(), hashes.SHA256())
            found = json.loads(_raw(unsigned.partition(".")[2]))
        except (InvalidSignature, ValueError):
            return None
        return found if isinstance(found, dict) else None


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
