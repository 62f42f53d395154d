"""How each sign-in stands, as far as it is known without asking a vendor."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from recapito.access import NO_PERSON, AccessReader, client_of, no_client
from recapito.aftermath import MAILER
from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.problem import Problem, Who
from recapito.settings import completed
from recapito.signing.begun import CHECKED_EVERY

if TYPE_CHECKING:
    from recapito.plugins import Plugins
    from recapito.profile import ProfileKey
    from recapito.store import GrantRow, ProfileRow, Store

__all__ = ["Standing", "standing", "standings"]


@dataclass(frozen=True, slots=True)
class Standing:
    """One profile's sign-in: the ``grant`` that it has, if any, and the ``problem`` why it would not send.

    ``paused`` is the profile's state; ``wants_sign_in`` whether signing in is what mends it.
    """

    key: "ProfileKey"
    transport: str
    sign_in: str
    client: str
    grant: "GrantRow | None"
    problem: Problem | None
    paused: bool
    wants_sign_in: bool = False

    @property
    def next_check(self) -> datetime | None:
        """When ``health`` looks at it by; None where there is no grant."""
        return (self.grant.refreshed or self.grant.granted) + CHECKED_EVERY if self.grant else None


def standings(
    store: "Store", plugins: "Plugins", company: str | None = None, operator: str | None = None
) -> Iterator[Standing]:
    """That of each profile that signs in or has a grant, in the order of their keys."""
    grants = {row.key: row for row in store.grants(company)}
    rows = {row.key: row for row in store.profiles(company)}
    reader = AccessReader(plugins, store)
    for key in sorted({*grants, *rows}):
        if operator in (None, key.operator):
            found = _of(store, plugins, reader, rows.get(key), grants.get(key))
            if found is not None:
                yield found


def standing(store: "Store", plugins: "Plugins", key: "ProfileKey") -> Standing | None:
    """That of one profile; None where it neither signs in nor has a grant."""
    return _of(store, plugins, AccessReader(plugins, store), store.row(key), store.grant(key))


def _of(
    store: "Store",
    plugins: "Plugins",
    reader: AccessReader,
    row: "ProfileRow | None",
    grant: "GrantRow | None",
) -> Standing | None:
    if row is None:  # a host keeps the profile itself
        return _alone(store, grant) if grant else None
    state, profile = row.state, row.profile
    ours = state.problem if state.paused and state.by == MAILER else None
    try:
        info = plugins.info(profile.transport)
        profile = profile.with_(settings=completed(info.settings, profile.settings))
        name = info.sign_in(profile)
        make = info.sign_ins.get(name)
        if make is None:
            return _alone(store, grant) if grant else None
        sign_in = make(profile)
        person = sign_in.kind not in NO_PERSON
        known = (
            _objection(reader, row, grant)
            if person
            else _client_missing(store, plugins, row.key.company, sign_in.client)
        )
    except Misconfigured as exc:
        return Standing(
            row.key,
            profile.transport,
            grant.sign_in if grant else "",
            grant.client if grant else "",
            grant,
            exc.problem,
            state.paused,
        )
    fault = known or (grant.problem if grant else None)
    wants = person and fault is not None and fault.pauses and fault.who is Who.OPERATOR
    used = grant.sign_in if grant and person else name
    return Standing(
        row.key, profile.transport, used, sign_in.client, grant, fault or ours, state.paused, wants
    )


def _alone(store: "Store", grant: "GrantRow") -> Standing:
    state = store.state(grant.key)
    return Standing(
        grant.key, grant.transport, grant.sign_in, grant.client, grant, grant.problem, state.paused
    )


def _objection(reader: AccessReader, row: "ProfileRow", grant: "GrantRow | None") -> Problem | None:
    """Why a person's grant is not the one that the profile needs: the same comparisons as before a send."""
    access = reader.read(row.profile)
    if access.objection is not None or grant is None:
        return access.objection
    missing = access.scopes - grant.scopes
    if not missing:
        return None
    return problem("OAUTH-SCOPE", scopes=" ".join(sorted(missing)), operator=row.key.operator)


def _client_missing(store: "Store", plugins: "Plugins", company: str, name: str) -> Problem | None:
    return None if client_of(store, plugins, company, name) else no_client(plugins, name)
