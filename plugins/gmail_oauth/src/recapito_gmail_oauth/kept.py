"""What a grant of Google's keeps: the refresh token, and the two moments that tell why it died."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from recapito.secret import Secret

__all__ = ["IDLE", "Kept"]

#: A refresh token that nobody used for six months is dead (developers.google.com/identity/protocols/oauth2).
IDLE = timedelta(days=180)

# While an app's publishing status is "Testing" its refresh tokens live seven days (same page).
_TESTING = timedelta(days=7)
# Clocks differ, and Google is not exact to the minute.
_ABOUT = timedelta(hours=1)
# Who sends daily, or has his grants renewed daily, learns of it within this time.
_SOON = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class Kept:
    """A refresh token; ``since`` is when a person consented, ``used`` when it last gave an access token."""

    refresh_token: Secret
    since: datetime
    used: datetime

    @classmethod
    def of(cls, secret: Secret) -> Self | None:
        """What :attr:`secret` wrote; None where it did not."""
        try:
            found: dict[str, Any] = json.loads(secret.reveal())
            since, used = (datetime.fromtimestamp(int(found[name]), UTC) for name in ("since", "used"))
            return cls(Secret(str(found["refresh_token"])), since, used)
        except (ValueError, KeyError, TypeError, OverflowError, OSError):
            return None

    @property
    def secret(self) -> Secret:
        """It, as a grant's secret."""
        moments = {"since": int(self.since.timestamp()), "used": int(self.used.timestamp())}
        return Secret(json.dumps({"refresh_token": self.refresh_token.reveal(), **moments}))

    def renewed(self, now: datetime, rotated: Secret | None) -> Self:
        """The same after it gave an access token, with the new refresh token where there was one."""
        return replace(self, used=now, refresh_token=rotated or self.refresh_token)

    def died_of_testing(self, now: datetime) -> bool:
        """Whether a token that is dead ``now`` was worth something until the seven days of a test app were over.

        Google says the same words of every dead token. One that lived longer once was no test app's; one that
        nobody had used for days before may have died of anything.
        """
        end = self.since + _TESTING
        return self.used < end + _ABOUT and end - _ABOUT <= now <= self.used + _SOON
