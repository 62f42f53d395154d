"""Says that signing in with Microsoft is not there yet, wherever somebody tries."""

from collections.abc import AsyncGenerator

from recapito.catalogue import problem
from recapito.errors import Held
from recapito.problem import Problem
from recapito.profile import Profile
from recapito.transport import CheckStep, Context, Session

__all__ = ["Ms365"]


class Ms365:
    """A :class:`~recapito.transport.Transport` that refuses, clearly."""

    async def open(self, profile: Profile, context: Context) -> Session:  # noqa: ARG002 - nothing is opened
        """Raises Held (SIGN-IN-NOT-AVAILABLE)."""
        raise Held(_not_available(profile))

    async def check(
        self,
        profile: Profile,
        context: Context,  # noqa: ARG002 - nothing is opened
        send_to: str | None = None,  # noqa: ARG002
    ) -> AsyncGenerator[CheckStep, None]:
        """The one step at which it ends."""
        yield CheckStep("sign-in", problem=_not_available(profile))


def _not_available(profile: Profile) -> Problem:
    return problem(
        "SIGN-IN-NOT-AVAILABLE",
        step="sign-in",
        transport=profile.transport,
        wanted="Microsoft",
        available="smtp_basic",
    )
