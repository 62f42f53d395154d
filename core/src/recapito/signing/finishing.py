"""Finishing a sign-in, in whatever process: everything is compared before anybody is asked, and before it is kept."""

from collections.abc import Awaitable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from recapito.access import NO_PERSON
from recapito.attention import profile_subject
from recapito.catalogue import problem
from recapito.errors import Held, NotSent
from recapito.operators import Changes
from recapito.outcome import Outcome
from recapito.secret import Secrets
from recapito.signin import Attempt, Grant, Step
from recapito.signing.beginning import PRIVATE, begun, kept
from recapito.signing.begun import CHECKED_EVERY, Begun, SignedIn
from recapito.signing.comparing import refuse_what_was_not_wanted
from recapito.signing.desk import change

if TYPE_CHECKING:
    from recapito.signing.aim import Aim
    from recapito.signing.asking import Asking
    from recapito.signing.desk import Desk
    from recapito.signing.wish import Answer
    from recapito.store import GrantRow, Store, StoredAttempt

__all__ = ["finish"]


async def finish(desk: "Desk", answer: "Answer") -> SignedIn | Begun:
    """The grant, kept; Begun where a device's person has not finished yet.

    Raises Held: SIGN-IN-STATE before anybody is asked, OAUTH-OTHER-USER and OAUTH-SCOPE before anything is kept,
    what the sign-in raises; Misconfigured (PROFILE-CHANGED) where the profile no longer signs in so. The profile
    and its grant are then as they were.
    """
    engine, store = desk.engine, desk.store(answer.operator)
    stored = await engine.in_thread(_admitted, store, answer)
    changes = Changes.from_dict(stored.draft) if stored.draft is not None else None
    aim = await engine.in_thread(
        desk.aiming(store).again, stored.key, stored.transport, stored.sign_in, stored.client, changes
    )
    attempt = _attempt(stored, answer)
    hidden = {f"{PRIVATE}{name}": attempt.private[name] for name in attempt.private}
    asking = desk.asking(aim, Secrets({**answer.query, **hidden, "verifier": attempt.verifier}))

    def redeem() -> Awaitable[Grant | Step]:
        is_code = stored.kind == "code"
        plain = {name: answer.query[name].reveal() for name in answer.query} if is_code else {}
        return aim.sign_in.finish(asking.context, attempt, plain)

    found = await desk.ask(stored.key, asking, redeem)
    if isinstance(found, Step):
        return await _waiting(desk, store, stored, aim, found, answer)
    refuse_what_was_not_wanted(found, aim)
    grant = await _proven(desk, asking, aim, found)
    if stored.kind == "device":  # of two that looked at the same time, one keeps it
        await engine.in_thread(_taken, store, answer)
    return await _kept(desk, store, aim, grant, answer.by or stored.by)


def _admitted(store: "Store", answer: "Answer") -> "StoredAttempt":
    """The attempt that the state is of. Whoever brings another's learns nothing, and spoils nothing.

    What a browser brings back is consumed now, before anybody is asked: of two that bring it one goes on.
    """
    state = answer.query.get("state")
    stored = store.attempt(state.reveal()) if state else None
    if stored is None or (stored.key.company, stored.key.operator) != (answer.company, answer.operator):
        raise _not_here(answer)
    if not stored.matches_session(answer.session):
        raise _not_here(answer)
    return stored if stored.kind == "device" else _taken(store, answer)


def _taken(store: "Store", answer: "Answer") -> "StoredAttempt":
    taken = store.take_attempt(answer.query["state"].reveal())
    if taken is None:
        raise _not_here(answer)
    return taken


def _not_here(answer: "Answer") -> Held:
    return Held(problem("SIGN-IN-STATE", operator=answer.operator))


def _attempt(stored: "StoredAttempt", answer: "Answer") -> Attempt:
    private = {
        name.removeprefix(PRIVATE): stored.secrets[name]
        for name in stored.secrets
        if name.startswith(PRIVATE)
    }
    return Attempt(
        redirect_uri=stored.redirect_uri,
        hint=stored.hint,
        state=answer.query["state"].reveal(),
        verifier=stored.secrets["verifier"],
        private=Secrets(private),
    )


async def _waiting(
    desk: "Desk", store: "Store", stored: "StoredAttempt", aim: "Aim", step: Step, answer: "Answer"
) -> Begun:
    """A device whose person has not typed the code yet; what the vendor changed (a slower pace) is kept."""
    if stored.kind != "device":
        raise NotSent(
            problem("TRANSPORT-CRASHED", outcome=Outcome.NOT_SENT, transport=aim.info.shown, error="Step")
        )
    state, expires = answer.query["state"], step.expires_at or stored.expires
    secrets = kept(stored.secrets["verifier"], step)
    if (secrets, step.interval, expires) != (stored.secrets, stored.interval, stored.expires):
        new = replace(stored.again(answer.session), secrets=secrets, interval=step.interval, expires=expires)

        def keep() -> None:
            _taken(store, answer)
            store.begin_attempt(state.reveal(), new)

        await desk.engine.in_thread(keep)
    return begun(aim, step, state, "", expires)


async def _proven(desk: "Desk", asking: "Asking", aim: "Aim", grant: Grant) -> Grant:
    """Where no person is asked nothing has been tried yet: the first token says whether it works."""
    sign_in = aim.sign_in
    if sign_in.kind not in NO_PERSON:
        return grant
    key = aim.found.profile.key
    got = await desk.ask(key, asking, lambda: sign_in.refresh(asking.context, grant, sign_in.resource))
    return got.grant or grant


async def _kept(desk: "Desk", store: "Store", aim: "Aim", grant: Grant, by: str) -> SignedIn:
    profile, prepared = aim.found.profile, aim.prepared
    key = profile.key
    save = partial(
        store.save_grant,
        key,
        transport=profile.transport,
        sign_in=aim.name,
        client=aim.client.info.name,
        # Whose tokens an application has, its profile says.
        account=grant.account or (aim.account if aim.sign_in.kind in NO_PERSON else ""),
        scopes=grant.scopes,
        secret=grant.secret,
        idle_until=grant.idle_until,
        by=by,
        profile=prepared.save if prepared else None,
    )
    row: GrantRow = await desk.engine.in_thread(save)
    desk.engine.vault().forget(key)
    await desk.engine.in_thread(desk.engine.attention.solved, profile_subject(key))
    await desk.works(key, aim.client.info.name)
    changes = []
    if prepared and prepared.save:
        changes.append(change("created" if prepared.created else "edited", by, fields=prepared.fields))
    changes.append(change("signed_in", by, fields=("grant",)))
    if row.resumed:
        changes.append(change("resumed", by))
    await desk.tell(profile, changes)
    return SignedIn(
        key=key,
        account=grant.account,
        scopes=grant.scopes,
        granted=row.granted,
        next_check=row.granted + CHECKED_EVERY,
        resumed=row.resumed,
        sender=profile.sender,
    )
