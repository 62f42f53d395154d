"""What became of one message."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from recapito.outcome import Outcome, combine
from recapito.problem import Problem
from recapito.profile import ProfileKey

__all__ = ["Receipt", "RecipientReceipt"]


@dataclass(frozen=True, slots=True)
class RecipientReceipt:
    """What became of one recipient: the server's reply about them, and the problem if there was one."""

    address: str
    outcome: Outcome
    reply: str | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one message: an outcome for each recipient, and the server's own words.

    A session fills ``recipients``, ``server_reply``, ``provider_id``, ``problem``, and ``transactions`` where
    there was not one (the server counts each as a message); the mailer adds the rest. ``seconds`` is the time the
    whole send took, waiting for a permit included.
    """

    recipients: tuple[RecipientReceipt, ...]
    server_reply: str | None = None
    provider_id: str | None = None
    problem: Problem | None = None
    message_id: str = ""
    reference: str | None = None
    profile: ProfileKey | None = None
    transport: str = ""
    seconds: float = 0.0
    ended: datetime | None = None
    transactions: int = 1

    @classmethod
    def for_all(
        cls,
        addresses: tuple[str, ...],
        outcome: Outcome,
        *,
        reply: str | None = None,
        problem: Problem | None = None,
        provider_id: str | None = None,
    ) -> Self:
        """A receipt whose recipients all had one outcome."""
        rows = tuple(RecipientReceipt(address, outcome, reply, problem) for address in addresses)
        return cls(rows, server_reply=reply, provider_id=provider_id, problem=problem)

    @property
    def outcome(self) -> Outcome:
        """The message's outcome, from its recipients' (:func:`recapito.outcome.combine`)."""
        if len(self.recipients) == 1:
            return self.recipients[0].outcome
        return combine(row.outcome for row in self.recipients)

    @property
    def partial(self) -> bool:
        """True where some recipients were accepted and others were not."""
        return self.outcome is Outcome.ACCEPTED and any(
            row.outcome is not Outcome.ACCEPTED for row in self.recipients
        )

    @property
    def accepted(self) -> tuple[str, ...]:
        """The addresses that a server accepted."""
        return tuple(row.address for row in self.recipients if row.outcome is Outcome.ACCEPTED)

    @property
    def retry_at(self) -> datetime | None:
        """When the server, or a limit, allows another try; None where nobody said."""
        return self.problem.retry_at if self.problem else None

    def with_(self, **changes: Any) -> Self:
        """A copy with ``changes``."""
        return replace(self, **changes)
