"""What the journal keeps of one direct send, and how it is written in a row: no content, no subject."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from recapito.catalogue import problem
from recapito.ledger.process import has_gone
from recapito.outcome import Outcome
from recapito.problem import Problem
from recapito.profile import ProfileKey
from recapito.receipt import Receipt, RecipientReceipt
from recapito.store.names import storable

__all__ = ["JournalEntry", "JournalRow", "intent_values", "outcome_values", "row_id", "row_of", "time_prefix"]

_PLAIN = re.compile(r"[A-Za-z0-9@._+-]*")

#: How long after its deadline a send may still be writing down what became of it.
_GRACE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One direct send that is about to happen. ``id`` is new for each; ``deadline`` is when it ends at the latest."""

    id: str
    key: ProfileKey
    transport: str
    reference: str | None
    message_id: str
    recipients: tuple[str, ...]
    size: int | None
    started: datetime
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One direct send as the journal has it. ``outcome`` is None while it is under way.

    A send that was cut off (its process is gone, or its deadline is over) reads as unknown.
    """

    id: str
    key: ProfileKey
    transport: str
    reference: str | None
    message_id: str
    size: int | None
    started: datetime
    deadline: datetime | None
    ended: datetime | None
    outcome: Outcome | None
    recipients: tuple[RecipientReceipt, ...]
    addresses: tuple[str, ...]
    server_reply: str | None = None
    provider_id: str | None = None
    problem: Problem | None = None
    seconds: float | None = None


def row_id(entry_id: str, started: datetime) -> str:
    """The key of an entry's row: in the order of time, so that new rows come after old ones."""
    return f"{time_prefix(started)}-{entry_id}"


def time_prefix(moment: datetime) -> str:
    """What the keys of rows that began at ``moment`` begin with."""
    return f"{int(moment.timestamp() * 1_000_000):014x}"


def intent_values(entry: JournalEntry, process: str) -> tuple[Any, ...]:
    """The row before the send, in the order of the journal's columns."""
    return (
        row_id(entry.id, entry.started),
        *map(storable, entry.key),
        entry.transport,
        None if entry.reference is None else storable(entry.reference),
        storable(entry.message_id),
        _listed(entry.recipients),
        entry.size,
        entry.started.timestamp(),
        entry.deadline.timestamp() if entry.deadline else None,
        process,
    )


def _listed(addresses: tuple[str, ...]) -> str:
    """As ``json.dumps``, which is slow to begin: most messages have one recipient, in plain letters."""
    if len(addresses) == 1 and _PLAIN.fullmatch(addresses[0]):
        return f'["{addresses[0]}"]'
    return json.dumps(addresses)


def outcome_values(row: str, receipt: Receipt) -> tuple[Any, ...]:
    """What the send became: ended, outcome, result and the row's key."""
    result: dict[str, Any] = {"seconds": round(receipt.seconds, 6)}
    if receipt.server_reply is not None:
        result["reply"] = receipt.server_reply
    if receipt.provider_id is not None:
        result["provider_id"] = receipt.provider_id
    if receipt.problem is not None:
        result["problem"] = receipt.problem.to_dict()
    first = receipt.recipients[0]
    if len(receipt.recipients) == 1 or all(_alike(row, first) for row in receipt.recipients):
        result["all"] = _told(first)
    else:
        result["each"] = [[row.address, *_told(row)] for row in receipt.recipients]
    ended = receipt.ended or datetime.now(UTC)
    return ended.timestamp(), receipt.outcome.value, json.dumps(result), row


def row_of(row: Any, now: datetime) -> JournalRow:
    """A row of the table, read."""
    addresses = tuple(json.loads(row.recipients))
    result = json.loads(row.result) if row.result else {}
    outcome, deadline = Outcome(row.outcome) if row.outcome else None, _moment(row.deadline)
    given = Problem.from_dict(result["problem"]) if "problem" in result else None
    if outcome is None and (has_gone(row.process) or (deadline is not None and deadline + _GRACE < now)):
        outcome, given = Outcome.UNKNOWN, problem("UNCERTAIN")
    return JournalRow(
        id=row.id.partition("-")[2],
        key=ProfileKey(row.company, row.operator, row.name),
        transport=row.transport,
        reference=row.reference,
        message_id=row.message_id,
        size=row.size,
        started=datetime.fromtimestamp(row.started, UTC),
        deadline=deadline,
        ended=_moment(row.ended),
        outcome=outcome,
        recipients=_recipients(addresses, result, outcome, given),
        addresses=addresses,
        server_reply=result.get("reply"),
        provider_id=result.get("provider_id"),
        problem=given,
        seconds=result.get("seconds"),
    )


def _recipients(
    addresses: tuple[str, ...], result: dict[str, Any], outcome: Outcome | None, given: Problem | None
) -> tuple[RecipientReceipt, ...]:
    if "each" in result:
        return tuple(_read(address, told) for address, *told in result["each"])
    if "all" in result:
        return tuple(_read(address, result["all"]) for address in addresses)
    if outcome is None:
        return ()
    return tuple(RecipientReceipt(address, outcome, None, given) for address in addresses)


def _told(row: RecipientReceipt) -> list[Any]:
    return [row.outcome.value, row.reply, row.problem.to_dict() if row.problem else None]


def _read(address: str, told: list[Any]) -> RecipientReceipt:
    outcome, reply, given = told
    return RecipientReceipt(address, Outcome(outcome), reply, Problem.from_dict(given) if given else None)


def _alike(row: RecipientReceipt, first: RecipientReceipt) -> bool:
    return row.outcome is first.outcome and row.reply == first.reply and row.problem == first.problem


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
