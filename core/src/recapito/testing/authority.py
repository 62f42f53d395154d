"""A certificate authority for tests: good certificates, and one of each kind that must be refused."""

import os
import ssl
import tempfile
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["LOOPBACK", "CertificateAuthority"]

#: What a certificate is issued for where nothing else is said.
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class CertificateAuthority:
    """An authority that nobody trusts until told to.

    ``pem`` is what a client trusts (a profile's extra CA); the methods give server contexts, ready for
    :class:`SmtpServer`, :class:`ScriptServer` or any listener. ``expired`` … ``unknown`` are what a client
    must refuse, each for its own reason.
    """

    def __init__(self) -> None:
        self._authority = trustme.CA()

    @cached_property
    def pem(self) -> str:
        """The authority's certificate, as a profile's extra CA takes it."""
        return self._authority.cert_pem.bytes().decode("ascii")

    def client_context(self) -> ssl.SSLContext:
        """A verifying client context that trusts this authority alone, and no common names."""
        context = ssl.create_default_context(cadata=self.pem)
        context.hostname_checks_common_name = False
        return context

    def server_context(self, *hosts: str) -> ssl.SSLContext:
        """A server context with a good certificate for ``hosts`` (default: loopback's names and addresses)."""
        return self._context(self._authority.issue_cert(*(hosts or LOOPBACK)))

    def expired(self, *hosts: str) -> ssl.SSLContext:
        """The certificate ended yesterday."""
        yesterday = datetime.now() - timedelta(days=1)
        return self._context(self._authority.issue_cert(*(hosts or LOOPBACK), not_after=yesterday))

    def not_yet_valid(self, *hosts: str) -> ssl.SSLContext:
        """The certificate begins in a month."""
        later = datetime.now() + timedelta(days=30)
        return self._context(self._authority.issue_cert(*(hosts or LOOPBACK), not_before=later))

    def wrong_host(self) -> ssl.SSLContext:
        """The certificate is good, and another host's: ``other.example``."""
        return self._context(self._authority.issue_cert("other.example", common_name="other.example"))

    def common_name_only(self, host: str = "localhost") -> ssl.SSLContext:
        """The certificate names the host in its common name alone (RFC 9525 forbids matching it)."""
        authority = serialization.load_pem_private_key(self._authority.private_key_pem.bytes(), None)
        assert isinstance(authority, ec.EllipticCurvePrivateKey)
        issuer = x509.load_pem_x509_certificate(self._authority.cert_pem.bytes()).subject
        return self._context(_certificate(host, issuer, authority))

    def self_signed(self, host: str = "localhost") -> ssl.SSLContext:
        """The certificate signs itself."""
        return self._context(_certificate(host))

    def unknown(self, *hosts: str) -> ssl.SSLContext:
        """The certificate is good, and another authority's."""
        return self._context(trustme.CA().issue_cert(*(hosts or LOOPBACK)))

    @staticmethod
    def _context(certificate: "trustme.LeafCert | bytes") -> ssl.SSLContext:
        if not isinstance(certificate, bytes):
            certificate = certificate.private_key_and_cert_chain_pem.bytes()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        descriptor, name = tempfile.mkstemp(suffix=".pem")  # 0600; ssl loads keys from files only
        try:
            os.write(descriptor, certificate)
            os.close(descriptor)
            context.load_cert_chain(name)
        finally:
            Path(name).unlink()
        return context


def _certificate(
    host: str, issuer: x509.Name | None = None, signer: ec.EllipticCurvePrivateKey | None = None
) -> bytes:
    """Key and certificate in PEM: signed by ``signer``, or by itself and then with the name as it should be."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer or name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if signer is None:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    certificate = builder.sign(signer or key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
