"""What is behind the answer of a token endpoint, or behind none: OAuth's ``error`` decides."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from recapito.catalogue import problem
from recapito.errors import DeliveryError, delivery_error
from recapito.oauth.answer import Answer
from recapito.oauth.failure import HttpFailure
from recapito.outcome import Outcome
from recapito.problem import Problem
from recapito.redaction import Mask
from recapito.reply import ServerReply
from recapito.secret import Secret

if TYPE_CHECKING:
    from recapito.signin import SignInContext

__all__ = ["Explaining", "explained", "masked", "never_unknown", "of_failure"]

#: Characters of a secret that is masked: a shorter one is part of any text.
_SHORTEST = 4
_TEMPORARY = (408, 425, 429)
_REFUSAL, _SERVER, _GATEWAY_TIMEOUT = 400, 500, 504
_TEXT, _KEY = 2000, 100


class Explaining(Protocol):
    """What both a transport and a sign-in are given: somebody who knows what replies mean."""

    def explain(self, reply: ServerReply) -> Problem:
        """The problem behind a reply."""
        ...


def explained(
    context: "SignInContext",
    said: Answer | HttpFailure,
    host: str,
    client: str,
    *,
    hidden: Iterable[Secret] = (),
) -> DeliveryError:
    """The error behind ``said``, an answer that gives nothing or none at all; never *unknown*.

    OAuth's ``error`` decides (RFC 6749 §5.2), AADSTS numbers and the text refine it. What is no answer of a
    token endpoint (empty, cut, HTML, too large, a redirect) is NotSent: OAUTH-TEMPORARY where its status says so,
    else OAUTH-ANSWER. ``client`` is the registration's name; the words that are kept show neither its secrets
    nor ``hidden``.
    """
    if isinstance(said, HttpFailure):
        found = of_failure(context, said, host)
    else:
        found = _of_answer(context, said, host, masked(context.client.secrets.values(), hidden))
    return delivery_error(never_unknown(found.with_(params={**found.params, "client": client})))


def of_failure(context: "Explaining", failure: HttpFailure, host: str, step: str = "sign-in") -> Problem:
    """The problem behind a request without an answer. A name that is not found is a passing failure: it was once."""
    if failure.via == "http":
        return problem("OAUTH-ANSWER", step=step, host=host)
    if failure.kind == "timeout" and not failure.step:
        # It was reached, and is slow: as good as a proxy that says so.
        slow = ServerReply("oauth", _GATEWAY_TIMEOUT, step=step, host=host, credential="token")
        return context.explain(slow)
    reply = ServerReply(
        failure.via,
        text=failure.text,
        error=failure.kind,
        step=failure.step or step,
        host=host,
        credential="token",
        params={"worked": 1},
    )
    return context.explain(reply)


def masked(*secrets: Iterable[Secret]) -> Mask:
    """What hides all of these in a text."""
    return Mask([each for some in secrets for each in some if len(each.reveal()) >= _SHORTEST])


def never_unknown(found: Problem) -> Problem:
    """``found`` where nothing of a message can have left."""
    if found.outcome in (Outcome.UNKNOWN, Outcome.ACCEPTED):
        return found.with_(outcome=Outcome.NOT_SENT)
    return found


def _of_answer(context: "SignInContext", answer: Answer, host: str, mask: Mask) -> Problem:
    data = answer.json() or {}
    error = data.get("error")
    if not isinstance(error, str) or not error:
        if answer.status not in _TEMPORARY and answer.status < _SERVER:
            # What was to be a token may be in the body of a success: only refusals are quoted.
            words = mask(answer.text) if answer.status >= _REFUSAL else ""
            return problem("OAUTH-ANSWER", step="sign-in", host=host, reply=words or None)
        error = ""
    text = _words(data) if error else answer.text
    return context.explain(
        ServerReply(
            "oauth",
            answer.status,
            mask(text[:_TEXT]),
            error=mask(error[:_KEY]),
            step="sign-in",
            host=host,
            credential="token",
            retry_after=answer.retry_after,
        )
    )


def _words(data: Mapping[str, Any]) -> str:
    """The description; Google's subtype and Microsoft's suberror go before it, since rules look for them."""
    parts = (data.get("error_subtype"), data.get("suberror"), data.get("error_description"))
    return " ".join(part for part in parts if isinstance(part, str) and part)
