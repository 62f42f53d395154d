"""What a server offers after EHLO."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from recapito.smtp.reply import Reply

__all__ = ["Extensions"]


@dataclass(frozen=True)
class Extensions:
    """EHLO's lines: the parameters of each keyword (lower case), and the mechanisms of AUTH (upper case)."""

    keywords: Mapping[str, str] = field(default_factory=dict)
    mechanisms: frozenset[str] = frozenset()

    @classmethod
    def of(cls, reply: Reply) -> "Extensions":
        """What ``reply`` to EHLO offers; the old ``AUTH=…`` counts too."""
        from aiosmtplib.esmtp import parse_esmtp_extensions

        keywords, mechanisms = parse_esmtp_extensions("\n".join(reply.lines))
        return cls(keywords, frozenset(name.upper() for name in mechanisms))

    def __contains__(self, keyword: object) -> bool:
        return keyword in self.keywords

    @cached_property
    def size(self) -> int | None:
        """Bytes of the largest message (RFC 1870); None where the server states none."""
        return _number(self.keywords.get("size", "")) or None

    @cached_property
    def recipients(self) -> int | None:
        """Recipients that one transaction takes (RFC 9422, RCPTMAX); None where the server states none."""
        return self._limit("RCPTMAX")

    @cached_property
    def transactions(self) -> int | None:
        """Transactions that one line takes (RFC 9422, MAILMAX); None where the server states none."""
        return self._limit("MAILMAX")

    @cached_property
    def domains(self) -> int | None:
        """Different domains of recipients that one line takes (RFC 9422, RCPTDOMAINMAX); None: none is stated."""
        return self._limit("RCPTDOMAINMAX")

    def _limit(self, wanted: str) -> int | None:
        for limit in self.keywords.get("limits", "").split():
            name, _, value = limit.partition("=")
            if name.upper() == wanted:
                return _number(value) or None
        return None


def _number(text: str) -> int:
    digits = text.partition(" ")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else 0
