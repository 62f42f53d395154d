"""What ms365_oauth asks for about a mailbox: who signs in, for what, and whose mailbox sends."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

from recapito.texts import N_

if TYPE_CHECKING:
    from recapito.profile import Profile

__all__ = [
    "MODES",
    "Ms365Settings",
    "Resource",
    "account_of",
    "is_app",
    "mailbox_of",
    "own_mailbox",
    "permissions_of",
    "sends_by",
    "sends_large",
]

Resource: TypeAlias = Literal["graph", "smtp"]

#: What a profile can be moved to as one act, and what that sets.
MODES: Mapping[str, Mapping[str, Any]] = {"graph": {"send_by": "graph"}, "smtp": {"send_by": "smtp"}}

_ADDRESS = re.compile(r"[^\s@\x00-\x1f\x7f-\x9f\u2028\u2029]+@[^\s@\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class Ms365Settings(BaseModel):
    """How one mailbox at Microsoft signs in, and which way its mail leaves."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    sign_in: Literal["delegated", "app-only"] = Field(
        "delegated",
        title=N_("Sign-in"),
        description=N_(
            "delegated: a person signs in with Microsoft. app-only: the company's app sends for the mailbox, "
            "and nobody signs in."
        ),
    )
    send_by: Resource = Field(
        "graph",
        title=N_("Way out"),
        description=N_(
            "graph: Microsoft Graph, which needs the least permission. smtp: Microsoft's SMTP server, which many "
            "companies have closed."
        ),
    )
    account: str | None = Field(
        None,
        title=N_("Microsoft account"),
        description=N_(
            "Who signs in, where that is not the sender's address: for a shared mailbox, for sending as somebody "
            "else, or where the sign-in name differs."
        ),
        max_length=320,
    )
    through: Literal["account", "mailbox"] = Field(
        "account",
        title=N_("Mailbox that sends"),
        description=N_(
            'account: the mailbox of whoever signs in, with the sender as From ("Send as"). mailbox: the '
            "sender's own mailbox (full access to it), a shared one for example."
        ),
    )
    large_attachments: bool = Field(
        False,
        title=N_("Large attachments"),
        description=N_(
            "Sends what is over 2 MB through Graph too, by way of a draft: that needs the permission "
            "Mail.ReadWrite. Over SMTP it changes nothing."
        ),
    )

    @field_validator("account", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("account")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None and not _ADDRESS.fullmatch(value):
            raise ValueError(N_("is not a sign-in name such as anna@example.it"))
        return value


def is_app(settings: Mapping[str, Any]) -> bool:
    """Whether the app itself signs in, and no person."""
    return settings.get("sign_in") == "app-only"


def sends_by(settings: Mapping[str, Any]) -> Resource:
    """Which way mail leaves."""
    return "smtp" if settings.get("send_by") == "smtp" else "graph"


def sends_large(settings: Mapping[str, Any]) -> bool:
    """Whether drafts may be used for what Graph does not take at once."""
    return settings.get("large_attachments") is True and sends_by(settings) == "graph"


def account_of(profile: "Profile") -> str:
    """Who signs in."""
    return str(profile.settings.get("account") or profile.sender)


def own_mailbox(profile: "Profile") -> bool:
    """Whether the mailbox that sends is that of whoever signs in."""
    return not is_app(profile.settings) and profile.settings.get("through") != "mailbox"


def mailbox_of(profile: "Profile") -> str:
    """The address of the mailbox that sends: its limits hold, and its Sent Items have the copy."""
    return account_of(profile) if own_mailbox(profile) else profile.sender


def permissions_of(profile: "Profile") -> frozenset[str]:
    """The delegated permissions that a person is asked for: the least that sending needs.

    Microsoft's names (learn.microsoft.com/graph/permissions-reference; for SMTP, "Authenticate an IMAP, POP or
    SMTP connection using OAuth"). ``.Shared`` is for another's mailbox or address.
    """
    if sends_by(profile.settings) == "smtp":
        return frozenset({"SMTP.Send"})
    names = {"Mail.Send"} | ({"Mail.ReadWrite"} if sends_large(profile.settings) else set())
    if account_of(profile).lower() != profile.sender.lower():
        other = not own_mailbox(profile)
        names |= {f"{name}.Shared" for name in names if name == "Mail.Send" or other}
    return frozenset(names)
