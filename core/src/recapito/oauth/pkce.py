"""States and verifiers: what makes a redirect belong to the browser, and a code to the program, that began."""

import hashlib
import secrets
from base64 import urlsafe_b64encode

from recapito.secret import Secret

__all__ = ["challenge", "new_state", "new_verifier"]

# 256 bits each: RFC 6749 §10.10 asks for 128, RFC 7636 §7.1 for 256.
_OCTETS = 32


def new_state() -> str:
    """A ``state`` that cannot be guessed: 43 letters that need no escaping in an address."""
    return secrets.token_urlsafe(_OCTETS)


def new_verifier() -> Secret:
    """A PKCE verifier of 43 letters (RFC 7636 §4.1)."""
    return Secret(secrets.token_urlsafe(_OCTETS))


def challenge(verifier: Secret) -> str:
    """The S256 challenge for ``verifier`` (RFC 7636 §4.2)."""
    digest = hashlib.sha256(verifier.reveal().encode("ascii")).digest()
    return urlsafe_b64encode(digest).decode("ascii").rstrip("=")
