"""One mailbox of one operator, and how it sends."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol, Self

from recapito.limits import Limits
from recapito.secret import Secrets

__all__ = ["Found", "Operator", "Profile", "ProfileKey", "ProfileSource"]


@dataclass(frozen=True, slots=True)
class Operator:
    """A person of the host application; ``company`` is empty where there is only one."""

    id: str
    company: str = ""
    email: str | None = None
    is_admin: bool = False


class ProfileKey(NamedTuple):
    """What a profile is found by. It sorts by company, operator and name."""

    company: str
    operator: str
    name: str = "default"

    def __str__(self) -> str:
        parts = [self.company] if self.company else []
        parts.append(self.operator)
        if self.name != "default":
            parts.append(self.name)
        return "/".join(parts)


@dataclass(frozen=True, slots=True)
class Profile:
    """How one operator's mail leaves. It never holds a secret: those come beside it, in :class:`Found`.

    ``settings`` is what the transport's settings model validates, without its secret fields. ``aliases`` are
    the other addresses that may stand in From. ``limits`` are an administrator's, and only lower those of
    transport and provider.
    """

    key: ProfileKey
    sender: str
    transport: str
    sender_name: str = ""
    aliases: tuple[str, ...] = ()
    reply_to: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()
    #: False where an operator typed the host on a page: private addresses and other ports are then refused.
    trusted_host: bool = True

    @classmethod
    def of(
        cls,
        operator: str,
        *,
        sender: str,
        transport: str,
        company: str = "",
        name: str = "default",
        **rest: Any,
    ) -> Self:
        """A profile by its parts, for scripts and tests; ``rest`` are the other fields."""
        return cls(ProfileKey(company, operator, name), sender, transport, **rest)

    def with_(self, **changes: Any) -> Self:
        """A copy with ``changes``."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Found:
    """A profile as its source has it now. ``revision`` differs whenever profile or secrets changed."""

    profile: Profile
    secrets: Secrets = field(default_factory=Secrets)
    revision: str = ""


class ProfileSource(Protocol):
    """Where profiles come from: recapito's own store, or a host that keeps them itself."""

    def get(self, key: ProfileKey) -> Found | None:
        """The profile as it is at this moment, or None. Called before each send, in a worker thread."""
        ...
