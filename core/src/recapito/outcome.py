"""The five outcomes, and how those of the recipients make that of the message."""

from collections.abc import Iterable
from enum import StrEnum

__all__ = ["Outcome", "combine"]


class Outcome(StrEnum):
    """What became of a message, or of one recipient of it."""

    #: A server took it. Never "delivered": nobody has said so.
    ACCEPTED = "accepted"
    #: For good: this message, or this recipient.
    REFUSED = "refused"
    #: Nothing left: safe to try again, or elsewhere. The only outcome that may be retried by a machine.
    NOT_SENT = "not_sent"
    #: A person must act first: a password, a consent, a tenant's setting.
    HELD = "held"
    #: The content may have left. Never repeated without a rule that says so.
    UNKNOWN = "unknown"


# From the strongest down: one recipient with it decides when they differ. REFUSED is last, since a message
# is refused only when every recipient was.
_PRECEDENCE = (Outcome.UNKNOWN, Outcome.ACCEPTED, Outcome.HELD, Outcome.NOT_SENT, Outcome.REFUSED)


def combine(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome of a message whose recipients had ``outcomes``; ValueError where there is none."""
    given = list(outcomes)
    if given and given.count(given[0]) == len(given):  # nearly always, and enum members are slow to hash
        return given[0]
    present = set(given)
    for outcome in _PRECEDENCE:
        if outcome in present:
            return outcome
    raise ValueError("a message has at least one recipient")
