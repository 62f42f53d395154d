"""What a company's app registration at Microsoft is: ids, one credential, and where Microsoft is."""

import re
from datetime import date
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from recapito.texts import N_

__all__ = ["Cloud", "MicrosoftClientSettings"]

Cloud: TypeAlias = Literal["global", "us-gov", "us-dod", "china"]

_UNFIT = re.compile("[\x00-\x20\x7f-\x9f\u2028\u2029]")
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def _is_https(value: str) -> bool:
    try:
        place = urlsplit(value)
        named = place.scheme == "https" and place.hostname and place.port != 0
    except ValueError:
        return False
    plain = not (place.fragment or place.query or "@" in place.netloc)
    return bool(named) and plain and not _UNFIT.search(value)


def _root(value: str) -> str:
    """An address that secrets may be sent to, without what follows it."""
    if not _is_https(value):
        raise ValueError(N_("is not an address that begins with https://"))
    return value.rstrip("/")


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


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(N_("is not a name, or an ID, of letters, digits, dots and hyphens"))
    return value


def _pem(value: str) -> str:
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=value)
    except (ssl.SSLError, ValueError):
        raise ValueError(N_("holds no certificate in PEM that can be read")) from None
    return value


def _file(value: str) -> str:
    from pathlib import PurePath

    if not PurePath(value).is_absolute():
        raise ValueError(N_("is not a whole path"))
    return value


Root = Annotated[str, Field(max_length=2000), AfterValidator(_root)]
Name = Annotated[str, Field(max_length=253), AfterValidator(_name)]


class MicrosoftClientSettings(BaseModel):
    """A company's own app registration at Microsoft: with a secret, a certificate, a file, or none of them.

    Without any of the three the app is a *public client*: persons can sign in on this machine, or by a code.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    tenant: Name = Field(
        title=N_("Tenant"),
        description=N_(
            "The directory's ID or domain, for example example.onmicrosoft.com; consumers for personal accounts."
        ),
    )
    client_id: Name = Field(title=N_("Application (client) ID"))
    client_secret: SecretStr | None = Field(
        None,
        title=N_("Client secret"),
        description=N_("The secret's value, not its ID."),
        max_length=1024,
    )
    passphrase: SecretStr | None = Field(
        None,
        title=N_("Passphrase of the key"),
        description=N_("Where the certificate's key is encrypted."),
        max_length=1024,
    )
    certificate: SecretStr | None = Field(
        None,
        title=N_("Certificate and key (PEM)"),
        description=N_(
            "Instead of a secret: the certificate that the registration has, and its private key."
        ),
        max_length=100_000,
        json_schema_extra={"multiline": True},
    )
    assertion_file: Annotated[str, AfterValidator(_file)] | None = Field(
        None,
        title=N_("File with an assertion"),
        description=N_("Instead of a secret: the file that workload identity federation writes a token to."),
        max_length=4096,
    )
    cloud: Cloud = Field(
        "global",
        title=N_("Cloud"),
        description=N_("global, or the national cloud that the company is in: us-gov, us-dod, china."),
    )
    redirect_uri: Annotated[str, Field(max_length=2000), AfterValidator(_redirect)] | None = Field(
        None,
        title=N_("Redirect URI"),
        description=N_("The page that Microsoft sends the browser back to, exactly as it is registered."),
    )
    authority: Root | None = Field(
        None, title=N_("Sign-in address"), description=N_("Without the tenant. Microsoft's own where empty.")
    )
    graph_root: Root | None = Field(
        None, title=N_("Root of Microsoft Graph"), description=N_("Microsoft's own where empty.")
    )
    smtp_host: Name | None = Field(
        None, title=N_("SMTP server"), description=N_("Microsoft's own where empty.")
    )
    smtp_port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, title=N_("SMTP port"), description=N_("587 where empty; always with STARTTLS.")
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
        description=N_("For HTTP, where this machine reaches Microsoft only through one."),
    )
    secret_expires: date | None = Field(
        None,
        title=N_("The secret expires on"),
        description=N_("The day that Microsoft shows beside it: the log warns 30 days before."),
    )

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any, info: ValidationInfo) -> Any:
        """An emptied field of a form is one left out, where it may be."""
        field = cls.model_fields[str(info.field_name)]
        return (
            field.get_default()
            if isinstance(value, str) and not (value.strip() or field.is_required())
            else value
        )

    @field_validator("client_secret")
    @classmethod
    def _is_a_value(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and _GUID.fullmatch(value.get_secret_value()):
            raise ValueError(N_("is the secret's ID: copy its Value, which Microsoft shows once"))
        return value

    @field_validator("certificate")
    @classmethod
    def _is_a_pair(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None:
            from recapito_ms365_oauth.credential import check_pair

            check_pair(value, info.data.get("passphrase"))
            if info.data.get("client_secret"):
                raise ValueError(N_("is one credential too many: there is a client secret already"))
        return value

    @field_validator("assertion_file")
    @classmethod
    def _is_alone(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and (info.data.get("client_secret") or info.data.get("certificate")):
            raise ValueError(N_("is one credential too many: there is a secret or a certificate already"))
        return value
