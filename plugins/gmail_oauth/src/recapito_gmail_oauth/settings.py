"""What gmail_oauth asks for, and what a company's registration at Google needs."""

import re
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from recapito.texts import N_, Phrase

__all__ = ["AVAILABLE", "GmailSettings", "GoogleClientSettings", "SignInChoice"]


SignInChoice: TypeAlias = Literal["app-password", "code", "service-account"]

#: What this version can sign in with; the others are refused, not pretended.
AVAILABLE: tuple[SignInChoice, ...] = ("app-password",)

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class GmailSettings(BaseModel):
    """How one mailbox at Gmail signs in."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    sign_in: SignInChoice = Field(
        "app-password",
        title=N_("Sign-in"),
        description=N_("app-password: a password for apps, from the security page of the Google account."),
    )
    account: str | None = Field(
        None,
        title=N_("Google account"),
        description=N_("The address that signs in, where it is not the sender's."),
        max_length=320,
    )
    password: SecretStr | None = Field(
        None,
        title=N_("App password"),
        description=N_("The sixteen letters that Google shows; spaces do not matter."),
        max_length=256,
    )

    @field_validator("sign_in")
    @classmethod
    def _is_available(cls, value: SignInChoice) -> SignInChoice:
        if value not in AVAILABLE:
            raise ValueError(
                Phrase(
                    "{value} is not available in this version (SIGN-IN-NOT-AVAILABLE): choose {available}",
                    package="recapito_gmail_oauth",
                    value=value,
                    available=AVAILABLE[0],
                )
            )
        return value

    @field_validator("account")
    @classmethod
    def _one_line(cls, value: str | None) -> str | None:
        if value and _CONTROL.search(value):
            raise ValueError(N_("has a control character"))
        return value or None

    @field_validator("password")
    @classmethod
    def _without_spaces(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        if _CONTROL.search(value.get_secret_value()):
            raise ValueError(N_("has a control character"))
        # Google shows four groups of four letters; people copy the spaces, some of them no-break ones.
        return SecretStr("".join(value.get_secret_value().split()))


class GoogleClientSettings(BaseModel):
    """A company's own OAuth client at Google."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    client_id: str = Field(title=N_("Client ID"), description=N_("Ends in .apps.googleusercontent.com."))
    client_secret: SecretStr = Field(
        title=N_("Client secret"), description=N_("As the Google Cloud console shows it.")
    )
