"""What the demo comes back with: each send, and what the comparison of what arrived with what was sent found."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from recapito.demo.cast import Actor

if TYPE_CHECKING:
    from recapito.receipt import Receipt
    from recapito.signing import SignedIn

__all__ = ["Performance", "Played", "Revoked"]


@dataclass(slots=True)
class Played:
    """One actor's send: the receipt, and what the comparison found (None where nothing arrived)."""

    actor: Actor
    receipt: "Receipt"
    file: Path | None = None
    same_bytes: bool | None = None
    same_pdf: bool | None = None


@dataclass(slots=True)
class Revoked:
    """What happens when a grant is taken back: ``found`` by the first send, ``known`` at the second, ``again`` the
    send after a new sign-in.

    ``notices`` counts how often a person was asked for, ``requests`` how often the vendor was asked for the second
    send.
    """

    found: Played
    known: Played
    again: Played
    notices: int
    requests: int

    @property
    def as_expected(self) -> bool:
        """Whether it was held, nobody was bothered twice, and the new sign-in mended it."""
        outcomes = [each.receipt.outcome.value for each in (self.found, self.known, self.again)]
        arrived = self.again.same_bytes and self.again.same_pdf
        return (
            outcomes == ["held", "held", "accepted"]
            and (self.notices, self.requests) == (1, 0)
            and bool(arrived)
        )


@dataclass(slots=True)
class Performance:
    """The whole demo: where everything lies, the servers, who signed in, each actor's send, and the last act."""

    folder: Path
    servers: dict[str, str] = field(default_factory=dict)
    signed_in: "list[SignedIn]" = field(default_factory=list)
    played: list[Played] = field(default_factory=list)
    revoked: Revoked | None = None
    seconds: float = 0.0

    @property
    def arrived(self) -> list[Played]:
        """The sends whose message arrived."""
        return [each for each in self.played if each.file]

    @property
    def as_expected(self) -> bool:
        """Whether exactly those with the right password were accepted, and what arrived is what was sent."""
        last = self.revoked is not None and self.revoked.as_expected
        return last and all(
            (each.receipt.outcome == "accepted") == (each.actor.typed == each.actor.password)
            and (each.same_bytes and each.same_pdf if each.file else each.receipt.outcome == "held")
            for each in self.played
        )
