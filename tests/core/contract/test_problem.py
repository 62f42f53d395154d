"""A problem keeps code, parameters and the server's words; texts come when it is shown."""

from datetime import UTC, datetime

import pytest

from recapito.errors import (
    DeliveryError,
    Held,
    InvalidMessage,
    Misconfigured,
    NotFound,
    NotSent,
    RecapitoError,
    Refused,
    UnknownOutcome,
    delivery_error,
)
from recapito.outcome import Outcome
from recapito.problem import REPLY_LIMIT, Problem, Scope, Who, clean_reply
from recapito.receipt import Receipt

FULL = Problem(
    "SLOW-DOWN",
    Outcome.NOT_SENT,
    Who.NOBODY,
    Scope.PROFILE,
    {"n": 3},
    "421 4.7.0 slow down",
    "message",
    "smtp.example.it",
    datetime(2026, 11, 24, 10, 5, tzinfo=UTC),
)


def test_it_survives_being_stored_whole() -> None:
    assert Problem.from_dict(FULL.to_dict()) == FULL
    assert Problem.from_dict(Problem("X", Outcome.REFUSED).to_dict()) == Problem("X", Outcome.REFUSED)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("550 no\x1b[31mRED\x1b[0m", "550 noRED"),
        ("550 a\x00b\rc\x07d", "550 abcd"),
        ("550-one\n550 two", "550-one\n550 two"),
        ("550 \u202egnp.exe", "550 gnp.exe"),
        ("  550 spaced  ", "550 spaced"),
    ],
)
def test_a_reply_becomes_plain_text(raw: str, clean: str) -> None:
    assert clean_reply(raw) == clean
    assert Problem("X", Outcome.REFUSED, reply=raw).reply == clean


def test_a_megabyte_of_reply_is_cut() -> None:
    assert len(clean_reply("x" * 1_000_000)) == REPLY_LIMIT + 1


def test_an_unknown_code_shows_itself_and_never_a_key_of_the_catalogue() -> None:
    explained = Problem("NO-SUCH-CODE", Outcome.REFUSED).explain("it")
    assert (explained.what, explained.why, explained.do) == ("NO-SUCH-CODE", "", "")


@pytest.mark.parametrize(
    ("problem", "pauses"),
    [
        (Problem("A", Outcome.HELD, scope=Scope.PROFILE), True),
        (Problem("A", Outcome.HELD, scope=Scope.CLIENT), True),
        (Problem("A", Outcome.HELD, scope=Scope.MESSAGE), False),
        (Problem("A", Outcome.REFUSED, scope=Scope.PROFILE), False),
    ],
)
def test_only_what_a_person_must_solve_for_the_whole_mailbox_pauses_it(
    problem: Problem, pauses: bool
) -> None:
    assert problem.pauses is pauses


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Outcome.REFUSED, Refused),
        (Outcome.NOT_SENT, NotSent),
        (Outcome.HELD, Held),
        (Outcome.UNKNOWN, UnknownOutcome),
    ],
)
def test_each_outcome_has_its_error(outcome: Outcome, kind: type[DeliveryError]) -> None:
    problem = Problem("A", outcome)
    receipt = Receipt.for_all(("a@example.it",), outcome, problem=problem)
    error = delivery_error(problem, receipt)
    assert type(error) is kind
    assert error.receipt is receipt
    assert error.problem is problem


def test_every_error_is_a_recapito_error_and_also_what_python_calls_it() -> None:
    for kind in (InvalidMessage, Misconfigured, NotFound, Refused, NotSent, Held, UnknownOutcome):
        assert issubclass(kind, RecapitoError)
    assert issubclass(InvalidMessage, ValueError)
    assert issubclass(NotFound, LookupError)


def test_a_hook_may_refuse_in_plain_words() -> None:
    error = Refused("manca il numero d'ordine")
    assert error.problem.code == "HOOK-REFUSED"
    assert error.problem.outcome is Outcome.REFUSED
    assert error.problem.params == {"reason": "manca il numero d'ordine"}


def test_a_session_error_has_no_receipt_until_the_mailer_adds_it() -> None:
    error = NotSent(FULL)
    with pytest.raises(AttributeError, match="added by the mailer"):
        _ = error.receipt
    receipt = Receipt.for_all(("a@example.it",), Outcome.NOT_SENT)
    assert error.with_receipt(receipt).receipt is receipt
