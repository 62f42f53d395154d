"""Why a handshake failed, told apart in words; and whose certificate it was."""

import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recapito.problem import clean_reply

if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["SELF_SIGNED", "Certificate", "certificate_of", "tls_error", "unverified"]

# X509_V_ERR_…: expired, not yet valid, another host, another address, signed by itself (alone, in the chain).
_VERIFY = {10: "expired", 9: "not-yet-valid", 62: "name", 64: "name"}
_SELF_SIGNED = 18
#: What :func:`tls_error` says of a certificate that vouches for itself.
SELF_SIGNED = "self-signed certificate"
_OLD = (
    "UNSUPPORTED_PROTOCOL",
    "PROTOCOL_VERSION",
    "NO_PROTOCOLS_AVAILABLE",
    "WRONG_SSL_VERSION",
    "HANDSHAKE_FAILURE",
    "INSUFFICIENT_SECURITY",
    "KEY_TOO_SMALL",
)
_PLAIN = (
    "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "BAD_RECORD_TYPE",
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says of itself, unverified: for texts only."""

    common_name: str = ""
    names: tuple[str, ...] = ()
    issuer: str = ""
    begins: str = ""
    ends: str = ""

    def __str__(self) -> str:
        return ", ".join(self.names[:5]) or self.common_name


def tls_error(exc: BaseException) -> tuple[str, str]:
    """``ServerReply.error`` and a text for what a handshake raised; both empty where it was no matter of TLS."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        text = SELF_SIGNED if exc.verify_code == _SELF_SIGNED else exc.verify_message
        return _VERIFY.get(exc.verify_code, "untrusted"), text
    if not isinstance(exc, ssl.SSLError) or isinstance(exc, ssl.SSLEOFError):
        return "", ""
    reason = (exc.reason or str(exc)).upper().replace(" ", "_")
    if any(word in reason for word in _OLD):
        return "version", exc.reason or ""
    if any(word in reason for word in _PLAIN):
        return "mode", exc.reason or ""
    return "failed", exc.reason or str(exc)


def unverified() -> ssl.SSLContext:
    """A context that accepts anything: for reading a certificate that was just refused, never for a sign-in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the line is closed as soon as the certificate has been read
    return context


def certificate_of(line: ssl.SSLObject | None) -> Certificate:
    """The other side's certificate on ``line``, whatever it is worth; empty where it cannot be read."""
    encoded = line.getpeercert(binary_form=True) if line else None
    if not encoded:
        return Certificate()
    from cryptography import x509

    try:
        found = x509.load_der_x509_certificate(encoded)
        return Certificate(
            _common_name(found.subject),
            tuple(_names(found)),
            _common_name(found.issuer) or clean_reply(found.issuer.rfc4514_string()),
            f"{found.not_valid_before_utc:%Y-%m-%d}",
            f"{found.not_valid_after_utc:%Y-%m-%d}",
        )
    except ValueError:
        return Certificate()


def _common_name(name: "x509.Name") -> str:
    from cryptography.x509 import NameOID

    return "".join(
        clean_reply(str(part.value)) for part in name.get_attributes_for_oid(NameOID.COMMON_NAME)[:1]
    )


def _names(certificate: "x509.Certificate") -> Iterator[str]:
    from cryptography import x509

    with contextlib.suppress(x509.ExtensionNotFound):
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        yield from (clean_reply(name) for name in names.get_values_for_type(x509.DNSName))
        yield from (str(place) for place in names.get_values_for_type(x509.IPAddress))
