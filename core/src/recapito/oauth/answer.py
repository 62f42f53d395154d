"""What a server answered over HTTP."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from recapito.problem import REPLY_LIMIT, clean_reply

__all__ = ["Answer"]

# A server that names a later moment than this is not believed: no limit of a mail provider lasts longer.
_LONGEST_WAIT = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (by lower-case name) and body of one answer. Its repr shows the status only.

    ``whole`` is False where the body is not all there: it was cut, longer than the cap, came too slowly, or was
    compressed, which nobody asked for. ``complete`` is False where the answer came before the whole request had
    left.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    whole: bool = True
    complete: bool = True

    def json(self) -> dict[str, Any] | None:
        """The JSON object in the body; None where there is none."""
        if not self.whole:
            return None
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    @property
    def text(self) -> str:
        """The body as short plain text; empty where it is a page for browsers."""
        if "html" in self.headers.get("content-type", "").lower() or self.body.lstrip()[:1] == b"<":
            return ""
        return clean_reply(self.body[: REPLY_LIMIT * 4].decode("utf-8", "replace"))

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait (RFC 9110 §10.2.3), at most a day; None where it does not."""
        said = self.headers.get("retry-after", "").strip()
        if said.isascii() and said.isdigit():
            return min(float(said[:9]), _LONGEST_WAIT)
        from email.utils import parsedate_to_datetime

        with suppress(ValueError, TypeError, OverflowError):
            moment = parsedate_to_datetime(said)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), _LONGEST_WAIT)
        return None
