"""How an app proves itself to the stand-in for Entra: a secret, or an assertion signed by a certificate."""

import base64
import hashlib
import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from recapito.testing.entra_error import entra_error
from recapito.testing.https_asked import Said, json_said

if TYPE_CHECKING:
    from recapito.testing.oauth_vendor import OAuthVendor

__all__ = ["AppIdentity"]

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class AppIdentity:
    """``permissions`` are the app's own, by audience; ``full_access`` the mailboxes that Exchange opens to it.

    ``expired`` makes the secret one that has expired; ``assertion`` is a federated token that is taken as proof.
    """

    def __init__(self, microsoft: "OAuthVendor") -> None:
        self._microsoft = microsoft
        self.expired = False
        self.assertion = ""
        self.graph_permissions = {"Mail.Send"}
        self.outlook_permissions = {"SMTP.SendAsApp"}
        self.full_access: set[str] = set()
        self._private: rsa.RSAPrivateKey | None = None
        self._certificate: x509.Certificate | None = None

    @property
    def private_key(self) -> str:
        """The certificate's private key, PEM."""
        return (
            self._key()
            .private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            .decode()
        )

    @property
    def certificate(self) -> str:
        """The certificate that was uploaded to the registration, PEM."""
        return self._issued().public_bytes(serialization.Encoding.PEM).decode()

    def refusal(self, form: dict[str, str]) -> Said | None:
        """Why the app is not believed; None where it is, or where it may do without proof."""
        if "client_secret" in form:
            if self.expired:
                said = f"The provided client secret keys for app '{self._microsoft.client_id}' are expired."
                return entra_error(401, "invalid_client", 7000222, said)
            if form["client_secret"] == self._microsoft.client_secret:
                return None
            said = "Invalid client secret provided. Ensure that it is the client secret value, not the client secret ID"
            return entra_error(401, "invalid_client", 7000215, said)
        if "client_assertion" in form:
            return self._judged(form)
        if self._microsoft.public:
            return None
        said = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
        return entra_error(401, "invalid_client", 7000218, said)

    def token(self, form: dict[str, str]) -> Said:
        """Client credentials: no person, no refresh token."""
        if refused := self.refusal(form):
            return refused
        if "client_secret" not in form and "client_assertion" not in form:
            said = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            return entra_error(401, "invalid_client", 7000218, said)
        scope = form.get("scope", "")
        audience = scope.removesuffix("/.default")
        if scope == audience:
            return entra_error(
                400, "invalid_scope", 1002012, f"The provided value for scope {scope} is not valid."
            )
        outlook = "outlook.office" in audience
        if not outlook and audience != self._microsoft.url:
            return entra_error(
                400, "invalid_resource", 500011, f"The resource principal named {audience} was not found"
            )
        permissions = self.outlook_permissions if outlook else self.graph_permissions
        self._microsoft.refreshes += 1
        value = self._microsoft.issue("", permissions, audience)
        lives = self._microsoft.token_lives
        return json_said(
            200,
            {"token_type": "Bearer", "expires_in": lives, "ext_expires_in": lives, "access_token": value},
        )

    def _judged(self, form: dict[str, str]) -> Said | None:
        given = form["client_assertion"]
        if form.get("client_assertion_type") != _ASSERTION:
            return entra_error(401, "invalid_client", 50027, "Invalid JWT token.")
        if self.assertion and given == self.assertion:
            return None
        claims = self._claims(given)
        if claims is None:
            return entra_error(401, "invalid_client", 700027, "Client assertion failed signature validation.")
        now = time.time()
        if claims.get("exp", 0) < now or claims.get("nbf", 0) > now + 300:
            return entra_error(
                401, "invalid_client", 700024, "Client assertion is not within its valid time range."
            )
        if claims.get("iss") != self._microsoft.client_id or "/oauth2/v2.0/token" not in str(
            claims.get("aud")
        ):
            return entra_error(
                401, "invalid_client", 700023, "Client assertion audience claim does not match Realm issuer."
            )
        return None

    def _claims(self, assertion: str) -> dict[str, Any] | None:
        unsigned, _, signature = assertion.rpartition(".")
        try:
            head = json.loads(_raw(unsigned.partition(".")[0]))
            wanted = base64.urlsafe_b64encode(
                hashlib.sha256(self._issued().public_bytes(serialization.Encoding.DER)).digest()
            ).rstrip(b"=")
            if head.get("alg") != "PS256" or head.get("x5t#S256", "").rstrip("=") != wanted.decode():
                return None
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
            self._key().public_key().verify(_raw(signature), unsigned.encode(), pss, hashes.SHA256())
            found = json.loads(_raw(unsigned.partition(".")[2]))
        except (InvalidSignature, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _key(self) -> rsa.RSAPrivateKey:
        if self._private is None:
            self._private = rsa.generate_private_key(65537, 2048)
        return self._private

    def _issued(self) -> x509.Certificate:
        if self._certificate is None:
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "recapito")])
            now = datetime.now(UTC)
            made = x509.CertificateBuilder().subject_name(name).issuer_name(name)
            made = made.public_key(self._key().public_key()).serial_number(x509.random_serial_number())
            made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=365))
            self._certificate = made.sign(self._key(), hashes.SHA256())
        return self._certificate


def _raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
