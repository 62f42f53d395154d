"""Signing out: the grant is given back at the vendor where that can be done, and forgotten here in any case."""

import logging
from functools import partial
from typing import TYPE_CHECKING

from recapito.access import client_of
from recapito.accounts import same_account
from recapito.catalogue import problem
from recapito.errors import NotFound, RecapitoError
from recapito.secret import Secrets
from recapito.settings import completed
from recapito.signin import Grant
from recapito.signing.aim import Aim
from recapito.signing.desk import change

if TYPE_CHECKING:
    from recapito.profile import Found, ProfileKey
    from recapito.signing.desk import Desk
    from recapito.store import Store, StoredGrant

__all__ = ["sign_out"]

log = logging.getLogger("recapito.mailer")


async def sign_out(desk: "Desk", key: "ProfileKey", by: str) -> bool:
    """True where the profile was signed in. NotFound (PROFILE-UNKNOWN) where there is neither profile nor grant.

    Open sessions are retired in every process. Where the vendor cannot be told, a warning is logged; nor is it
    told while another profile signs in as the same account, since that would end the other's grant too.
    """
    engine, store = desk.engine, desk.store(str(key))
    found = await engine.in_thread(engine.resolver.current, key)
    row = await engine.in_thread(store.grant, key)
    if found is None and row is None:
        raise NotFound(problem("PROFILE-UNKNOWN", profile=str(key), operator=key.operator))
    if row is None:
        return False
    await _give_back(desk, store, key, found)
    if not await engine.in_thread(partial(store.remove_grant, key, by=by, grant_id=row.id)):
        return False
    engine.vault().forget(key)
    if found is not None:
        await desk.tell(found.profile, [change("signed_out", by, fields=("grant",))])
    return True


async def _give_back(desk: "Desk", store: "Store", key: "ProfileKey", found: "Found | None") -> None:
    try:
        stored = await desk.engine.in_thread(store.open_grant, key)
        if stored is None or not stored.secret:
            return
        if await desk.engine.in_thread(_is_shared, store, stored):
            log.info("%s: the grant was not given back: others sign in as the same account", key)
            return
        aim = await desk.engine.in_thread(_aim, desk, store, stored, found)
        if aim is None:
            log.warning("%s: the grant was not given back: what gave it is no longer here", key)
            return
        grant = Grant(
            account=stored.row.account,
            scopes=stored.row.scopes,
            secret=stored.secret,
            idle_until=stored.row.idle_until,
        )
        asking = desk.asking(aim, Secrets({"grant": stored.secret}))
        await asking(lambda: aim.sign_in.revoke(asking.context, grant))
    except RecapitoError as exc:
        log.warning("%s: the grant could not be given back at the vendor (%s)", key, exc.problem.code)


def _is_shared(store: "Store", mine: "StoredGrant") -> bool:
    """Whether another profile signs in as the same account: a vendor may end all of an account's grants at once."""
    return any(
        row.key != mine.row.key
        and row.client == mine.row.client
        and same_account(row.account, mine.row.account)
        for row in store.grants()
        if row.account and mine.row.account
    )


def _aim(desk: "Desk", store: "Store", stored: "StoredGrant", found: "Found | None") -> Aim | None:
    """By what the grant was given, whatever the profile has become; None where it is no longer installed."""
    plugins, row = desk.engine.plugins, stored.row
    info = plugins.transports.get(row.transport)
    make = info.sign_ins.get(row.sign_in) if info else None
    client = client_of(store, plugins, row.key.company, row.client)
    if found is None or info is None or make is None or client is None:
        return None
    profile = found.profile
    if profile.transport == row.transport:
        profile = profile.with_(settings=completed(info.settings, profile.settings))
    return Aim(found, info, row.sign_in, make(profile), client, row.account)
