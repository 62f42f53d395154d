"""Who was told what: each new problem that a person must solve is told once."""

import json
from threading import Lock
from typing import TYPE_CHECKING

from recapito.hookspecs import Subject
from recapito.problem import Problem, Scope
from recapito.profile import ProfileKey

if TYPE_CHECKING:
    from recapito.plugins import Plugins
    from recapito.store import Store

__all__ = ["Attention", "client_subject", "profile_subject", "subject_of"]


class Attention:
    """Calls ``recapito_request_attention`` once for each new problem of a subject.

    With a store the memory is shared by all processes; without one it is this object's own.
    """

    def __init__(self, store: "Store | None", plugins: "Plugins") -> None:
        self._store = store
        self._plugins = plugins
        self._told: set[tuple[str, str]] = set()
        self._lock = Lock()

    def tell(self, subject: Subject, problem: Problem) -> bool:
        """True where this problem was new for this subject, and the hooks have been called."""
        if not self.remember(subject, problem):
            return False
        self._plugins.request_attention(subject, problem)
        return True

    def remember(self, subject: Subject, problem: Problem) -> bool:
        """True where this problem is new for this subject: its hooks are then the caller's to call."""
        return self._is_new(_key(subject), problem.code)

    def solved(self, subject: Subject) -> None:
        """Forget what was told, so that the same problem, come back, is told again."""
        if self._store is not None:
            self._store.solved(_key(subject))
        if not self._told:
            return
        with self._lock:
            self._told = {each for each in self._told if each[0] != _key(subject)}

    def _is_new(self, key: str, code: str) -> bool:
        if self._store is not None:
            return self._store.told(key, code)
        with self._lock:
            new = (key, code) not in self._told
            self._told.add((key, code))
        return new


def profile_subject(key: ProfileKey) -> Subject:
    """The profile as the subject of attention."""
    return Subject("profile", str(key), key, key.company)


def subject_of(key: ProfileKey, problem: Problem) -> Subject:
    """Who a problem of this profile concerns: the profile, or the client that all its profiles share."""
    client = str(problem.params.get("client", ""))
    if problem.scope is Scope.CLIENT and client:
        return client_subject(key.company, client)
    return profile_subject(key)


def client_subject(company: str, name: str) -> Subject:
    """A company's client as the subject of attention: one word for all the profiles that sign in through it."""
    return Subject("client", name, None, company)


def _key(subject: Subject) -> str:
    # As JSON, since every part may hold what would stand between them.
    parts = subject.profile or (subject.company, subject.name)
    return json.dumps([subject.kind, *parts], ensure_ascii=False)
