"""What a company's registrations at Google are: an OAuth client, or a service account."""

import json
import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from recapito.texts import N_

__all__ = ["GoogleClientSettings", "ServiceAccountSettings"]

_UNFIT = re.compile("[\x00-\x20\x7f-\x9f\u2028\u2029]")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_ADDRESS = re.compile(r"[^\s@]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.gserviceaccount\.com")
#: A key file has 2.4 kB; this one is not read into anything.
_KEY_LIMIT = 20_000


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


def _root(value: str) -> str:
    return _endpoint(value).rstrip("/")


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


def _server(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError(N_("is not the name of a server"))
    return value.lower()


def _pem(value: str) -> str:
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=value)
    except (ssl.SSLError, ValueError):
        raise ValueError(N_("holds no certificate in PEM that can be read")) from None
    return value


Endpoint = Annotated[str, Field(max_length=2000), AfterValidator(_endpoint)]
Root = Annotated[str, Field(max_length=2000), AfterValidator(_root)]


class _AtGoogle(BaseModel):
    """What every registration may set to another place: a stand-in for tests, or a proxy on the way."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    token_uri: Endpoint | None = Field(
        None, title=N_("Token endpoint"), description=N_("Google's own where empty.")
    )
    api_root: Root | None = Field(
        None, title=N_("Root of the Gmail API"), description=N_("Google's own where empty.")
    )
    smtp_host: Annotated[str, AfterValidator(_server)] | None = Field(
        None, title=N_("SMTP server"), description=N_("Gmail's own where empty.")
    )
    smtp_port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, title=N_("SMTP port"), description=N_("465 where empty; 587 is spoken to with STARTTLS.")
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
        description=N_("For HTTP, where this machine reaches Google only through one."),
    )

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any, info: ValidationInfo) -> Any:
        """An emptied field of a form is one left out, where it may be."""
        required = cls.model_fields[str(info.field_name)].is_required()
        return None if isinstance(value, str) and not value.strip() and not required else value


class GoogleClientSettings(_AtGoogle):
    """A company's own OAuth client at Google."""

    client_id: str = Field(
        title=N_("Client ID"),
        description=N_("Ends in .apps.googleusercontent.com."),
        min_length=1,
        max_length=255,
    )
    client_secret: SecretStr = Field(
        title=N_("Client secret"),
        description=N_("As the Google Cloud console shows it."),
        min_length=1,
        max_length=1024,
    )
    redirect_uri: Annotated[str, AfterValidator(_redirect)] | None = Field(
        None,
        title=N_("Authorised redirect URI"),
        description=N_(
            "Of a web client: the page that Google sends the browser back to. A desktop client has none."
        ),
        max_length=2000,
    )
    auth_uri: Endpoint | None = Field(
        None, title=N_("Authorisation endpoint"), description=N_("Google's own where empty.")
    )
    revoke_uri: Endpoint | None = Field(
        None, title=N_("Revocation endpoint"), description=N_("Google's own where empty.")
    )
    userinfo_uri: Endpoint | None = Field(
        None, title=N_("User info endpoint"), description=N_("Google's own where empty.")
    )

    @field_validator("client_id")
    @classmethod
    def _one_word(cls, value: str) -> str:
        if _UNFIT.search(value):
            raise ValueError(N_("has a space or a control character"))
        return value

    @field_validator("client_secret")
    @classmethod
    def _plain(cls, value: SecretStr) -> SecretStr:
        if _UNFIT.search(value.get_secret_value()):
            raise ValueError(N_("has a space or a control character"))
        return value


class ServiceAccountSettings(_AtGoogle):
    """A company's service account with domain-wide delegation: by its key, or without one."""

    key: SecretStr | None = Field(
        None,
        title=N_("Key (JSON)"),
        description=N_("The whole file that Google Cloud gives for a key of the service account."),
        json_schema_extra={"multiline": True},
        validate_default=True,
    )
    service_account: str | None = Field(
        None,
        title=N_("Service account, without a key"),
        description=N_(
            "Its address. This machine's own Google identity (workload identity, metadata server) then signs for it."
        ),
        max_length=320,
        validate_default=True,
    )
    client_id: str | None = Field(
        None,
        title=N_("Numeric client ID"),
        description=N_("Of the service account; shown to the administrator where it is not allowed yet."),
        max_length=64,
        pattern=r"^[0-9]+$",
    )
    iam_root: Root | None = Field(
        None, title=N_("Root of the IAM Credentials API"), description=N_("Google's own where empty.")
    )

    @field_validator("key")
    @classmethod
    def _is_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _readable(value):
            raise ValueError(N_("is not the JSON key of a service account"))
        return value

    @field_validator("service_account")
    @classmethod
    def _one_of_both(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "key" not in info.data:
            return value  # what is wrong with the key has been said
        if value is None and info.data["key"] is None:
            raise ValueError(N_("is missing, as the key is: give one of both"))
        if value is not None and info.data["key"] is not None:
            raise ValueError(N_("is given beside a key: give one of both"))
        if value is not None and not _ADDRESS.fullmatch(value):
            raise ValueError(N_("is not the address of a service account (….iam.gserviceaccount.com)"))
        return value


def _readable(key: SecretStr) -> bool:
    """Whether a key file can be used: its fields are there, and the private key is one."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if len(key.get_secret_value()) > _KEY_LIMIT:
        return False
    try:
        found = json.loads(key.get_secret_value())
        if found["type"] != "service_account" or not _ADDRESS.fullmatch(found["client_email"]):
            return False
        load_pem_private_key(found["private_key"].encode(), password=None)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, what would be said holds pieces of the key
        return False
    return True
