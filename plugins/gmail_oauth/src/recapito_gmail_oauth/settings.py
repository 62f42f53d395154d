"""What gmail_oauth asks for about a mailbox, and which sign-in that means."""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from recapito.texts import N_

__all__ = [
    "CLIENTS",
    "MODES",
    "GmailSettings",
    "SendBy",
    "SignInChoice",
    "client_of",
    "grant_of",
    "mailbox_of",
    "sends_by",
]


SignInChoice: TypeAlias = Literal["code", "app-password", "service-account"]
SendBy: TypeAlias = Literal["api", "smtp"]

#: The registration that each sign-in uses.
CLIENTS: Mapping[str, str] = {"code": "google", "service-account": "google-service-account"}

#: What a profile can be moved to as one act, and what that sets.
MODES: Mapping[str, Mapping[str, Any]] = {
    "gmail-api": {"sign_in": "code", "send_by": "api"},
    "gmail-smtp": {"sign_in": "code", "send_by": "smtp"},
    "gmail-app-password": {"sign_in": "app-password", "send_by": "smtp"},
    "gmail-service-account": {"sign_in": "service-account", "send_by": "api"},
    "gmail-service-account-smtp": {"sign_in": "service-account", "send_by": "smtp"},
}

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNUSED = N_("is used only with sign_in = app-password: choose that, or leave the password out")


class GmailSettings(BaseModel):
    """How one mailbox at Gmail signs in, and which way its mail leaves."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    sign_in: SignInChoice = Field(
        "code",
        title=N_("Sign-in"),
        description=N_(
            "code: sign in with Google in a browser. app-password: a password for apps. "
            "service-account: the company's service account, for mailboxes of its own Workspace."
        ),
    )
    send_by: SendBy | None = Field(
        None,
        title=N_("Way out"),
        description=N_(
            "api: the Gmail API, which needs the least permission. smtp: Gmail's SMTP server, which needs "
            "full access to the mailbox. Left out: api, or smtp with an app password."
        ),
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
        description=N_(
            "The sixteen letters that Google shows; spaces do not matter. Turn on 2-step verification first, "
            "then make one at myaccount.google.com/security."
        ),
        max_length=256,
    )

    @field_validator("send_by")
    @classmethod
    def _fits_sign_in(cls, value: SendBy | None, info: ValidationInfo) -> SendBy | None:
        if value == "api" and info.data.get("sign_in") == "app-password":
            raise ValueError(N_("must be smtp: an app password does not open the Gmail API"))
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

    @model_validator(mode="wrap")
    @classmethod
    def _password_is_used(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Refuse a password that nobody would use, unless another sign-in was chosen in so many words."""
        made = handler(data)
        if made.password is not None and "sign_in" not in made.model_fields_set:
            wrong = InitErrorDetails(
                type=PydanticCustomError("unused", _UNUSED), loc=("password",), input=None
            )
            raise ValidationError.from_exception_data(cls.__name__, [wrong])
        return made


def grant_of(settings: Mapping[str, Any]) -> str:
    """The name of the sign-in that ``settings`` choose; empty for an app password, which leaves no grant."""
    chosen = str(settings.get("sign_in") or "code")
    return "" if chosen == "app-password" else chosen


def client_of(settings: Mapping[str, Any]) -> str:
    """The name of the registration that ``settings`` sign in through; empty for an app password."""
    return CLIENTS.get(grant_of(settings), "")


def sends_by(settings: Mapping[str, Any]) -> SendBy:
    """Which way mail leaves."""
    return "api" if grant_of(settings) and settings.get("send_by") != "smtp" else "smtp"


def mailbox_of(settings: Mapping[str, Any], sender: str) -> str:
    """The address that signs in."""
    return str(settings.get("account") or sender)
