"""Google's addresses and scopes, and where a company's client has others."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self
from urllib.parse import urlsplit

__all__ = [
    "API_HOST",
    "IAM_ROOT",
    "MAIL",
    "MAXIMUM_RECIPIENTS",
    "MAXIMUM_SIZE",
    "SEND",
    "SMTP_HOST",
    "TOKEN_URI",
    "Google",
    "scope_of",
    "spelled",
]

#: Sends through the Gmail API and nothing else; *sensitive* (developers.google.com/workspace/gmail/api/auth/scopes).
SEND = "https://www.googleapis.com/auth/gmail.send"
#: The only scope that XOAUTH2 takes; *restricted* (developers.google.com/gmail/imap/xoauth2-protocol).
MAIL = "https://mail.google.com/"

#: Bytes that the Gmail API takes (its discovery document, ``messages.send.mediaUpload.maxSize``).
MAXIMUM_SIZE = 36_700_160
#: Recipients of one message, over SMTP and the Gmail API alike (support.google.com/a/answer/166852).
MAXIMUM_RECIPIENTS = 100

API_HOST = "gmail.googleapis.com"
SMTP_HOST = "smtp.gmail.com"

#: Where google-auth sends its requests, whatever credentials say (google/oauth2/service_account.py, auth/iam.py).
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
IAM_ROOT = "https://iamcredentials.googleapis.com"

_ISSUER = "https://accounts.google.com"

# How Google spells in its answers what is asked for by a short name (OpenID Connect §5.4).
_SPELLED = {
    "https://www.googleapis.com/auth/userinfo.email": "email",
    "https://www.googleapis.com/auth/userinfo.profile": "profile",
}


def scope_of(sends_by: str) -> str:
    """The scope that sending by ``api`` or ``smtp`` needs; it is the resource of its tokens too."""
    return MAIL if sends_by == "smtp" else SEND


@dataclass(frozen=True, slots=True)
class Google:
    """Where Google is: its own endpoints (google-auth's source, the Gmail discovery document), or a client's."""

    auth_uri: str = "https://accounts.google.com/o/oauth2/v2/auth"
    token_uri: str = TOKEN_URI
    revoke_uri: str = "https://oauth2.googleapis.com/revoke"
    userinfo_uri: str = "https://openidconnect.googleapis.com/v1/userinfo"
    api_root: str = f"https://{API_HOST}"
    iam_root: str = IAM_ROOT
    smtp_host: str = SMTP_HOST
    smtp_port: int = 465
    ca: str | None = None
    proxy: str | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """As the settings of a client say; what they leave out is Google's own."""
        given = {each.name: settings.get(each.name) for each in fields(cls)}
        return cls(**{name: value for name, value in given.items() if value and _fits(name, value)})

    @property
    def issuer(self) -> str:
        """Who signs id tokens and redirects: Google, or the host of another ``auth_uri``."""
        place = urlsplit(self.auth_uri)
        return _ISSUER if place.hostname == "accounts.google.com" else f"{place.scheme}://{place.netloc}"

    @property
    def api_host(self) -> str:
        """The host of the Gmail API."""
        return urlsplit(self.api_root).hostname or API_HOST

    @property
    def token_host(self) -> str:
        """The host of the token endpoint."""
        return urlsplit(self.token_uri).hostname or ""


def _fits(name: str, value: object) -> bool:
    """Whether a setting that nobody has validated can be used as what it is."""
    return isinstance(value, int if name == "smtp_port" else str)


def spelled(scopes: str) -> frozenset[str]:
    """The scopes of an answer, by the names they were asked for."""
    return frozenset(_SPELLED.get(scope, scope) for scope in scopes.split())
