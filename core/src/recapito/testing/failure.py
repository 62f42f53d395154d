"""What a send is told to meet: an error, a problem for some recipients, or a receipt made beforehand."""

from collections.abc import Mapping
from typing import TypeAlias

from recapito.envelope import Envelope
from recapito.errors import DeliveryError, delivery_error
from recapito.outcome import Outcome
from recapito.problem import Problem
from recapito.receipt import Receipt, RecipientReceipt

__all__ = ["Failure", "problem_for", "settle", "taken"]

#: What a send meets: an error for all recipients, or a problem for each of those named (the others are
#: accepted), or a receipt that is handed back as it is. None: accepted.
Failure: TypeAlias = DeliveryError | Mapping[str, Problem] | Receipt | None


def settle(envelope: Envelope, failure: Failure, *, identity: str) -> Receipt:
    """The receipt of a send that met ``failure``; raises where one outcome other than accepted covers all."""
    if isinstance(failure, DeliveryError):
        raise type(failure)(failure.problem)
    if isinstance(failure, Receipt):
        return failure
    problems = failure or {}
    reply = f"250 2.0.0 Ok: kept as {identity}"
    rows = tuple(_row(address, problems.get(address), reply) for address in envelope.recipients)
    first = next((row.problem for row in rows if row.problem), None)
    outcomes = {row.outcome for row in rows}
    if first is not None and len(outcomes) == 1:
        raise delivery_error(first)
    accepted = Outcome.ACCEPTED in outcomes
    return Receipt(rows, reply if accepted else None, identity if accepted else None, first)


def taken(envelope: Envelope, failure: Failure) -> tuple[str, ...]:
    """The recipients that a send that met ``failure`` reaches."""
    match failure:
        case DeliveryError():
            return ()
        case Receipt():
            return failure.accepted
        case _:
            return tuple(address for address in envelope.recipients if address not in (failure or {}))


def problem_for(failure: Failure, address: str) -> Problem | None:
    """The problem of one recipient, or None."""
    match failure:
        case None:
            return None
        case DeliveryError() | Receipt():
            return failure.problem
        case _:
            return failure.get(address)


def _row(address: str, problem: Problem | None, reply: str) -> RecipientReceipt:
    if problem is None:
        return RecipientReceipt(address, Outcome.ACCEPTED, reply)
    return RecipientReceipt(address, problem.outcome, problem.reply, problem)
