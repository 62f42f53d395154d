"""Sending with tokens: whose goes with what, how often anybody is asked, and what a dead grant stops."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from paper_vendor import PaperTransport, Vendor
from sqlalchemy import event

from recapito import Held, Mailer, Message, NotSent, Profile, ProfileKey, Store
from recapito.catalogue import problem
from recapito.clients import Clients
from recapito.operators import Changes, Operators
from recapito.outcome import Outcome
from recapito.plugins import Plugins
from recapito.problem import Problem, Scope, Who

ANNA, BRUNO = ProfileKey("", "anna"), ProfileKey("", "bruno")
REVOKED = problem("OAUTH-REVOKED")
SECRET = Problem("OAUTH-APP-SECRET", Outcome.HELD, Who.ADMINISTRATOR, Scope.CLIENT)


def test_a_warm_token_asks_nobody(
    mailer: Mailer, sign_in: Callable[..., Any], vendor: Vendor, paper: PaperTransport, message: Message
) -> None:
    sign_in("anna")
    for _ in range(5):
        mailer.send("anna", message)
    assert vendor.asked["refresh"] == 1
    assert len(paper.sessions) == 1
    assert len(paper.sent) == 5


def test_a_send_with_a_warm_token_reads_no_more_of_the_store_than_one_with_a_password(
    mailer: Mailer, sign_in: Callable[..., Any], store: Store, message: Message
) -> None:
    Operators(store, mailer.plugins).save(BRUNO, Changes(settings={"sign_in": "password"}), by="admin")
    sign_in("anna")

    def reads(operator: str) -> list[str]:
        """What the engine is asked while one message goes; the journal writes past it."""
        said: list[str] = []
        mailer.send(operator, message)  # everything that is learnt once

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            said.append(statement)

        event.listen(store.database.engine, "before_cursor_execute", note)
        try:
            mailer.send(operator, message)
        finally:
            event.remove(store.database.engine, "before_cursor_execute", note)
        return [each for each in said if "journal" not in each]

    assert reads("anna") == reads("bruno")


def test_two_operators_tokens_never_mix(
    mailer: Mailer, sign_in: Callable[..., Any], paper: PaperTransport, message: Message
) -> None:
    operators = [("anna", ""), ("bruno", ""), ("anna", "altra")]
    for operator, company in operators:
        sign_in(operator, company=company)

    def send(number: int) -> None:
        operator, company = operators[number % 3]
        mailer.send(operator, message, company=company)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(send, range(60)))
    assert len(paper.sent) == 60
    for operator, token in paper.tokens:
        assert f"token-{operator}-at-example.it" in token
    for row in paper.sent:
        assert row.account == f"{row.profile.operator}@example.it"


def test_a_transport_is_given_its_companys_client_and_no_secret(
    mailer: Mailer, sign_in: Callable[..., Any], paper: PaperTransport, message: Message
) -> None:
    sign_in("anna")
    sign_in("anna", company="altra")
    mailer.send("anna", message)
    mailer.send("anna", message, company="altra")
    assert paper.clients == [{"client_id": "id-"}, {"client_id": "id-altra"}]


def test_another_client_retires_open_sessions(
    mailer: Mailer, sign_in: Callable[..., Any], store: Store, paper: PaperTransport, message: Message
) -> None:
    sign_in("anna")
    mailer.send("anna", message)
    Clients(store, mailer.plugins).save("", "paper", {"client_id": "new"}, {}, by="admin")
    mailer.send("anna", message)
    assert len(paper.sessions) == 2
    assert paper.clients[-1] == {"client_id": "new"}


def test_who_never_signed_in_is_held_and_asked_for_once(
    mailer: Mailer, told: Any, vendor: Vendor, message: Message
) -> None:
    for _ in range(2):
        with pytest.raises(Held) as caught:
            mailer.send("anna", message)
        assert caught.value.problem.code == "SIGN-IN-MISSING"
    assert told.asked_for == ["profile anna SIGN-IN-MISSING"]
    assert vendor.asked["refresh"] == 0


def test_a_dead_grant_pauses_its_own_profile_only(
    mailer: Mailer,
    sign_in: Callable[..., Any],
    store: Store,
    vendor: Vendor,
    told: Any,
    paper: PaperTransport,
    message: Message,
) -> None:
    fatture = ProfileKey("", "anna", "fatture")  # the same mailbox, settings and secrets: another grant
    store.save(Profile(fatture, "anna@example.it", "paper"), {}, by="admin", action="created", fields=())
    sign_in("anna")
    sign_in("anna", profile="fatture")
    vendor.errors["refresh"] = Held(REVOKED)
    with pytest.raises(Held) as caught:
        mailer.send("anna", message)
    assert caught.value.problem.code == "OAUTH-REVOKED"
    assert store.state(ANNA).paused
    assert not store.state(fatture).paused
    mailer.send("anna", message, profile="fatture")
    assert told.asked_for == ["profile anna OAUTH-REVOKED"]


def test_a_new_sign_in_sets_it_going_again(
    mailer: Mailer, sign_in: Callable[..., Any], store: Store, vendor: Vendor, told: Any, message: Message
) -> None:
    sign_in("anna")
    vendor.errors["refresh"] = Held(REVOKED)
    with pytest.raises(Held):
        mailer.send("anna", message)
    assert sign_in("anna").resumed
    mailer.send("anna", message)
    assert told.actions == ["anna signed_in", "anna paused", "anna signed_in", "anna resumed"]
    vendor.errors["refresh"] = Held(REVOKED)
    sign_in("anna")
    with pytest.raises(Held):
        mailer.send("anna", message)
    assert told.asked_for == ["profile anna OAUTH-REVOKED"] * 2  # it came back: that is news


def test_a_clients_fault_is_told_once_for_all_its_profiles(
    mailer: Mailer, sign_in: Callable[..., Any], store: Store, vendor: Vendor, told: Any, message: Message
) -> None:
    for operator in ("anna", "bruno"):
        sign_in(operator)
    for operator in ("anna", "bruno"):
        vendor.errors["refresh"] = Held(SECRET)
        with pytest.raises(Held) as caught:
            mailer.send(operator, message)
        assert caught.value.problem.params["client"] == "paper"
    assert told.asked_for == ["client paper OAUTH-APP-SECRET"]
    subject, _ = told.attention[0]
    assert (subject.profile, subject.company) == (None, "")


def test_saving_the_client_sets_its_profiles_going_again(
    mailer: Mailer, sign_in: Callable[..., Any], store: Store, vendor: Vendor, told: Any, message: Message
) -> None:
    for operator in ("anna", "bruno"):
        sign_in(operator)
    for operator in ("anna", "bruno"):
        vendor.errors["refresh"] = Held(SECRET)
        with pytest.raises(Held):
            mailer.send(operator, message)
    saved = Clients(store, mailer.plugins).save("", "paper", {}, {"client_secret": "nuovo"}, by="admin")
    assert saved.resumed == (ANNA, BRUNO)
    for operator in ("anna", "bruno"):
        mailer.send(operator, message)
    assert told.actions[-2:] == ["anna resumed", "bruno resumed"]
    vendor.errors["refresh"] = Held(SECRET)
    sign_in("anna")
    with pytest.raises(Held):
        mailer.send("anna", message)
    assert told.asked_for == ["client paper OAUTH-APP-SECRET"] * 2


@pytest.mark.parametrize("mended", ["saved", "a colleague signs in"])
def test_a_clients_fault_that_comes_back_is_news(
    mailer: Mailer,
    sign_in: Callable[..., Any],
    store: Store,
    vendor: Vendor,
    told: Any,
    message: Message,
    mended: str,
) -> None:
    for operator in ("anna", "bruno"):
        sign_in(operator)
    vendor.errors["refresh"] = Held(SECRET)
    with pytest.raises(Held):
        mailer.send("anna", message)
    if mended == "saved":
        Clients(store, mailer.plugins).save("", "paper", {}, {"client_secret": "nuovo"}, by="admin")
    else:
        sign_in("anna")
    vendor.errors["refresh"] = Held(SECRET)
    with pytest.raises(Held):
        mailer.send("bruno", message)
    assert told.asked_for == ["client paper OAUTH-APP-SECRET"] * 2


def test_another_companys_client_resumes_nobody_here(
    mailer: Mailer, sign_in: Callable[..., Any], store: Store, vendor: Vendor, message: Message
) -> None:
    sign_in("anna")
    vendor.errors["refresh"] = Held(SECRET)
    with pytest.raises(Held):
        mailer.send("anna", message)
    saved = Clients(store, mailer.plugins).save("altra", "paper", {}, {"client_secret": "x"}, by="admin")
    assert saved.resumed == ()
    assert store.state(ANNA).paused


def test_an_edit_does_not_set_a_dead_grant_going(
    mailer: Mailer,
    sign_in: Callable[..., Any],
    store: Store,
    vendor: Vendor,
    plugins: Plugins,
    message: Message,
) -> None:
    sign_in("anna")
    vendor.errors["refresh"] = Held(REVOKED)
    with pytest.raises(Held):
        mailer.send("anna", message)
    operators = Operators(store, plugins)
    operators.save(ANNA, Changes(settings={"send_by": "smtp"}), by="anna")
    assert store.state(ANNA).paused
    operators.save(ANNA, Changes(settings={"sign_in": "password"}), by="anna")
    assert not store.state(ANNA).paused


def test_a_failure_of_the_grant_before_does_not_pause_the_new_one(
    mailer: Mailer,
    elsewhere: Mailer,
    sign_in: Callable[..., Any],
    store: Store,
    paper: PaperTransport,
    message: Message,
) -> None:
    """While a send fails with the old grant the operator signs in anew, in another process."""
    sign_in("anna")

    def sign_in_anew() -> None:
        begun = elsewhere.begin_sign_in("anna", redirect_uri="https://erp.example/ritorno")
        elsewhere.finish_sign_in("anna", {"state": begun.state, "code": "x"})

    paper.meanwhile, paper.fail_open = sign_in_anew, Held(REVOKED)
    with pytest.raises(Held):
        mailer.send("anna", message)
    paper.fail_open = None
    assert not store.state(ANNA).paused
    mailer.send("anna", message)


def test_a_passing_failure_pauses_nobody(
    mailer: Mailer, sign_in: Callable[..., Any], store: Store, vendor: Vendor, told: Any, message: Message
) -> None:
    sign_in("anna")
    vendor.errors["refresh"] = NotSent(problem("OAUTH-TEMPORARY"))
    with pytest.raises(NotSent):
        mailer.send("anna", message)
    assert not store.state(ANNA).paused
    assert told.attention == []


def test_without_a_store_a_send_names_the_remedy(hooks: Any, message: Message) -> None:
    profile = Profile.of("anna", sender="anna@example.it", transport="paper")
    with Mailer({"anna": profile}, hooks=[hooks]) as mailer, pytest.raises(Held) as caught:
        mailer.send("anna", message)
    assert caught.value.problem.code == "SIGN-IN-STORE"
    assert "store=" in caught.value.problem.explain("en").do


def test_one_operators_token_trouble_stops_nobody_else_of_the_mailbox(
    mailer: Any, sign_in: Any, vendor: Any, store: Any, message: Any
) -> None:
    for operator in ("anna", "bruno"):
        found = store.opened(ProfileKey("", operator)).found
        shared = found.profile.with_(sender="info@example.it", settings={"account": f"{operator}@example.it"})
        store.save(shared, {}, by="test", action="edited", fields=())
        sign_in(operator)
    assert mailer.send("bruno", message).accepted
    later = datetime.now(UTC) + timedelta(minutes=5)
    vendor.errors["refresh"] = NotSent(problem("OAUTH-TEMPORARY", retry_at=later))
    with pytest.raises(NotSent):
        mailer.send("anna", message, timeout=3)
    assert mailer.send("bruno", message, timeout=3).accepted
