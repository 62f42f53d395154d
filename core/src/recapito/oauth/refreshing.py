"""Asking a sign-in for a token: in bounded time, checked, and every failure as one of our own errors."""

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from recapito.catalogue import problem
from recapito.errors import DeliveryError, Held, Misconfigured, NotSent, RecapitoError
from recapito.oauth.holder import Holder
from recapito.oauth.pkce import new_state, new_verifier
from recapito.oauth.token import checked_token
from recapito.problem import Problem, Scope
from recapito.signin import Attempt, Grant, SignIn, SignInContext, Step, Token

__all__ = ["NO_PERSON", "Got", "concerning", "refresh"]

log = logging.getLogger("recapito.oauth.vault")

#: The kinds of sign-in in which no person takes part: their grant is had when it is needed.
NO_PERSON = frozenset({"app", "service-account"})
# Seconds until a sign-in service that did not answer in time is asked again.
_AGAIN = 60


@dataclass(frozen=True, slots=True)
class Got:
    """A token, and the grant where it is new or has changed."""

    token: Token
    grant: Grant | None


async def refresh(holder: Holder, sign_in: SignIn, grant: Grant, resource: str, within: float) -> Got:
    """A new token for ``resource`` within so many seconds. Raises Held and NotSent, naming the client at fault."""
    context = holder.context()
    try:
        async with asyncio.timeout(within):
            return await _asked(sign_in, context, grant, resource)
    except (Held, NotSent) as exc:
        error: DeliveryError = type(exc)(concerning(exc.problem, sign_in.client))
    except DeliveryError as exc:  # no content has left: whatever a plugin calls it
        found = concerning(exc.problem, sign_in.client).with_(outcome=NotSent.outcome)
        error = NotSent(found)
    except Misconfigured as exc:
        error = Held(exc.problem)
    except TimeoutError:
        error = NotSent(problem("OAUTH-TEMPORARY", step="sign-in", retry_at=_later()))
    except RecapitoError as exc:
        error = NotSent(exc.problem.with_(outcome=NotSent.outcome))
    except (Exception, SystemExit) as exc:
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


async def _asked(sign_in: SignIn, context: SignInContext, grant: Grant, resource: str) -> Got:
    granted = None
    if sign_in.kind in NO_PERSON and not sign_in.scopes <= grant.scopes:
        grant = granted = await _granted(sign_in, context)
    done = await sign_in.refresh(context, grant, resource)
    left = (done.token.expires_at - datetime.now(UTC)).total_seconds()
    checked_token(done.token.value.reveal(), left)
    return Got(done.token, done.grant or granted)


async def _granted(sign_in: SignIn, context: SignInContext) -> Grant:
    """The grant of an application itself: nobody is asked, so it is begun and finished at once."""
    attempt = Attempt(redirect_uri="", hint="", state=new_state(), verifier=new_verifier())
    step = await sign_in.begin(context, attempt)
    done = await sign_in.finish(context, replace(attempt, private=step.private), {})
    if isinstance(done, Step):
        raise NotSent(problem("OAUTH-TEMPORARY", step="sign-in", retry_at=_later()))
    return done


def concerning(found: Problem, client: str) -> Problem:
    """``found``, naming the client where it concerns one and does not say which."""
    if found.scope is not Scope.CLIENT or "client" in found.params:
        return found
    return found.with_(params={**found.params, "client": client})


def _later() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=_AGAIN)
