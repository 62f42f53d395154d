"""Where an OAuth provider is asked what."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self
from urllib.parse import urlsplit

__all__ = ["Endpoints"]

_SETTINGS = {
    "authorize": "auth_uri",
    "token": "token_uri",
    "revoke": "revoke_uri",
    "device": "device_uri",
    "issuer": "issuer",
}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The https addresses of one provider; an empty one it does not have.

    ``issuer`` is what it calls itself in id tokens and redirects (RFC 9207, RFC 8414 §2); where it is empty,
    neither is compared.
    """

    authorize: str = ""
    token: str = ""
    revoke: str = ""
    device: str = ""
    issuer: str = ""

    @property
    def host(self) -> str:
        """The host of the token endpoint."""
        return urlsplit(self.token).hostname or ""

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        """These, but for what a registration's settings (:class:`OAuthClientSettings`) say."""
        said = {each.name: settings.get(_SETTINGS[each.name]) for each in fields(self)}
        return replace(
            self, **{name: value for name, value in said.items() if isinstance(value, str) and value}
        )
