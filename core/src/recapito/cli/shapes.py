"""The objects that ``--json`` prints: their names and types are public and only ever grow."""

import time
from typing import TYPE_CHECKING, Any

from recapito.cli.about import fitted, spelled
from recapito.cli.run import Sending
from recapito.cli.words import _, language
from recapito.problem import Problem
from recapito.receipt import Receipt

if TYPE_CHECKING:
    from datetime import datetime

    from recapito.operators import Saved
    from recapito.profile import ProfileKey
    from recapito.store import State

__all__ = ["outcome_words", "paused_lines", "problem_data", "receipt_data", "saved_data", "unsent_data"]


def problem_data(problem: Problem | None) -> dict[str, Any] | None:
    """A problem as ``--json`` shows it: its code, the four parts in the language of the run, the server's words."""
    if problem is None:
        return None
    texts = fitted(problem).explain(language())
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


def paused_lines(
    key: "ProfileKey", state: "State", began: "datetime | None" = None, *, wants_sign_in: bool = False
) -> list[str]:
    """That the profile is paused since when, and how it sends again; nothing where it is not paused.

    ``began`` is when a send began: one that found the profile paused has tried nothing, and the problem is old.
    ``wants_sign_in`` says that signing in is what mends it.
    """
    from recapito.aftermath import MAILER

    if not state.paused:
        return []
    since = f"{state.since.astimezone():%Y-%m-%d %H:%M}" if state.since else "?"
    own = (
        state.by == MAILER
    )  # only then a check that passes resumes it: a person's pause is a person's to end
    if began is not None and state.since is not None and state.since >= began:
        text = _("{profile} is paused from now on.")
    elif began is None or not own:
        text = _("{profile} is paused since {since}.")
    else:
        text = _(
            "{profile} is paused since {since}: nothing was tried now, and the problem is the one of then."
        )
    if own and wants_sign_in:
        remedy = _("To let it send again: recapito auth login {arguments}")
        return [text.format(profile=key, since=since), remedy.format(arguments=spelled(key))]
    remedy = (
        _(
            "Once it is solved: recapito check {arguments} (which resumes it), or recapito profile resume {arguments}"
        )
        if own
        else _("To let it send again: recapito profile resume {arguments}")
    )
    return [text.format(profile=key, since=since), remedy.format(arguments=spelled(key))]


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
