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

    counts: Counter[Outcome] = field(default_factory=Counter)
    waiting_until: datetime | None = None

    def progress(self) -> Progress:
        """The counts at this moment."""
        counts = self.counts
        return Progress(
            done=counts.total(),
            accepted=counts[Outcome.ACCEPTED],
            refused=counts[Outcome.REFUSED],
            not_sent=counts[Outcome.NOT_SENT],
            held=counts[Outcome.HELD],
            unknown=counts[Outcome.UNKNOWN],
            waiting_until=self.waiting_until,
        )
