"""Consent is compared with what was wanted before anything is kept."""

from collections.abc import Callable
from typing import Any

import pytest
from paper_vendor import PaperTransport, Vendor

from recapito import Held, Mailer, Message, ProfileKey, Store
from recapito.accounts import same_account
from recapito.operators import Changes, Operators
from recapito.plugins import Plugins

ANNA = ProfileKey("", "anna")


def test_consent_of_another_account_is_refused_and_not_kept(
    sign_in: Callable[..., Any], vendor: Vendor, store: Store
) -> None:
    vendor.account = "mario@example.it"
    with pytest.raises(Held) as caught:
        sign_in("anna")
    assert caught.value.problem.code == "OAUTH-OTHER-USER"
    assert caught.value.problem.params == {"a": "mario@example.it", "b": "anna@example.it"}
    assert store.grants() == ()
    assert vendor.asked["revoke"] == 0  # it may be Mario's own, in use elsewhere


def test_another_accounts_consent_leaves_the_grant_that_was_there(
    sign_in: Callable[..., Any], vendor: Vendor, store: Store
) -> None:
    sign_in("anna")
    before = store.grant(ANNA)
    vendor.account = "mario@example.it"
    with pytest.raises(Held):
        sign_in("anna")
    assert store.grant(ANNA) == before


def test_a_box_that_was_unticked_is_refused_and_not_kept(
    sign_in: Callable[..., Any], vendor: Vendor, store: Store
) -> None:
    vendor.unticked = frozenset({"send"})
    with pytest.raises(Held) as caught:
        sign_in("anna")
    assert caught.value.problem.code == "OAUTH-SCOPE"
    assert caught.value.problem.params["scopes"] == "send"
    assert store.grants() == ()


def test_more_than_was_asked_for_is_no_fault(sign_in: Callable[..., Any], vendor: Vendor) -> None:
    assert sign_in("anna").scopes == {"send", "email"}


def test_a_vendor_that_does_not_say_who_consented_is_believed(
    sign_in: Callable[..., Any], vendor: Vendor
) -> None:
    vendor.account = ""
    assert sign_in("anna").account == ""


def test_who_is_expected_is_told_to_the_vendor(mailer: Mailer, vendor: Vendor, store: Store) -> None:
    Operators(store, mailer.plugins).save(
        ANNA, Changes(settings={"account": "anna.verdi@example.it"}), by="admin"
    )
    begun = mailer.begin_sign_in("anna", redirect_uri="https://erp.example/ritorno")
    assert vendor.hints == [begun.account] == ["anna.verdi@example.it"]


def test_a_sender_that_changed_after_consent_gets_no_token(
    sign_in: Callable[..., Any],
    mailer: Mailer,
    store: Store,
    plugins: Plugins,
    paper: PaperTransport,
    message: Message,
) -> None:
    sign_in("anna")
    Operators(store, plugins).save(ANNA, Changes(sender="bruno@example.it"), by="admin")
    with pytest.raises(Held) as caught:
        mailer.send("anna", message)
    assert caught.value.problem.code == "OAUTH-OTHER-USER"
    assert paper.tokens == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("anna@example.it", "Anna@Example.IT", True),
        ("anna.verdi@gmail.com", "annaverdi@googlemail.com", True),
        ("anna.verdi@example.it", "annaverdi@example.it", False),
        ("anna@example.it", "anna@example.com", False),
        ("anna@caffè.example", "anna@xn--caff-8oa.example", True),
        ("anna", "ANNA", True),
        ("", "anna@example.it", False),
    ],
)
def test_two_spellings_of_one_account(one: str, other: str, same: bool) -> None:
    assert same_account(one, other) is same
