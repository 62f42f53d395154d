"""What a profile selects: its transport, context, mailbox, limits and provider, worked out once a revision."""

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from recapito import settings
from recapito.access import NO_TOKEN, Access
from recapito.context import ProfileContext
from recapito.limits import Limits
from recapito.profile import Found, Profile, ProfileKey
from recapito.transport import Transport, TransportInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from recapito.catalogue import Catalogue, Provider
    from recapito.plugins import Plugins

__all__ = ["Route", "Routes", "mailbox_of"]


@dataclass(frozen=True, slots=True)
class Route:
    """How one profile's mail leaves. ``found`` has settings and secrets as the transport's model left them."""

    found: Found
    info: TransportInfo
    transport: Transport
    context: ProfileContext
    mailbox: str
    limits: Limits
    provider: "Provider | None"
    access: Access = NO_TOKEN

    @property
    def profile(self) -> Profile:
        """The profile."""
        return self.found.profile

    @property
    def maximum_size(self) -> int | None:
        """Bytes of the largest message, by transport, provider and profile."""
        return _least(self.info.capabilities.maximum_size, self.limits.size)

    @property
    def maximum_recipients(self) -> int | None:
        """Recipients of one transaction, by transport, provider and profile."""
        return _least(self.info.capabilities.maximum_recipients, self.limits.recipients_per_message)


class Routes:
    """Makes routes, and keeps the last of each profile. Any thread."""

    def __init__(
        self,
        plugins: "Plugins",
        context: "Callable[[Found, Catalogue, Access], ProfileContext]",
        worked: "Callable[[ProfileKey], bool | None]" = lambda _key: None,
    ) -> None:
        self._plugins = plugins
        self._context = context
        self._worked = worked
        self._kept: dict[ProfileKey, tuple[Found, Route]] = {}
        self._lock = Lock()

    def kept(self, found: Found, access: Access) -> Route | None:
        """The route of ``found`` where it is known already: then there is nothing to work out."""
        seen = self._kept.get(found.profile.key)
        if seen is None or not _same(seen[0], found):
            return None
        mine = seen[1].access
        return seen[1] if mine is access or mine == access else None

    def of(self, found: Found, access: Access) -> Route:
        """The route of ``found``. Imports the transport, so call it in a thread.

        Raises NotFound (TRANSPORT-UNKNOWN) and Misconfigured, with every wrong setting in ``fields``.
        """
        with self._lock:
            route = self.kept(found, access)
            if route is None:
                route = self._made(found, access)
                route.context.worked = self._worked(found.profile.key)
            if len(self._kept) >= 10_000:
                self._kept.clear()
            self._kept[found.profile.key] = found, route
            return route

    def draft(self, found: Found, access: Access) -> Route:
        """The route of a profile that is not saved: it is kept nowhere. Raises as :meth:`of`."""
        return self._made(found, access)

    def _made(self, found: Found, access: Access) -> Route:
        offered, profile = self._plugins.info(found.profile.transport), found.profile
        validated, wrong = settings.validate(
            offered.settings, profile.settings, found.secrets, package=offered.texts
        )
        if validated is None:
            raise settings.misfit(profile.key, wrong)
        profile = _completed(offered, profile.with_(settings=validated.settings))
        info = offered.for_profile(profile, access.client.settings if access.client else {})
        provider = self._provider(info, profile)
        limits = info.limits.lowered_by(provider.limits_for(profile.sender)) if provider else info.limits
        limits = limits.lowered_by(profile.limits)
        # The transport is given the limits that hold in the end: it splits by them what has many recipients.
        own = Found(profile.with_(limits=limits), validated.secrets, found.revision)
        return Route(
            own,
            info,
            self._plugins.transport(info.name),
            self._context(own, self._plugins.catalogue, access),
            info.mailbox(profile),
            limits,
            provider,
            access,
        )

    def _provider(self, info: TransportInfo, profile: Profile) -> "Provider | None":
        """By the server alone: a relay of one's own, or a transport without one, has not its domain's limits."""
        host = info.host(profile)
        return self._plugins.catalogue.for_host(host) if host else None


def mailbox_of(offered: TransportInfo, profile: Profile) -> str:
    """The mailbox of a profile as a source has it."""
    completed = _completed(offered, profile)
    return offered.for_profile(completed).mailbox(completed)


def _completed(offered: TransportInfo, profile: Profile) -> Profile:
    return profile.with_(settings=settings.completed(offered.settings, profile.settings))


def _same(mine: Found, asked: Found) -> bool:
    """To the letter, since a source may forget to change its revision."""
    return mine is asked or mine == asked


def _least(one: int | None, other: int | None) -> int | None:
    return min((value for value in (one, other) if value is not None), default=None)
