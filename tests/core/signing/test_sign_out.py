"""A grant that is taken back is gone here at once, in every process, whatever the vendor says."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from paper_vendor import PaperTransport, Vendor

from recapito import Held, Mailer, Message, NotFound, NotSent, ProfileKey, Store
from recapito.catalogue import problem
from recapito.operators import Operators

ANNA = ProfileKey("", "anna")


def test_it_is_given_back_and_forgotten(
    mailer: Mailer, sign_in: Callable[..., Any], vendor: Vendor, store: Store, told: Any
) -> None:
    sign_in("anna")
    assert mailer.sign_out("anna", by="admin")
    assert vendor.asked["revoke"] == 1
    assert store.grant(ANNA) is None
    assert told.actions == ["anna signed_in", "anna signed_out"]
    assert told.changes[-1][1].by == "admin"


def test_nobody_signed_in_is_no_fault(mailer: Mailer, vendor: Vendor, told: Any) -> None:
    assert not mailer.sign_out("anna")
    assert vendor.asked["revoke"] == 0
    assert told.changes == []


def test_an_unknown_profile_is_not_found(mailer: Mailer) -> None:
    with pytest.raises(NotFound):
        mailer.sign_out("carla")


def test_one_profiles_sign_out_is_no_others(
    mailer: Mailer, sign_in: Callable[..., Any], store: Store
) -> None:
    sign_in("anna")
    sign_in("bruno")
    sign_in("anna", company="altra")
    mailer.sign_out("anna")
    assert [str(row.key) for row in store.grants()] == ["bruno", "altra/anna"]


@pytest.mark.parametrize(
    "error", [NotSent(problem("OAUTH-TEMPORARY")), RuntimeError("boom")], ids=["down", "crash"]
)
def test_a_vendor_that_does_not_answer_changes_nothing_here(
    mailer: Mailer,
    sign_in: Callable[..., Any],
    vendor: Vendor,
    store: Store,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    sign_in("anna")
    vendor.errors["revoke"] = error
    with caplog.at_level(logging.WARNING, "recapito"):
        assert mailer.sign_out("anna")
    assert store.grant(ANNA) is None
    assert "could not be given back" in caplog.text


def test_a_sign_out_elsewhere_retires_open_sessions(
    mailer: Mailer,
    elsewhere: Mailer,
    sign_in: Callable[..., Any],
    paper: PaperTransport,
    message: Message,
) -> None:
    sign_in("anna")
    mailer.send("anna", message)
    elsewhere.sign_out("anna")
    with pytest.raises(Held) as caught:
        mailer.send("anna", message)
    assert caught.value.problem.code == "SIGN-IN-MISSING"
    assert len(paper.sent) == 1
    assert not paper.sessions[0].usable


def test_a_new_sign_in_elsewhere_opens_new_sessions_with_new_tokens(
    mailer: Mailer, elsewhere: Mailer, sign_in: Callable[..., Any], paper: PaperTransport, message: Message
) -> None:
    sign_in("anna")
    mailer.send("anna", message)
    begun = elsewhere.begin_sign_in("anna", redirect_uri="https://erp.example/ritorno")
    elsewhere.finish_sign_in("anna", {"state": begun.state, "code": "x"})
    mailer.send("anna", message)
    assert len(paper.sessions) == 2
    assert len({token for _, token in paper.tokens}) == 2


def test_a_removed_profile_leaves_no_grant(mailer: Mailer, sign_in: Callable[..., Any], store: Store) -> None:
    sign_in("anna")
    begun = mailer.begin_sign_in("anna", redirect_uri="https://erp.example/ritorno")
    Operators(store, mailer.plugins).remove(ANNA, by="admin")
    assert store.grant(ANNA) is None
    with pytest.raises(Held) as caught:
        mailer.finish_sign_in("anna", {"state": begun.state, "code": "x"})
    assert caught.value.problem.code == "SIGN-IN-STATE"
