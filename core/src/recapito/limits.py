"""What a mailbox may send, and how fast."""

from dataclasses import dataclass
from typing import Any, Literal, Self

__all__ = ["Limits", "Rate"]


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``maximum`` messages, or recipients, in any ``window`` seconds."""

    maximum: int
    window: float
    of: Literal["messages", "recipients"] = "messages"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one mailbox. None, and an empty ``rates``, mean no limit is known."""

    #: Sessions open at once; for a transport over HTTP, whose session takes several, requests at once.
    concurrency: int | None = None
    rates: tuple[Rate, ...] = ()
    #: Recipients of one transaction; above it SMTP sends several, a header-driven transport refuses.
    recipients_per_message: int | None = None
    #: Bytes of one message, as it leaves.
    size: int | None = None

    def lowered_by(self, other: "Limits") -> "Limits":
        """The stricter of both in each respect; all rates of both hold."""
        return Limits(
            _least(self.concurrency, other.concurrency),
            tuple(dict.fromkeys(self.rates + other.rates)),
            _least(self.recipients_per_message, other.recipients_per_message),
            _least(self.size, other.size),
        )

    def seconds_for(self, messages: int, recipients: int) -> float:
        """How long the rates make so many ``messages`` take at least, however quick line and server are."""
        amounts = {"messages": messages, "recipients": recipients}
        waits = (-(-amounts[rate.of] // rate.maximum) - 1 for rate in self.rates if rate.maximum)
        windows = (rate.window for rate in self.rates if rate.maximum)
        return max((wait * window for wait, window in zip(waits, windows, strict=True)), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only, without what is not limited."""
        stored = {
            "concurrency": self.concurrency,
            "rates": [[rate.maximum, rate.window, rate.of] for rate in self.rates],
            "recipients_per_message": self.recipients_per_message,
            "size": self.size,
        }
        return {name: value for name, value in stored.items() if value}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """The limits that :meth:`to_dict` wrote."""
        fields = dict(stored)
        return cls(rates=tuple(Rate(*row) for row in fields.pop("rates", ())), **fields)


def _least(one: int | None, other: int | None) -> int | None:
    return min((value for value in (one, other) if value is not None), default=None)
