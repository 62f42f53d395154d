"""What an HTTPS server of the kit is told to do instead of answering."""

from dataclasses import dataclass
from typing import Literal

from recapito.testing.https_asked import Asked, Said

__all__ = ["Fault", "How"]

#: ``answer``: says something else. ``unread``: ends the line before the body was read. ``lost``: reads it whole,
#: does what was asked, and ends the line without a word. ``cut``: ends it in the middle of the answer. ``drip``:
#: a byte of the answer every 50 ms. ``silence``: reads, and never answers.
How = Literal["answer", "unread", "lost", "cut", "drip", "silence"]


@dataclass(slots=True)
class Fault:
    """Applies ``times`` times (None: for good) to requests whose path begins with ``path`` and ends with ``ending``."""

    path: str
    method: str = ""
    how: How = "answer"
    said: Said | None = None
    times: int | None = 1
    ending: str = ""

    def applies(self, asked: Asked) -> bool:
        """Whether it is this request's turn."""
        if self.times == 0 or not (asked.path.startswith(self.path) and asked.path.endswith(self.ending)):
            return False
        return not self.method or self.method == asked.method

    def use(self) -> None:
        """Count one use."""
        if self.times is not None:
            self.times -= 1
