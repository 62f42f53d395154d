"""Exit codes: what a script may rely on."""

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recapito.errors import RecapitoError
    from recapito.outcome import Outcome
    from recapito.receipt import Receipt

__all__ = ["Exit", "exit_for_error", "exit_for_outcome", "exit_for_receipt"]


class Exit(IntEnum):
    """What the process ends with."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    #: A profile, transport, key or database is not configured or does not exist.
    NOT_CONFIGURED = 3
    #: A sign-in or another act of a person is needed.
    HELD = 4
    #: Nothing left: it may be tried again.
    NOT_SENT = 5
    #: For good.
    REFUSED = 6
    #: Some recipients, rows or operators, not all.
    PARTLY = 7
    #: The content may have left.
    UNKNOWN = 8
    INTERRUPTED = 130


def exit_for_outcome(outcome: "Outcome") -> Exit:
    """The exit code of one of the five outcomes."""
    return Exit.DONE if outcome == "accepted" else Exit[outcome.name]


def exit_for_receipt(receipt: "Receipt") -> Exit:
    """The exit code of a send: PARTLY where some recipients were accepted and others were not."""
    return Exit.PARTLY if receipt.partial else exit_for_outcome(receipt.outcome)


def exit_for_error(error: "RecapitoError") -> Exit:
    """The exit code of what was raised."""
    from recapito.errors import DeliveryError, InvalidMessage, Misconfigured

    if isinstance(error, Misconfigured):
        return Exit.NOT_CONFIGURED
    if isinstance(error, InvalidMessage):
        return Exit.REFUSED
    if isinstance(error, DeliveryError):
        return exit_for_outcome(error.outcome)
    return Exit.FAILED
