"""What the acts of signing in come back with."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recapito.profile import ProfileKey
    from recapito.signin import SignInKind

__all__ = ["CHECKED_EVERY", "Begun", "SignedIn"]

#: How often ``health`` looks at a grant.
CHECKED_EVERY = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A sign-in that waits for a person: open ``url``, and type ``user_code`` there where there is one.

    ``state`` finishes it: for ``code`` it comes back with the redirect to ``redirect_uri``; for ``device`` look
    again every ``interval`` seconds with ``finish_sign_in(operator, {"state": begun.state})``; where ``url`` is
    empty (``app``, ``service-account``) nobody is asked: finish it so at once. ``account`` is who is expected to
    sign in. It ends at ``expires_at``.
    """

    key: "ProfileKey"
    kind: "SignInKind"
    url: str = field(repr=False)
    user_code: str = field(repr=False)
    state: str = field(repr=False)
    interval: float
    expires_at: datetime
    client: str
    redirect_uri: str
    account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A sign-in that was finished and kept: ``account`` as the vendor spells it, empty where it does not say.

    ``resumed`` is True where the profile had been paused and runs again. ``next_check`` is when ``health`` should
    have looked at it by.
    """

    key: "ProfileKey"
    account: str
    scopes: frozenset[str]
    granted: datetime
    next_check: datetime
    resumed: bool
    sender: str
