"""What smtp_basic asks for: one source for form, command line, columns and validation."""

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from recapito.texts import N_, Phrase

__all__ = ["SmtpBasicSettings"]


Security: TypeAlias = Literal["ssl", "starttls", "plain", "plain-text-without-protection"]

#: The security that each well-known port has: another one there never works, and is told before it is tried.
_SECURITY_OF = {465: "ssl", 587: "starttls"}
_PORT_OF = {"ssl": 465, "starttls": 587}

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_ADDRESS = re.compile(r"\[?(?:[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\]?")


class SmtpBasicSettings(BaseModel):
    """One SMTP server and a user of it."""

    # Not str_strip_whitespace: a password may begin or end with a blank.
    model_config = ConfigDict(extra="forbid")

    host: str = Field(
        title=N_("Outgoing server (SMTP)"),
        description=N_("The name that your provider gives, for example smtp.example.it."),
        max_length=255,
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None,
        title=N_("Port"),
        description=N_("465 with SSL, 587 with STARTTLS."),
        json_schema_extra={
            "choices": [{"port": 465, "security": "ssl"}, {"port": 587, "security": "starttls"}]
        },
    )
    security: Security | None = Field(
        None,
        title=N_("Security"),
        description=N_("ssl: encrypted from the first byte. starttls: encrypted before anything is said."),
        validate_default=True,
    )
    username: str | None = Field(
        None,
        title=N_("User name"),
        description=N_("Usually the whole address, which is used where this is empty."),
        max_length=320,
    )
    password: SecretStr = Field(
        title=N_("Password"), description=N_("The password of the mailbox."), min_length=1, max_length=1024
    )
    ca: str | None = Field(
        None,
        title=N_("Extra authority (PEM)"),
        description=N_("Certificates to trust besides the usual ones, for a server of your own company."),
        max_length=200_000,
        json_schema_extra={"multiline": True},
    )
    notify: tuple[Literal["success", "failure", "delay"], ...] = Field(
        (),
        title=N_("Delivery notices"),
        description=N_("When the recipient's server is asked to report back: success, failure, delay."),
    )
    window: int = Field(
        1,
        title=N_("Messages in flight"),
        description=N_(
            "1 unless your provider is far away: more is quicker, but when the line breaks "
            "it is unknown of each of them whether it left."
        ),
        ge=1,
        le=20,
    )
    helo: str | None = Field(
        None,
        title=N_("Own name (HELO)"),
        description=N_("What this machine calls itself; only for servers that ask for a certain name."),
        max_length=255,
    )

    @field_validator("host", "username", "helo", "ca", mode="before")
    @classmethod
    def _one_line(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        if info.field_name != "ca" and _CONTROL.search(value):
            raise ValueError(N_("has a control character"))
        return value.strip() or ("" if info.field_name == "host" else None)

    @field_validator("password", mode="after")
    @classmethod
    def _sayable(cls, value: SecretStr) -> SecretStr:
        if _CONTROL.search(value.get_secret_value()):
            raise ValueError(N_("has a control character"))
        return value

    @field_validator("host")
    @classmethod
    def _is_host(cls, value: str) -> str:
        if _ADDRESS.fullmatch(value):
            return value.strip("[]")
        if re.fullmatch(r".+:\d+", value):
            raise ValueError(N_("holds a port: give it as port"))
        if not _HOST.fullmatch(value):
            raise ValueError(N_("is not the name of a server"))
        return value.lower()

    @field_validator("helo")
    @classmethod
    def _is_name(cls, value: str | None) -> str | None:
        if value is not None and not (
            value.isascii() and (_HOST.fullmatch(value) or re.fullmatch(r"\[[0-9A-Za-z:.]+\]", value))
        ):
            raise ValueError(N_("is neither a host name nor an address in brackets"))
        return value

    @field_validator("security")
    @classmethod
    def _fits_port(cls, value: Security | None, info: ValidationInfo) -> Security | None:
        port = info.data.get("port")
        expected = _SECURITY_OF.get(port or 0)
        if value in _PORT_OF and expected not in (None, value):
            said = N_("does not fit port {port}, which is for {expected}")
            raise ValueError(Phrase(said, package="recapito_smtp_basic", port=port, expected=expected))
        return value

    @field_validator("ca")
    @classmethod
    def _is_pem(cls, value: str | None) -> str | None:
        if value is not None:
            import ssl

            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=value)
            except (ssl.SSLError, ValueError):
                raise ValueError(N_("holds no certificate in PEM that can be read")) from None
        return value

    @field_validator("notify", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @property
    def secured(self) -> Security:
        """The security, by the port where it is not said."""
        if self.security is not None:
            return self.security
        return "starttls" if self.port not in (None, 465) else "ssl"

    @property
    def at_port(self) -> int:
        """The port, by the security where it is not said."""
        return self.port or _PORT_OF.get(self.secured, 25)
