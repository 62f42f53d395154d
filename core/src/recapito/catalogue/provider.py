"""A mail host as the catalogue knows it: the ways into it, its limits, and what differs for certified mail."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from recapito.catalogue.code import problem
from recapito.limits import Limits
from recapito.problem import Problem

__all__ = ["MB", "Endpoint", "Kind", "Pec", "Provider", "Security", "Way"]

Kind = Literal["mail", "pec", "own-domain"]
Security = Literal["ssl", "starttls"]

#: Bytes of a megabyte as providers state their limits.
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server of a way, with where it is known from and when that was read.

    ``weak`` where no page of the provider's own, and no ISPDB entry, says so.
    """

    host: str
    port: int
    security: Security
    source: str
    date: date
    weak: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """``host``, ``port`` and ``security``, as the settings of a transport over SMTP have them."""
        return {"host": self.host, "port": self.port, "security": self.security}


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """How mail leaves by one transport: its endpoints (the best first) and the settings that it needs.

    ``credential`` is what the profile signs in with; ``note`` names a hint (:func:`recapito.catalogue.hint`).
    """

    transport: str
    endpoints: tuple[Endpoint, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    credential: Literal["password", "token"] = "password"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Pec:
    """What differs for certified mail: no hidden recipients, size counted for each recipient, nothing repeated."""

    #: Bytes that size times recipients may reach; the law guarantees 30 MB, many hosts allow 100 MB.
    size_times_recipients: int = 30 * MB
    #: True where only the law's guarantee is known.
    assumed: bool = True
    #: A message whose outcome is *unknown* is looked up among the receipts, never sent again.
    repeat_unknown: bool = False

    def refusal(self, *, size: int, recipients: int, bcc: bool) -> Problem | None:
        """Why a message of ``size`` bytes for so many recipients cannot go; None where it can."""
        if bcc:
            return problem("PEC-BCC")
        if size * recipients > self.size_times_recipients:
            return problem(
                "PEC-TOO-BIG",
                n=f"{size / MB:.1f}",
                count=recipients,
                max=f"{self.size_times_recipients / MB:g}",
            )
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Provider:
    """One mail host. ``ways`` are ranked; none of them means that the settings must be asked for.

    ``domains`` are those of its addresses (``*.example.it``: every name under it), ``hosts`` its servers.
    ``own_domain_limits`` hold for addresses of other domains at its servers (Google Workspace at Gmail's).
    ``hints`` are names for :func:`recapito.catalogue.hint`. ``passwords_until`` is the last day on which
    programs may sign in with a password, where the provider has set one.
    """

    id: str
    title: str
    kind: Kind = "mail"
    domains: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    ways: tuple[Way, ...] = ()
    limits: Limits = Limits()
    own_domain_limits: Limits | None = None
    hints: tuple[str, ...] = ()
    pec: Pec | None = None
    username_hint: Literal["address", "id"] = "address"
    passwords_until: date | None = None
    sources: tuple[str, ...] = ()

    @property
    def takes_passwords(self) -> bool:
        """Whether a program may sign in with a password today."""
        return self.takes_passwords_on(date.today())

    def takes_passwords_on(self, day: date) -> bool:
        """Whether a program may sign in with a password on that day."""
        return self.passwords_until is None or day <= self.passwords_until

    def way(self, transport: str) -> Way | None:
        """The way by that transport."""
        return next((way for way in self.ways if way.transport == transport), None)

    def limits_for(self, address: str) -> Limits:
        """The limits of one mailbox at this host."""
        domain = address.rpartition("@")[2].lower()
        if self.own_domain_limits is not None and domain not in self.domains:
            return self.own_domain_limits
        return self.limits
