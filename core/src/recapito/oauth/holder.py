"""Whose tokens are meant, as a mailer resolved it for one profile."""

from collections.abc import Callable
from dataclasses import dataclass, field

from recapito.profile import ProfileKey
from recapito.signin import SignIn, SignInContext

__all__ = ["Holder"]


@dataclass(frozen=True, slots=True)
class Holder:
    """A profile and how it signs in. ``make`` makes its sign-in, ``context`` what that is given.

    ``grant_id`` is the grant that was found with the profile (empty: none), ``account`` whose it is (empty: not
    told), ``scopes`` what the profile asks for, ``client_revision`` the client's. A token that was had with others
    is not taken for one of this.
    """

    key: ProfileKey
    transport: str
    sign_in: str
    make: Callable[[], SignIn] = field(compare=False, repr=False)
    context: Callable[[], SignInContext] = field(compare=False, repr=False)
    grant_id: str = ""
    client_revision: str = ""
    account: str = ""
    scopes: frozenset[str] = frozenset()
