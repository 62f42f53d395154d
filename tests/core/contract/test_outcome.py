"""A message's outcome is that of its recipients, by the precedence of the design."""

from itertools import combinations

import pytest

from recapito import Outcome, Receipt, RecipientReceipt
from recapito.outcome import combine

STRONGEST_FIRST = [Outcome.UNKNOWN, Outcome.ACCEPTED, Outcome.HELD, Outcome.NOT_SENT, Outcome.REFUSED]


@pytest.mark.parametrize("outcome", Outcome)
def test_recipients_that_agree_decide(outcome: Outcome) -> None:
    assert combine([outcome, outcome]) is outcome


@pytest.mark.parametrize(("stronger", "weaker"), list(combinations(STRONGEST_FIRST, 2)))
def test_the_stronger_of_two_decides_in_either_order(stronger: Outcome, weaker: Outcome) -> None:
    assert combine([stronger, weaker]) is stronger
    assert combine([weaker, stronger]) is stronger


def test_a_message_without_recipients_has_no_outcome() -> None:
    with pytest.raises(ValueError, match="at least one recipient"):
        combine([])


def test_partial_means_that_some_were_accepted_and_some_were_not() -> None:
    taken = RecipientReceipt("a@example.it", Outcome.ACCEPTED)
    refused = RecipientReceipt("b@example.it", Outcome.REFUSED)
    assert Receipt((taken, refused)).partial
    assert Receipt((taken, refused)).outcome is Outcome.ACCEPTED
    assert Receipt((taken, refused)).accepted == ("a@example.it",)
    assert not Receipt((taken, taken)).partial
    assert not Receipt((refused,)).partial


def test_an_unknown_recipient_is_never_hidden_by_an_accepted_one() -> None:
    taken = RecipientReceipt("a@example.it", Outcome.ACCEPTED)
    doubtful = RecipientReceipt("b@example.it", Outcome.UNKNOWN)
    receipt = Receipt((taken, doubtful))
    assert receipt.outcome is Outcome.UNKNOWN
    assert not receipt.partial
