"""What can be raised.

RecapitoError
├── InvalidMessage       the message cannot be sent as it is; nothing was tried
├── Misconfigured        a profile, setting, key or database does not fit; nothing was tried
│   └── NotFound         no such profile, client, transport or code
└── DeliveryError        nobody accepted the message; has .receipt and .problem
    ├── Refused          for good
    ├── NotSent          safe to try again
    ├── Held             a person must act first
    └── UnknownOutcome   the content may have left
"""

from typing import ClassVar, Self

from recapito.outcome import Outcome
from recapito.problem import Problem
from recapito.receipt import Receipt

__all__ = [
    "DeliveryError",
    "Held",
    "InvalidMessage",
    "Misconfigured",
    "NotFound",
    "NotSent",
    "RecapitoError",
    "Refused",
    "UnknownOutcome",
    "delivery_error",
]


class RecapitoError(Exception):
    """The root. ``problem`` explains it in the viewer's language; ``str()`` names culprit and remedy."""

    def __init__(self, problem: Problem, /) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return str(self.problem)


class InvalidMessage(RecapitoError, ValueError):
    """Raised before the wire: an address, header, attachment or size that cannot be sent."""


class Misconfigured(RecapitoError):
    """Raised before the wire: settings, keys, database or plugins do not fit together.

    ``fields`` has a line for each wrong field, by name, where settings did not validate.
    """

    def __init__(self, problem: Problem, /, fields: dict[str, str] | None = None) -> None:
        super().__init__(problem)
        self.fields = fields or {}


class NotFound(Misconfigured, LookupError):
    """Raised where a profile, client, transport, provider or code of that name does not exist."""


class DeliveryError(RecapitoError):
    """Nobody accepted the message.

    A session raises it with the problem, and with a receipt where recipients had replies of their own; the mailer
    completes the receipt before the caller sees it.
    """

    outcome: ClassVar[Outcome]

    def __init__(self, problem: Problem, /, receipt: Receipt | None = None) -> None:
        super().__init__(problem)
        self._receipt = receipt

    @property
    def carried(self) -> Receipt | None:
        """The receipt that the session gave it; None where the problem is every recipient's."""
        return self._receipt

    @property
    def receipt(self) -> Receipt:
        """What became of each recipient."""
        if self._receipt is None:
            raise AttributeError("the receipt is added by the mailer; a session's error has only its problem")
        return self._receipt

    def with_receipt(self, receipt: Receipt) -> Self:
        """This error, carrying ``receipt``."""
        self._receipt = receipt
        return self


class Refused(DeliveryError):
    """For good: sending the same message again will be refused again.

    A hook that refuses a message may give its reason as plain text: ``raise Refused("no order number")``.
    """

    outcome = Outcome.REFUSED

    def __init__(self, problem: Problem | str, /, receipt: Receipt | None = None) -> None:
        if isinstance(problem, str):
            problem = Problem("HOOK-REFUSED", Outcome.REFUSED, params={"reason": problem})
        super().__init__(problem, receipt)


class NotSent(DeliveryError):
    """Nothing left: safe to try again (not before ``problem.retry_at``, where there is one)."""

    outcome = Outcome.NOT_SENT


class Held(DeliveryError):
    """A person must act first; ``problem.who`` says who."""

    outcome = Outcome.HELD


class UnknownOutcome(DeliveryError):
    """The content may have left: check before sending it again."""

    outcome = Outcome.UNKNOWN


_BY_OUTCOME: dict[Outcome, type[DeliveryError]] = {
    kind.outcome: kind for kind in (Refused, NotSent, Held, UnknownOutcome)
}


def delivery_error(problem: Problem, receipt: Receipt | None = None) -> DeliveryError:
    """The error for a problem's outcome (for a receipt's, where one is given)."""
    outcome = receipt.outcome if receipt else problem.outcome
    return _BY_OUTCOME[outcome](problem, receipt)
