"""Beginning a sign-in: the vendor is asked, or only a link is made, and all that finishes it is kept."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from recapito.secret import Secret, Secrets
from recapito.signin import Attempt, Step
from recapito.signing.begun import Begun
from recapito.signing.redirect import checked_redirect

if TYPE_CHECKING:
    from recapito.signing.aim import Aim
    from recapito.signing.desk import Desk
    from recapito.signing.wish import Wish
    from recapito.store import NewAttempt

__all__ = ["PRIVATE", "begin", "begun", "kept"]

#: How long a sign-in in a browser may take: the state that comes back is worth nothing afterwards.
OFFERED_FOR = timedelta(minutes=10)
#: What stands before the names of a sign-in's private things among an attempt's secrets.
PRIVATE = "private "


async def begin(desk: "Desk", wish: "Wish") -> Begun:
    """The sign-in, begun. Raises as :meth:`recapito.signing.aim.Aiming.at`, and what the sign-in raises."""
    store = desk.store(str(wish.key))
    aim = await desk.engine.in_thread(desk.aiming(store).at, wish.key, wish.kind, wish.changes)
    uri = wish.redirect_uri or str(aim.client.settings.get("redirect_uri") or "")
    uri = checked_redirect(uri) if aim.sign_in.kind == "code" else ""
    from recapito.oauth import new_state, new_verifier

    state, verifier = Secret(new_state()), new_verifier()
    attempt = Attempt(redirect_uri=uri, hint=aim.account, state=state.reveal(), verifier=verifier)
    asking = desk.asking(aim, Secrets({"state": state, "verifier": verifier}))
    step = await desk.ask(wish.key, asking, lambda: aim.sign_in.begin(asking.context, attempt))
    new = _new(wish, aim, attempt, step)
    await desk.engine.in_thread(lambda: store.begin_attempt(state.reveal(), new))
    return begun(aim, step, state, uri, new.expires)


def begun(aim: "Aim", step: Step, state: Secret, redirect_uri: str, expires: datetime) -> Begun:
    """What a person is shown of it."""
    return Begun(
        key=aim.found.profile.key,
        kind=aim.sign_in.kind,
        url=step.url,
        user_code=step.user_code,
        state=state.reveal(),
        interval=step.interval,
        expires_at=expires,
        client=aim.client.info.name,
        redirect_uri=redirect_uri,
        account=aim.account,
    )


def kept(verifier: Secret, step: Step) -> Secrets:
    """The secrets of an attempt, as the store keeps them; a waiting device's are shown again."""
    private = {f"{PRIVATE}{name}": step.private[name] for name in step.private}
    return Secrets({"verifier": verifier, **private})


def _new(wish: "Wish", aim: "Aim", attempt: Attempt, step: Step) -> "NewAttempt":
    from recapito.store import NewAttempt

    latest = datetime.now(UTC) + OFFERED_FOR
    expires = step.expires_at or latest
    return NewAttempt(
        key=wish.key,
        transport=aim.found.profile.transport,
        sign_in=aim.name,
        client=aim.client.info.name,
        kind=aim.sign_in.kind,
        redirect_uri=attempt.redirect_uri,
        hint=attempt.hint,
        session=wish.session,
        by=wish.by or wish.key.operator,
        # A device's code lives as long as the vendor says: it never leaves this side.
        expires=expires if aim.sign_in.kind == "device" else min(expires, latest),
        draft=wish.changes.to_dict() if wish.changes is not None else None,
        interval=step.interval,
        secrets=kept(attempt.verifier, step),
    )
