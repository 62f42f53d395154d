"""Profiles handed over as a plain dict, for scripts and tests."""

from collections.abc import Mapping
from itertools import count
from typing import TypeAlias, cast

from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.profile import Found, Profile, ProfileKey

__all__ = ["DictSource", "ProfileDict"]

#: Operator ids, or whole keys, to profiles; a profile that needs a password comes with it in a ``Found``.
ProfileDict: TypeAlias = Mapping[str, Profile | Found] | Mapping[ProfileKey, Profile | Found]


class DictSource:
    """A :class:`recapito.profile.ProfileSource` over a dict. The dict may change: each send reads it anew."""

    def __init__(self, profiles: ProfileDict) -> None:
        self._profiles = cast("Mapping[str | ProfileKey, Profile | Found]", profiles)
        self._seen: dict[ProfileKey, tuple[Profile | Found, Found]] = {}
        self._revisions = count(1)

    def get(self, key: ProfileKey) -> Found | None:
        """What the dict has under ``key`` or under the operator's id; a new revision where it was replaced.

        Raises Misconfigured (PROFILE-OTHER) where it is another operator's: an id must never send as another.
        """
        given = self._profiles.get(key) or self._profiles.get(key.operator)
        if given is None:
            return None
        seen = self._seen.get(key)
        if seen is not None and seen[0] is given:
            return seen[1]
        found = given if isinstance(given, Found) else Found(given)
        mine = found.profile.key
        if mine.operator != key.operator:
            raise Misconfigured(problem("PROFILE-OTHER", profile=str(key), other=str(mine)))
        if mine != key:
            return None
        found = Found(found.profile, found.secrets, found.revision or str(next(self._revisions)))
        self._seen[key] = given, found
        return found
