"""What a registration at a provider that keeps to the standards needs, for plugins to build on."""

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from recapito.texts import N_

__all__ = ["OAuthClientSettings"]

_UNFIT = re.compile("[^\x21-\x7e]")


def _is_https(value: str) -> bool:
    try:
        place = urlsplit(value)
        named = place.scheme == "https" and place.hostname and place.port != 0
    except ValueError:
        return False
    return bool(named) and not place.fragment and "@" not in place.netloc and not _UNFIT.search(value)


def _endpoint(value: str) -> str:
    """An address that secrets may be sent to."""
    if not _is_https(value):
        raise ValueError(N_("is not an address that begins with https://"))
    return value


def _redirect(value: str) -> str:
    """Where a browser comes back: https, or http on this machine (RFC 8252 §7.3)."""
    here = re.sub(r"\Ahttp://(127\.0\.0\.1|\[::1\]|localhost)(?=[:/]|\Z)", r"https://\1", value)
    if not _is_https(here):
        raise ValueError(N_("is neither https:// nor http:// on this machine"))
    return value


def _proxy(value: str) -> str:
    place = urlsplit(value)
    if place.scheme not in ("http", "https") or not place.hostname or "@" in place.netloc:
        raise ValueError(
            N_("is not the address of a proxy, such as http://proxy.example.it:3128, without a user")
        )
    return value


def _pem(value: str) -> str:
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=value)
    except (ssl.SSLError, ValueError):
        raise ValueError(N_("holds no certificate in PEM that can be read")) from None
    return value


_Endpoint = Annotated[str, Field(max_length=2000), AfterValidator(_endpoint)]


class OAuthClientSettings(BaseModel):
    """A company's registration at a provider. A plugin uses it as it is, or as a base.

    The endpoints are those of the plugin's :class:`Endpoints` where they are left out here.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    client_id: str = Field(title=N_("Client ID"), min_length=1, max_length=255)
    client_secret: SecretStr | None = Field(
        None,
        title=N_("Client secret"),
        description=N_("Empty for a public client, which proves itself by PKCE alone."),
        max_length=1024,
    )
    redirect_uri: Annotated[str, AfterValidator(_redirect)] | None = Field(
        None,
        title=N_("Authorised redirect URI"),
        description=N_("The page that the provider sends the browser back to, exactly as registered."),
        max_length=2000,
    )
    auth_uri: _Endpoint | None = Field(None, title=N_("Authorisation endpoint"))
    token_uri: _Endpoint | None = Field(None, title=N_("Token endpoint"))
    revoke_uri: _Endpoint | None = Field(None, title=N_("Revocation endpoint"))
    device_uri: _Endpoint | None = Field(None, title=N_("Device authorisation endpoint"))
    issuer: _Endpoint | None = Field(
        None, title=N_("Issuer"), description=N_("What the provider calls itself in its answers.")
    )
    ca: Annotated[str, AfterValidator(_pem)] | None = Field(
        None,
        title=N_("Extra authority (PEM)"),
        description=N_("Certificates to trust besides the usual ones."),
        max_length=200_000,
        json_schema_extra={"multiline": True},
    )
    proxy: Annotated[str, AfterValidator(_proxy)] | None = Field(
        None,
        title=N_("Proxy"),
        description=N_("For HTTP, where this machine reaches the provider only through one."),
    )

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any, info: ValidationInfo) -> Any:
        """An emptied field of a form is one left out, where it may be."""
        required = cls.model_fields[str(info.field_name)].is_required()
        return None if isinstance(value, str) and not value.strip() and not required else value
