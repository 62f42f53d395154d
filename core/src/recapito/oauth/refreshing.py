"""Asking a sign-in for a token: in bounded time, checked, and every failure as one of our own errors."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from recapito.catalogue import problem
from recapito.errors import DeliveryError, Held, Misconfigured, NotSent, RecapitoError
from recapito.oauth.holder import Holder
from recapito.oauth.pkce import new_state, new_verifier
from recapito.oauth.token import checked_token
from recapito.problem import Problem, Scope
from recapito.signin import Attempt, Grant, SignIn, SignInContext, Step, Token

if TYPE_CHECKING:
    from recapito.store import StoredGrant

__all__ = ["AGAIN", "NO_PERSON", "Got", "concerning", "refresh"]

log = logging.getLogger("recapito.oauth.vault")

#: The kinds of sign-in in which no person takes part: their grant is had when it is needed.
NO_PERSON = frozenset({"app", "service-account"})
#: Until a sign-in service that did not answer in time is asked again.
AGAIN = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Got:
    """A token, and the grant where it is new or has changed."""

    token: Token
    grant: Grant | None


async def refresh(
    holder: Holder,
    sign_in: SignIn,
    stored: "StoredGrant",
    resource: str,
    within: float,
    now: Callable[[], datetime],
) -> Got:
    """A new token for ``resource`` within so many seconds. Raises Held and NotSent, naming the client at fault."""
    context = holder.context()
    try:
        async with asyncio.timeout(within):
            return await _asked(sign_in, context, stored, resource, now)
    except (Held, NotSent) as exc:
        error: DeliveryError = type(exc)(concerning(exc.problem, sign_in.client))
    except DeliveryError as exc:  # no content has left: whatever a plugin calls it
        found = concerning(exc.problem, sign_in.client).with_(outcome=NotSent.outcome)
        error = NotSent(found)
    except Misconfigured as exc:
        error = Held(concerning(exc.problem, sign_in.client).with_(outcome=Held.outcome))
    except TimeoutError:
        error = NotSent(problem("OAUTH-TEMPORARY", step="sign-in", retry_at=now() + AGAIN))
    except RecapitoError as exc:
        error = NotSent(exc.problem.with_(outcome=NotSent.outcome))
    except (Exception, SystemExit, asyncio.CancelledError) as exc:
        task = asyncio.current_task()
        if isinstance(exc, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        # The frames of a plugin, or of an SDK, hold what it signs in with: only its redacting log sees them.
        context.log.exception("the sign-in failed")
        error = NotSent(
            problem(
                "TRANSPORT-CRASHED",
                outcome=NotSent.outcome,
                transport=holder.transport,
                error=type(exc).__name__,
            )
        )
    raise error


async def _asked(
    sign_in: SignIn,
    context: SignInContext,
    stored: "StoredGrant",
    resource: str,
    now: Callable[[], datetime],
) -> Got:
    row, granted = stored.row, None
    grant = Grant(account=row.account, scopes=row.scopes, secret=stored.secret, idle_until=row.idle_until)
    is_new = row.refreshed is None and not row.scopes
    if sign_in.kind in NO_PERSON and (is_new or not sign_in.scopes <= row.scopes):
        grant = granted = await _granted(sign_in, context, now)
    done = await sign_in.refresh(context, grant, resource)
    left = (done.token.expires_at - now()).total_seconds()
    checked_token(done.token.value.reveal(), left, now=now())
    return Got(done.token, done.grant or granted)


async def _granted(sign_in: SignIn, context: SignInContext, now: Callable[[], datetime]) -> Grant:
    """The grant of an application itself: nobody is asked, so it is begun and finished at once."""
    attempt = Attempt(redirect_uri="", hint="", state=new_state(), verifier=new_verifier())
    step = await sign_in.begin(context, attempt)
    done = await sign_in.finish(context, replace(attempt, private=step.private), {})
    if isinstance(done, Step):
        raise NotSent(problem("OAUTH-TEMPORARY", step="sign-in", retry_at=now() + AGAIN))
    return done


def concerning(found: Problem, client: str) -> Problem:
    """``found``, naming the client where it concerns one and does not say which."""
    if found.scope is not Scope.CLIENT or found.params.get("client"):
        return found
    return found.with_(params={**found.params, "client": client})
