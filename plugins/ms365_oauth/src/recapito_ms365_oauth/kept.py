"""What a grant of Microsoft's keeps: the refresh token, and whether the app proved itself when it was given."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from recapito.secret import Secret

__all__ = ["IDLE", "Kept"]

#: A refresh token dies where nobody uses it for so long (learn.microsoft.com/entra: refresh tokens, 90 days).
IDLE = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Kept:
    """A refresh token. A ``public`` one was given to an app without credential, and is refreshed without one."""

    refresh_token: Secret
    public: bool

    @classmethod
    def of(cls, secret: Secret) -> Self:
        """What :attr:`secret` wrote; ValueError where it did not (its text is not in the error)."""
        try:
            found = json.loads(secret.reveal())
            return cls(Secret(str(found["refresh_token"])), found["public"] is True)
        except (ValueError, KeyError, TypeError):
            raise ValueError("this is not what a sign-in with Microsoft keeps") from None

    @property
    def secret(self) -> Secret:
        """It, as a grant's secret."""
        return Secret(json.dumps({"refresh_token": self.refresh_token.reveal(), "public": self.public}))
