"""Says that signing in with Microsoft is not there yet, wherever somebody tries."""

from collections.abc import AsyncGenerator, Callable
from datetime import date

from recapito.catalogue import Catalogue, builtin, problem
from recapito.errors import Held
from recapito.problem import Problem
from recapito.profile import Profile
from recapito.transport import CheckStep, Context, Session

__all__ = ["Ms365"]

#: Whose domains are its customers' own: the provider of every address that the catalogue does not know.
_OWN_DOMAINS = "microsoft365"


class Ms365:
    """A :class:`~recapito.transport.Transport` that refuses, clearly.

    ``catalogue`` and ``today`` say which mailboxes may sign in with a password instead.
    """

    def __init__(self, catalogue: Catalogue | None = None, today: Callable[[], date] = date.today) -> None:
        self._catalogue = catalogue or builtin()
        self._today = today

    async def open(self, profile: Profile, context: Context) -> Session:  # noqa: ARG002 - nothing is opened
        """Raises Held (SIGN-IN-NOT-AVAILABLE)."""
        raise Held(self._not_available(profile))

    async def check(
        self,
        profile: Profile,
        context: Context,  # noqa: ARG002 - nothing is opened
        send_to: str | None = None,  # noqa: ARG002
    ) -> AsyncGenerator[CheckStep, None]:
        """The one step at which it ends."""
        yield CheckStep("sign-in", problem=self._not_available(profile))

    def _not_available(self, profile: Profile) -> Problem:
        domain = profile.sender.rpartition("@")[2]
        provider = self._catalogue.for_domain(domain) or self._catalogue.provider(_OWN_DOMAINS)
        instead = [way.transport for way in provider.ways if way.credential == "password"]
        works = instead if provider.takes_passwords_on(self._today()) else []
        return problem(
            "SIGN-IN-NOT-AVAILABLE",
            step="sign-in",
            transport=profile.transport,
            wanted="Microsoft",
            provider=provider.title,
            available=" / ".join(works) or None,
        )
