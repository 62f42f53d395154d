"""Grants are renewed before they die of idleness; a new failure pauses its profile once, and is told once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from paper_vendor import Vendor
from sqlalchemy import update

from recapito import Held, Mailer, Misconfigured, NotSent, Profile, ProfileKey, Store
from recapito.catalogue import problem
from recapito.clients import Clients
from recapito.health import Checked
from recapito.operators import Changes, Operators
from recapito.outcome import Outcome
from recapito.problem import Problem, Scope, Who
from recapito.store import schema

ANNA, BRUNO = ProfileKey("", "anna"), ProfileKey("", "bruno")
SECRET = Problem("OAUTH-APP-SECRET", Outcome.HELD, Who.ADMINISTRATOR, Scope.CLIENT)


def look(mailer: Mailer, **which: Any) -> dict[str, Checked]:
    return {str(each.key): each for each in mailer.health(**which)}


def outcome(checked: dict[str, Checked]) -> dict[str, str]:
    return {
        name: each.problem.code if each.problem else "renewed" if each.renewed else "fresh"
        for name, each in checked.items()
    }


@pytest.fixture
def aged(store: Store) -> Callable[..., None]:
    """Make every grant as old as that."""

    def aged(**how: float) -> None:
        then = datetime.now(UTC) - timedelta(**how)
        store.database.write(
            lambda connection: connection.execute(update(schema.grant).values(granted=then, refreshed=None))
        )

    return aged


def test_a_grant_that_is_fresh_is_left_alone(mailer: Mailer, sign_in: Any, aged: Any, vendor: Vendor) -> None:
    sign_in("anna")
    aged(hours=19)
    found = look(mailer)
    assert outcome(found) == {"anna": "fresh"}
    assert vendor.asked["refresh"] == 0
    left = found["anna"].next_check - datetime.now(UTC)
    assert timedelta(hours=4) < left < timedelta(hours=6)


def test_a_grant_that_was_idle_for_a_day_is_renewed(
    mailer: Mailer, sign_in: Any, aged: Any, store: Store, vendor: Vendor
) -> None:
    sign_in("anna")
    aged(hours=21)
    before, version = store.grant(ANNA), store.version()
    found = look(mailer)
    assert outcome(found) == {"anna": "renewed"}
    assert found["anna"].account == "anna@example.it"
    assert found["anna"].next_check - datetime.now(UTC) > timedelta(hours=23)
    after = store.grant(ANNA)
    assert after is not None
    assert before is not None
    assert after.generation == before.generation + 1
    assert after.idle_until is not None
    assert after.idle_until - datetime.now(UTC) > timedelta(days=89)
    assert store.version() == version  # no session has to be opened anew for it
    assert outcome(look(mailer)) == {"anna": "fresh"}
    assert vendor.asked["refresh"] == 1


def test_one_that_dies_within_a_day_is_renewed_when_half_of_it_is_over(
    mailer: Mailer, sign_in: Any, aged: Any, store: Store, vendor: Vendor
) -> None:
    vendor.idle = timedelta(hours=10)
    sign_in("anna")
    assert outcome(look(mailer)) == {"anna": "fresh"}
    aged(hours=6)
    store.database.write(
        lambda connection: connection.execute(
            update(schema.grant).values(idle_until=datetime.now(UTC) + timedelta(hours=4))
        )
    )
    assert outcome(look(mailer)) == {"anna": "renewed"}


def test_everything_renews_the_fresh_ones_too(mailer: Mailer, sign_in: Any, vendor: Vendor) -> None:
    sign_in("anna")
    assert outcome(look(mailer, everything=True)) == {"anna": "renewed"}
    assert outcome(look(mailer, everything=True)) == {"anna": "renewed"}
    assert vendor.asked["refresh"] == 2


def test_it_looks_where_it_is_told_to(mailer: Mailer, sign_in: Any) -> None:
    sign_in("anna")
    sign_in("bruno")
    sign_in("anna", company="altra")
    assert list(look(mailer)) == ["anna", "bruno", "altra/anna"]
    assert list(look(mailer, company="altra")) == ["altra/anna"]
    assert list(look(mailer, operator="anna")) == ["anna", "altra/anna"]
    assert list(look(mailer, company="", operator="bruno")) == ["bruno"]


def test_who_never_signed_in_is_no_news(mailer: Mailer, told: Any) -> None:
    assert look(mailer) == {}
    assert told.attention == []


def test_an_app_is_looked_at_before_its_first_send(mailer: Mailer, store: Store, vendor: Vendor) -> None:
    Operators(store, mailer.plugins).save(ANNA, Changes(settings={"sign_in": "app"}), by="admin")
    assert outcome(look(mailer)) == {"anna": "renewed"}
    assert vendor.asked["refresh"] == 1


def test_a_dead_grant_pauses_once_and_is_told_once_and_not_asked_again(
    mailer: Mailer, sign_in: Any, aged: Any, store: Store, vendor: Vendor, told: Any
) -> None:
    sign_in("anna")
    sign_in("bruno")
    told.changes.clear()
    aged(days=2)
    vendor.errors["refresh"] = Held(problem("OAUTH-REVOKED"))
    assert outcome(look(mailer)) == {"anna": "OAUTH-REVOKED", "bruno": "renewed"}
    assert (store.state(ANNA).paused, store.state(BRUNO).paused) == (True, False)
    for _ in range(2):
        assert outcome(look(mailer)) == {"anna": "OAUTH-REVOKED", "bruno": "fresh"}
    assert vendor.asked["refresh"] == 2
    assert told.actions == ["anna paused"]
    assert told.asked_for == ["profile anna OAUTH-REVOKED"]


def test_a_new_sign_in_is_renewed_again(mailer: Mailer, sign_in: Any, aged: Any, vendor: Vendor) -> None:
    sign_in("anna")
    aged(days=2)
    vendor.errors["refresh"] = Held(problem("OAUTH-REVOKED"))
    look(mailer)
    assert sign_in("anna").resumed
    aged(days=2)
    assert outcome(look(mailer)) == {"anna": "renewed"}


def test_a_passing_failure_pauses_nobody_and_is_tried_again(
    mailer: Mailer, sign_in: Any, aged: Any, store: Store, vendor: Vendor, told: Any
) -> None:
    sign_in("anna")
    aged(days=2)
    vendor.errors["refresh"] = NotSent(problem("OAUTH-TEMPORARY"))
    assert outcome(look(mailer)) == {"anna": "OAUTH-TEMPORARY"}
    assert not store.state(ANNA).paused
    assert told.attention == []
    assert outcome(look(mailer)) == {"anna": "renewed"}


def test_a_clients_fault_is_told_once_and_tried_again_and_forgotten_when_it_is_mended(
    mailer: Mailer, sign_in: Any, aged: Any, store: Store, vendor: Vendor, told: Any
) -> None:
    for operator in ("anna", "bruno"):
        sign_in(operator)
    told.changes.clear()

    def fails() -> None:
        aged(days=2)
        for operator in ("anna", "bruno"):
            vendor.errors["refresh"] = Held(SECRET)
            assert outcome(look(mailer, operator=operator)) == {operator: "OAUTH-APP-SECRET"}

    fails()
    assert told.asked_for == ["client paper OAUTH-APP-SECRET"]
    aged(days=2)
    assert outcome(look(mailer)) == {"anna": "renewed", "bruno": "renewed"}  # it was mended at the vendor
    assert not store.state(ANNA).paused
    assert told.actions == ["anna paused", "bruno paused", "anna resumed", "bruno resumed"]
    fails()
    assert told.asked_for == ["client paper OAUTH-APP-SECRET"] * 2


def test_a_saved_client_is_tried_at_once(
    mailer: Mailer, sign_in: Any, aged: Any, store: Store, vendor: Vendor
) -> None:
    sign_in("anna")
    aged(days=2)
    vendor.errors["refresh"] = Held(SECRET)
    look(mailer)
    saved = Clients(store, mailer.plugins).save("", "paper", {}, {"client_secret": "new"}, by="admin")
    assert saved.resumed == (ANNA,)
    assert outcome(look(mailer)) == {"anna": "renewed"}


def test_a_pause_that_the_grant_did_not_cause_is_not_ended(
    mailer: Mailer, sign_in: Any, aged: Any, store: Store, vendor: Vendor
) -> None:
    sign_in("anna")
    sign_in("bruno")
    store.pause(ANNA, problem("SENDER-MS"), by="recapito")
    Operators(store, mailer.plugins).pause(BRUNO, by="bruno")
    aged(days=2)
    assert outcome(look(mailer)) == {"anna": "SENDER-MS", "bruno": "renewed"}, "what holds its mail is told"
    assert store.state(ANNA).problem == problem("SENDER-MS")
    found = store.state(BRUNO).problem
    assert found is not None
    assert found.code == "PROFILE-PAUSED"


@pytest.mark.parametrize("by", ["recapito", "admin"])
def test_a_renewal_ends_only_the_pause_that_the_mailer_made_of_that_very_problem(
    mailer: Mailer, sign_in: Any, aged: Any, store: Store, vendor: Vendor, by: str
) -> None:
    sign_in("anna")
    aged(days=2)
    vendor.errors["refresh"] = Held(SECRET)
    look(mailer)
    store.resume(ANNA, by="admin")
    since = problem("SENDER-MS") if by == "recapito" else SECRET
    store.pause(ANNA, since, by=by)
    assert outcome(look(mailer)) == {"anna": since.code}
    assert store.state(ANNA).problem == since


def test_a_persons_pause_is_not_taken_over_by_a_dead_grant(
    mailer: Mailer, sign_in: Any, aged: Any, store: Store, vendor: Vendor, told: Any
) -> None:
    sign_in("anna")
    Operators(store, mailer.plugins).pause(ANNA, by="anna")
    aged(days=2)
    vendor.errors["refresh"] = Held(problem("OAUTH-REVOKED"))
    look(mailer)
    found = store.state(ANNA).problem
    assert found is not None
    assert found.code == "PROFILE-PAUSED"
    assert told.asked_for == ["profile anna OAUTH-REVOKED"]


def test_a_grant_of_another_account_is_told_before_a_send_meets_it(
    mailer: Mailer, sign_in: Any, store: Store, vendor: Vendor, told: Any
) -> None:
    sign_in("anna")
    Operators(store, mailer.plugins).save(ANNA, Changes(sender="bruno@example.it"), by="admin")
    assert outcome(look(mailer)) == {"anna": "OAUTH-OTHER-USER"}
    assert vendor.asked["refresh"] == 0
    assert told.asked_for == ["profile anna OAUTH-OTHER-USER"]


def test_what_one_meets_stops_no_other(
    mailer: Mailer, sign_in: Any, aged: Any, store: Store, vendor: Vendor
) -> None:
    sign_in("anna")
    sign_in("bruno")
    aged(days=2)
    store.save(
        Profile.of("anna", sender="anna@example.it", transport="paper", settings={"colour": "red"}),
        {},
        by="x",
        action="edited",
        fields=(),
    )
    assert outcome(look(mailer)) == {"anna": "SETTINGS-INVALID", "bruno": "renewed"}


def test_a_crash_of_a_sign_in_stops_no_other(mailer: Mailer, sign_in: Any, aged: Any, vendor: Vendor) -> None:
    sign_in("anna")
    sign_in("bruno")
    aged(days=2)
    vendor.errors["refresh"] = KeyError("access_token")
    found = outcome(look(mailer))
    assert (found["anna"], found["bruno"]) == ("TRANSPORT-CRASHED", "renewed")


def test_whoever_stops_reading_stops_asking(mailer: Mailer, sign_in: Any, aged: Any, vendor: Vendor) -> None:
    for operator in ("anna", "bruno"):
        sign_in(operator)
    aged(days=2)
    rounds = mailer.health()
    next(rounds)
    rounds.close()
    assert vendor.asked["refresh"] <= 2


def test_without_a_store_there_is_nothing_to_look_at(hooks: Any) -> None:
    profile = Profile.of("anna", sender="anna@example.it", transport="paper")
    with Mailer({"anna": profile}, hooks=[hooks]) as mailer, pytest.raises(Held) as caught:
        list(mailer.health())
    assert caught.value.problem.code == "SIGN-IN-STORE"


def test_a_closed_mailer_says_so(store: Store, hooks: Any) -> None:
    mailer = Mailer(store, hooks=[hooks])
    mailer.close()
    with pytest.raises(Misconfigured) as caught:
        list(mailer.health())
    assert caught.value.problem.code == "MAILER-CLOSED"
