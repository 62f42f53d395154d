"""When a server that has had enough takes mail again."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo

__all__ = ["Retry"]


@dataclass(frozen=True, slots=True)
class Retry:
    """After ``seconds``; with ``midnight``, at the next midnight of that time zone instead."""

    seconds: float = 0.0
    midnight: str = ""

    def moment(self, now: datetime, asked: float | None = None) -> datetime:
        """The moment after ``now`` (aware); the seconds that the server ``asked`` for win."""
        if asked is not None:
            return now + timedelta(seconds=max(0.0, asked))
        if not self.midnight:
            return now + timedelta(seconds=self.seconds)
        local = now.astimezone(_zone(self.midnight))
        tomorrow = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        return tomorrow.astimezone(UTC)


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        # A container without time zones: Italian winter time is at most an hour late, and never early.
        return timezone(timedelta(hours=1))
