"""What an earlier run of ``send-many`` has done already, by the journal: only what was not accepted is sent."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recapito.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from recapito.cli.many_list import Letter
    from recapito.ledger.journal import JournalRow
    from recapito.profile import ProfileKey
    from recapito.store import Store

__all__ = ["Left", "what_is_left"]


@dataclass(slots=True)
class Left:
    """The messages of a list by what is to be done with them.

    ``send`` has each with those recipients who are left; ``accepted`` those who all were before; ``unknown`` and
    ``under_way`` those that must not be repeated unasked, with the recipients it is about.
    """

    send: "list[tuple[Letter, tuple[str, ...]]]" = field(default_factory=list)
    accepted: "list[Letter]" = field(default_factory=list)
    unknown: "list[tuple[Letter, tuple[str, ...]]]" = field(default_factory=list)
    under_way: "list[tuple[Letter, tuple[str, ...]]]" = field(default_factory=list)


def what_is_left(
    store: "Store", key: "ProfileKey", letters: "Sequence[Letter]", *, again: bool = False
) -> Left:
    """Compare ``letters`` with the journal; ``again`` sends what is unknown all the same."""
    from recapito.ledger.journal import Journal

    before = Journal(store).by_reference(key, (letter.reference for letter in letters))
    left = Left()
    for letter in letters:
        rows = before.get(letter.reference, ())
        known = {address: _state(address, rows) for address in letter.recipients}
        unknown = () if again else _those(known, Outcome.UNKNOWN)
        under_way = _those(known, _UNDER_WAY)
        done = _those(known, Outcome.ACCEPTED)
        to = tuple(each for each in letter.recipients if each not in {*unknown, *under_way, *done})
        if unknown:
            left.unknown.append((letter, unknown))
        if under_way:
            left.under_way.append((letter, under_way))
        if to:
            left.send.append((letter, to))
        elif len(done) == len(letter.recipients):
            left.accepted.append(letter)
    return left


#: In the place of an outcome: another process is sending it at this moment.
_UNDER_WAY = "under way"


def _those(known: "dict[str, Outcome | str | None]", state: Outcome | str) -> tuple[str, ...]:
    return tuple(address for address, found in known.items() if found == state)


def _state(address: str, rows: "Iterable[JournalRow]") -> Outcome | str | None:
    """What is known of one recipient: accepted once is accepted, unknown once is unknown until then."""
    states = [state for row in rows if (state := _of(address, row)) is not None]
    for strong in (Outcome.ACCEPTED, _UNDER_WAY, Outcome.UNKNOWN):
        if strong in states:
            return strong
    return states[0] if states else None


def _of(address: str, row: "JournalRow") -> Outcome | str | None:
    if row.outcome is None:
        return _UNDER_WAY if address in row.addresses else None
    return next((each.outcome for each in row.recipients if each.address == address), None)
