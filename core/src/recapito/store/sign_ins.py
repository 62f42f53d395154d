"""The part of the store that sign-ins use: clients, grants, and what is under way."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from recapito.problem import Problem
from recapito.profile import ProfileKey
from recapito.secret import Secret
from recapito.store import attempts, clients, granting, grants, renewal, state
from recapito.store.attempts import NewAttempt, StoredAttempt
from recapito.store.clients import ClientRow, StoredClient
from recapito.store.grants import GrantRow, NewGrant, StoredGrant, StoredToken
from recapito.store.profiles import Save
from recapito.store.renewal import UNCHANGED, Renewal

if TYPE_CHECKING:
    from recapito.store.database import Database
    from recapito.store.sealed import SecretTable

__all__ = ["SignIns"]


class SignIns:
    """What :class:`recapito.store.Store` keeps of sign-ins. Every method may raise as the store's own."""

    database: "Database"
    _secrets: "SecretTable"

    def client(self, company: str, name: str) -> StoredClient | None:
        """The company's client of that name with its secrets; None where there is none."""
        return clients.get(self.database, self._secrets, company, name)

    def clients(self, company: str | None = None) -> tuple[ClientRow, ...]:
        """All clients, or those of one company; their secrets stay sealed."""
        return self.database.read(lambda connection: clients.listed(connection, company))

    def save_client(
        self,
        company: str,
        name: str,
        settings: Mapping[str, Any],
        secrets: Mapping[str, Secret | None],
        *,
        by: str,
        fields: Sequence[str],
        expect_revision: str | None = None,
    ) -> str:
        """Save a client and audit it; the new revision. Secrets and ``expect_revision`` as in :meth:`save`."""
        return clients.save(
            self.database,
            self._secrets,
            company,
            name,
            settings,
            secrets,
            by=by,
            fields=fields,
            expect_revision=expect_revision,
        )

    def remove_client(self, company: str, name: str, *, by: str) -> None:
        """Delete a client and its secrets; NotFound (CLIENT-UNKNOWN) where there is none."""
        clients.remove(self.database, self._secrets, company, name, by=by)

    def resume_client(self, company: str, client: str, *, by: str) -> tuple[ProfileKey, ...]:
        """Let the company's profiles run again that this client's fault had paused; which they are."""
        return state.resume_client(self.database, company, client, by=by)

    # Grants

    def grant(self, key: ProfileKey) -> GrantRow | None:
        """What a sign-in left for the profile, without its secrets; None where there is nothing."""
        return self.database.read(lambda connection: grants.read(connection, key))

    def grants(self, company: str | None = None) -> tuple[GrantRow, ...]:
        """All grants, or those of one company, by key; their secrets stay sealed."""
        return self.database.read(lambda connection: grants.listed(connection, company))

    def open_grant(self, key: ProfileKey) -> StoredGrant | None:
        """As :meth:`grant`, with its secret and tokens."""
        return grants.opened(self.database, self._secrets, key)

    def save_grant(
        self,
        key: ProfileKey,
        *,
        transport: str,
        sign_in: str,
        client: str,
        account: str,
        scopes: Iterable[str],
        secret: Secret,
        idle_until: datetime | None,
        by: str,
        profile: Save | None = None,
        action: str = "signed-in",
    ) -> GrantRow:
        """Save what a sign-in left, in the place of what was there, and with it ``profile``: both, or neither.

        A pause ends unless a person wished it: the row's ``resumed`` says so.
        """
        new = NewGrant(
            key=key,
            transport=transport,
            sign_in=sign_in,
            client=client,
            account=account,
            scopes=frozenset(scopes),
            secret=secret,
            idle_until=idle_until,
        )
        return granting.save(self.database, self._secrets, new, by=by, action=action, profile=profile)

    def ensure_grant(
        self,
        key: ProfileKey,
        *,
        transport: str,
        sign_in: str,
        client: str,
        account: str = "",
        instead_of: str = "",
        by: str = "recapito",
    ) -> GrantRow:
        """The grant as it is, or a new one without secrets: where the application itself signs in.

        One that does not fit goes only where it is still ``instead_of``, the id that the caller saw. ``account`` is
        who the application acts for; empty: any. Only a new one changes the store's version.
        """
        new = NewGrant(key=key, transport=transport, sign_in=sign_in, client=client, account=account)
        return granting.ensure(self.database, self._secrets, new, instead_of=instead_of, by=by)

    def lease_grant(
        self, key: ProfileKey, grant_id: str, generation: int, owner: str, seconds: float = 30
    ) -> bool:
        """True where ``owner`` alone may renew the grant, for so many seconds; one short transaction."""
        return renewal.lease(self.database, key, grant_id, generation, owner, seconds)

    def release_grant(self, key: ProfileKey, grant_id: str, owner: str) -> None:
        """Let others renew it; nothing happens where somebody else holds it by now."""
        renewal.release(self.database, key, grant_id, owner)

    def renew_grant(
        self,
        key: ProfileKey,
        grant_id: str,
        generation: int,
        *,
        resource: str,
        token: StoredToken,
        secret: Secret | None = None,
        scopes: Iterable[str] | None = None,
        account: str | None = None,
        idle_until: datetime | None = UNCHANGED,
        owner: str = "",  # noqa: ARG002 - the generation says whose word holds
    ) -> int | None:
        """Save a token and what renews the grant from now on together; the new generation.

        None, and nothing changed, where somebody signed in or renewed it meanwhile. The store's version stays.
        """
        new = Renewal(
            resource=resource,
            token=token,
            secret=secret,
            scopes=scopes,
            account=account,
            idle_until=idle_until,
        )
        return renewal.renew(self.database, self._secrets, key, grant_id, generation, new)

    def fail_grant(
        self,
        key: ProfileKey,
        grant_id: str,
        generation: int,
        problem: Problem,
        *,
        client_revision: str,
        owner: str = "",
    ) -> bool:
        """Remember why the grant gives no tokens, and let go of the lease.

        False where it is no longer the same, or somebody else than ``owner`` renews it by now.
        """
        return renewal.fail(
            self.database, key, grant_id, generation, problem, client_revision=client_revision, owner=owner
        )

    def remove_grant(
        self, key: ProfileKey, *, by: str, action: str = "signed-out", grant_id: str | None = None
    ) -> bool:
        """Forget the grant and its tokens, ``grant_id`` alone where it is named; True where there was one."""
        return granting.remove(self.database, self._secrets, key, by=by, action=action, grant_id=grant_id)

    # Sign-ins that are under way

    def begin_attempt(self, state: str, attempt: NewAttempt) -> None:
        """Keep a sign-in that was begun under ``state``, whose hash alone is kept."""
        attempts.begin(self.database, self._secrets, state, attempt)

    def attempt(self, state: str) -> StoredAttempt | None:
        """The sign-in under ``state``; None where there is none, or its time is over."""
        return attempts.get(self.database, self._secrets, state)

    def take_attempt(self, state: str) -> StoredAttempt | None:
        """As :meth:`attempt`, once: of many who ask, one gets it."""
        return attempts.take(self.database, self._secrets, state)

    def attempts_of(self, key: ProfileKey) -> int:
        """How many sign-ins of the profile are under way."""
        return self.database.read(lambda connection: attempts.count(connection, key))
