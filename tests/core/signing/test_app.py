"""Where the application itself signs in no person is asked: the first need of a token makes the grant."""

from collections.abc import Callable
from typing import Any

import pytest
from paper_vendor import PaperTransport, Vendor

from recapito import Held, Mailer, Message, ProfileKey, Store
from recapito.catalogue import problem
from recapito.operators import Changes, Operators

ANNA = ProfileKey("", "anna")


@pytest.fixture(autouse=True)
def _app(store: Store, mailer: Mailer) -> None:
    Operators(store, mailer.plugins).save(ANNA, Changes(settings={"sign_in": "app"}), by="admin")


def test_a_send_needs_nobody(mailer: Mailer, vendor: Vendor, store: Store, message: Message) -> None:
    for _ in range(3):
        mailer.send("anna", message)
    assert vendor.asked == {"begin": 1, "finish": 1, "refresh": 1}
    row = store.grant(ANNA)
    assert row is not None
    assert row.sign_in == "app"


def test_one_session_carries_them_all(mailer: Mailer, paper: PaperTransport, message: Message) -> None:
    for _ in range(3):
        mailer.send("anna", message)
    assert len(paper.sessions) == 1


def test_a_sign_in_is_finished_at_once_and_has_been_tried(
    sign_in: Callable[..., Any], mailer: Mailer, vendor: Vendor, store: Store
) -> None:
    begun = mailer.begin_sign_in("anna")
    assert (begun.kind, begun.url, begun.user_code) == ("app", "", "")
    done: Any = mailer.finish_sign_in("anna", {"state": begun.state})
    assert (done.key, done.account) == (ANNA, "anna@example.it")
    assert vendor.asked == {"begin": 1, "finish": 1, "refresh": 1}


def test_what_does_not_work_is_not_kept(sign_in: Callable[..., Any], vendor: Vendor, store: Store) -> None:
    vendor.errors["refresh"] = Held(problem("OAUTH-CONSENT"))
    with pytest.raises(Held) as caught:
        sign_in("anna")
    assert caught.value.problem.code == "OAUTH-CONSENT"
    assert store.grant(ANNA) is None


def test_a_persons_grant_is_not_taken_for_the_apps(
    sign_in: Callable[..., Any], mailer: Mailer, store: Store, paper: PaperTransport, message: Message
) -> None:
    operators = Operators(store, mailer.plugins)
    operators.save(ANNA, Changes(settings={"sign_in": "code"}), by="admin")
    sign_in("anna")
    persons = store.grant(ANNA)
    operators.save(ANNA, Changes(settings={"sign_in": "app"}), by="admin")
    mailer.send("anna", message)
    row = store.grant(ANNA)
    assert row is not None
    assert persons is not None
    assert (row.sign_in, row.id != persons.id) == ("app", True)


def test_a_company_without_its_client_is_held(
    mailer: Mailer, store: Store, message: Message, told: Any
) -> None:
    store.remove_client("", "paper", by="admin")
    with pytest.raises(Held) as caught:
        mailer.send("anna", message)
    assert caught.value.problem.code == "CLIENT-MISSING"
    assert told.asked_for == ["client paper CLIENT-MISSING"]
