"""The objects that ``--json`` prints: their names and types are public and only ever grow."""

import time
from typing import TYPE_CHECKING, Any

from recapito.cli.run import Sending
from recapito.cli.words import _, language
from recapito.problem import Problem
from recapito.receipt import Receipt

if TYPE_CHECKING:
    from recapito.operators import Saved

__all__ = ["outcome_words", "problem_data", "receipt_data", "saved_data", "unsent_data"]


def problem_data(problem: Problem | None) -> dict[str, Any] | None:
    """A problem as ``--json`` shows it: its code, the four parts in the language of the run, the server's words."""
    if problem is None:
        return None
    texts = problem.explain(language())
    return {
        "code": problem.code,
        "what": texts.what,
        "why": texts.why,
        "do": texts.do,
        "who": problem.who.value,
        "reply": problem.reply,
    }


def receipt_data(receipt: Receipt) -> dict[str, Any]:
    """What became of a send."""
    return {
        "outcome": receipt.outcome.value,
        "partial": receipt.partial,
        "reference": receipt.reference,
        "message_id": receipt.message_id or None,
        "provider_id": receipt.provider_id,
        "server_reply": receipt.server_reply,
        "recipients": [
            {"address": row.address, "outcome": row.outcome.value, "reply": row.reply}
            for row in receipt.recipients
        ],
        "problem": problem_data(receipt.problem or _first_problem(receipt)),
        "seconds": round(receipt.seconds, 3),
    }


def unsent_data(problem: Problem, sending: Sending) -> dict[str, Any]:
    """The same object for a message of which no receipt exists: bad input, a missing profile, an interruption."""
    return {
        "outcome": problem.outcome.value,
        "partial": False,
        "reference": sending.reference,
        "message_id": None,
        "provider_id": None,
        "server_reply": problem.reply,
        "recipients": [
            {"address": address, "outcome": problem.outcome.value, "reply": None}
            for address in sending.recipients
        ],
        "problem": problem_data(problem),
        "seconds": round(time.monotonic() - sending.started, 3),
    }


def _first_problem(receipt: Receipt) -> Problem | None:
    return next((row.problem for row in receipt.recipients if row.problem), None)


def outcome_words() -> dict[str, str]:
    """The five outcomes in the language of the run."""
    return {
        "accepted": _("accepted"),
        "refused": _("refused"),
        "not_sent": _("not sent"),
        "held": _("held"),
        "unknown": _("unknown"),
    }


def saved_data(saved: "Saved") -> dict[str, Any]:
    """A profile as it was saved: which fields changed (names, never values of secrets), what the catalogue knew."""
    profile, proposal = saved.found.profile, saved.proposal
    return {
        "company": profile.key.company,
        "operator": profile.key.operator,
        "profile": profile.key.name,
        "created": saved.created,
        "changed": list(saved.fields),
        "sender": profile.sender,
        "transport": profile.transport,
        "settings": dict(profile.settings),
        "secrets": sorted(saved.found.secrets),
        "provider": proposal and proposal.provider.id,
        "filled": list(proposal.filled) if proposal else [],
        "source": proposal.endpoint.source if proposal and proposal.endpoint else None,
    }
