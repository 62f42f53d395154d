"""How far a batch has come."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from recapito.outcome import Outcome

__all__ = ["Progress", "Tally"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Messages of which the outcome is known, in all and by outcome.

    ``waiting_until`` is when a limit of the mailbox lets the next one go, while that is waited for.
    """

    done: int = 0
    accepted: int = 0
    refused: int = 0
    not_sent: int = 0
    held: int = 0
    unknown: int = 0
    waiting_until: datetime | None = None


@dataclass(slots=True)
class Tally:
    """Counts while the batch goes on."""

    #: By the outcome's value: enum members are slow to hash.
    counts: Counter[str] = field(default_factory=Counter)
    done: int = 0
    waiting_until: datetime | None = None
    _waiting: int = 0

    def add(self, outcome: Outcome) -> None:
        """One more message of which it is known what became of it."""
        self.done += 1
        self.counts[outcome._value_] += 1

    def waits(self, until: datetime | None) -> None:
        """One of the messages waits for a limit, or no longer."""
        self._waiting += 1 if until else -1
        if until is None and self._waiting:
            return
        self.waiting_until = until

    def progress(self) -> Progress:
        """The counts at this moment."""
        counts = self.counts
        return Progress(
            done=self.done,
            accepted=counts[Outcome.ACCEPTED.value],
            refused=counts[Outcome.REFUSED.value],
            not_sent=counts[Outcome.NOT_SENT.value],
            held=counts[Outcome.HELD.value],
            unknown=counts[Outcome.UNKNOWN.value],
            waiting_until=self.waiting_until,
        )
