"""How the app itself signs in: a secret, a certificate with its key, or a file that holds an assertion."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from recapito.catalogue import problem
from recapito.errors import Held
from recapito.texts import N_

if TYPE_CHECKING:
    from pydantic import SecretStr

    from recapito.signin import Client

__all__ = ["check_pair", "credential_of", "has_credential"]

#: Bytes of an assertion that are read: a JSON Web Token has some 2 kB.
_ASSERTION_LIMIT = 64_000


def has_credential(client: "Client") -> bool:
    """Whether the registration can prove itself: a *confidential client* (RFC 6749 §2.1)."""
    return bool(
        client.secrets.get("client_secret")
        or client.secrets.get("certificate")
        or client.settings.get("assertion_file")
    )


def credential_of(client: "Client") -> Any:
    """What msal takes as ``client_credential``; None for a public client. Blocking where it is a file.

    A certificate is used with its SHA-256 thumbprint and PS256, which msal chooses where it is given the
    certificate itself.
    """
    secrets = client.secrets
    if secrets.get("client_secret"):
        return secrets["client_secret"].reveal()
    if secrets.get("certificate"):
        pem = secrets["certificate"]
        passphrase = {"passphrase": secrets["passphrase"].reveal()} if secrets.get("passphrase") else {}
        return {
            "private_key": _key(pem.reveal()),
            "public_certificate": _certificate(pem.reveal()),
            **passphrase,
        }
    if path := client.settings.get("assertion_file"):
        # A callable: msal warns of an assertion that would be used for ever.
        return {"client_assertion": lambda: _assertion(client, str(path))}
    return None


def check_pair(pem: "SecretStr", passphrase: "SecretStr | None") -> None:
    """ValueError, in words for a form, unless ``pem`` holds a certificate and the private key of it."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificate

    as_bytes = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    try:
        certificate = load_pem_x509_certificate(_certificate(pem.get_secret_value()).encode())
    except ValueError:
        raise ValueError(N_("holds no certificate in PEM that can be read")) from None
    try:
        key = load_pem_private_key(
            _key(pem.get_secret_value()).encode(),
            passphrase.get_secret_value().encode() if passphrase else None,
        )
    except (ValueError, TypeError):
        raise ValueError(N_("holds no private key in PEM that can be read with this passphrase")) from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError(N_("holds a key that is no RSA key: Microsoft takes no other"))  # noqa: TRY004 - a form's
    if key.public_key().public_bytes(*as_bytes) != certificate.public_key().public_bytes(*as_bytes):
        raise ValueError(N_("holds a key and a certificate that do not belong together"))


def _key(pem: str) -> str:
    return "\n".join(block for kind, block in _blocks(pem) if kind.endswith("PRIVATE KEY"))


def _certificate(pem: str) -> str:
    """The first certificate: the registration's own; the others of a chain are not sent."""
    return next((block for kind, block in _blocks(pem) if kind == "CERTIFICATE"), "")


def _blocks(pem: str) -> list[tuple[str, str]]:
    found, kind, lines = [], "", list[str]()
    for line in pem.splitlines():
        if line.startswith("-----BEGIN "):
            kind, lines = line.strip().removeprefix("-----BEGIN ").removesuffix("-----"), []
        lines.append(line.strip())
        if kind and line.startswith("-----END "):
            found.append((kind, "\n".join([*lines, ""])))
            kind = ""
    return found


def _assertion(client: "Client", path: str) -> str:
    """Read at each use: what writes the file replaces it every hour or so."""
    try:
        with Path(path).open(encoding="ascii") as file:
            said = file.read(_ASSERTION_LIMIT).strip()
    except (OSError, ValueError):
        said = ""
    if not said:
        raise Held(problem("M365-ASSERTION", step="sign-in", file=path, client=client.info.name))
    return said
