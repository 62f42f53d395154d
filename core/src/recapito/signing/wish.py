"""What a sign-in is begun and finished with."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from recapito.secret import Secrets

if TYPE_CHECKING:
    from recapito.operators import Changes
    from recapito.profile import ProfileKey

__all__ = ["Answer", "Wish"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What ``begin_sign_in`` was asked for."""

    key: "ProfileKey"
    kind: Literal["device"] | None = None
    redirect_uri: str = ""
    session: str = field(default="", repr=False)
    by: str = ""
    changes: "Changes | None" = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from the vendor, or from a device's next look, and who brought it.

    ``query`` holds a code: it is wrapped at the door, so that no traceback shows it.
    """

    company: str
    operator: str
    query: Secrets
    session: str = field(default="", repr=False)
    by: str = ""
