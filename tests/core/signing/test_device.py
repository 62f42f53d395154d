"""A code that is typed on another device: waiting is no failure, and one of many that look keeps the grant."""

from datetime import UTC, datetime, timedelta

import pytest
from paper_vendor import Vendor

from recapito import Held, Mailer, Misconfigured, NotSent, ProfileKey, Store
from recapito.catalogue import problem
from recapito.operators import Changes, Operators
from recapito.signing import Begun, SignedIn

ANNA = ProfileKey("", "anna")


def begin(mailer: Mailer) -> Begun:
    return mailer.begin_sign_in("anna", kind="device")


def test_it_waits_until_the_person_has_typed_it(mailer: Mailer, vendor: Vendor, store: Store) -> None:
    vendor.waits = 2
    begun = begin(mailer)
    assert (begun.kind, begun.user_code, begun.url) == (
        "device",
        "WDJB-MJHT",
        "https://vendor.example/device",
    )
    for _ in range(2):
        again = mailer.finish_sign_in("anna", {"state": begun.state})
        assert isinstance(again, Begun)
        assert (again.state, again.user_code) == (begun.state, begun.user_code)
    done = mailer.finish_sign_in("anna", {"state": begun.state})
    assert isinstance(done, SignedIn)
    row = store.grant(ANNA)
    assert row is not None
    assert row.sign_in == "device"


def test_its_private_part_is_handed_back_and_no_query(mailer: Mailer, vendor: Vendor) -> None:
    begun = begin(mailer)
    mailer.finish_sign_in("anna", {"state": begun.state, "code": "injected"})
    assert vendor.attempts[1].private["device_code"].reveal() == "device-secret"
    assert vendor.queries == [{}]


def test_a_slower_pace_is_kept(mailer: Mailer, vendor: Vendor) -> None:
    begun = begin(mailer)
    vendor.waits, vendor.interval = 2, 10.0
    for _ in range(2):
        again = mailer.finish_sign_in("anna", {"state": begun.state})
        assert isinstance(again, Begun)
        assert again.interval == 10.0
    assert isinstance(mailer.finish_sign_in("anna", {"state": begun.state}), SignedIn)


def test_it_lives_as_long_as_the_vendor_says(mailer: Mailer) -> None:
    assert begin(mailer).expires_at - datetime.now(UTC) > timedelta(minutes=14)


def test_a_passing_failure_ends_nothing(mailer: Mailer, vendor: Vendor) -> None:
    begun = begin(mailer)
    vendor.errors["finish"] = NotSent(problem("OAUTH-TEMPORARY"))
    with pytest.raises(NotSent):
        mailer.finish_sign_in("anna", {"state": begun.state})
    assert isinstance(mailer.finish_sign_in("anna", {"state": begun.state}), SignedIn)


def test_once_it_is_finished_nobody_is_asked_again(mailer: Mailer, vendor: Vendor) -> None:
    begun = begin(mailer)
    mailer.finish_sign_in("anna", {"state": begun.state})
    vendor.asked.clear()
    with pytest.raises(Held) as caught:
        mailer.finish_sign_in("anna", {"state": begun.state})
    assert caught.value.problem.code == "SIGN-IN-STATE"
    assert vendor.asked["finish"] == 0


def test_another_operator_learns_nothing_of_it(mailer: Mailer, vendor: Vendor) -> None:
    begun = begin(mailer)
    with pytest.raises(Held) as caught:
        mailer.finish_sign_in("bruno", {"state": begun.state})
    assert caught.value.problem.code == "SIGN-IN-STATE"
    assert vendor.asked["finish"] == 0


def test_the_grant_of_a_device_serves_a_profile_that_signs_in_by_browser(
    mailer: Mailer, store: Store, vendor: Vendor, message: object
) -> None:
    begun = begin(mailer)
    mailer.finish_sign_in("anna", {"state": begun.state})
    mailer.send("anna", message)  # type: ignore[arg-type]
    assert vendor.asked["refresh"] == 1


def test_an_app_signs_in_on_no_device(mailer: Mailer, store: Store) -> None:
    Operators(store, mailer.plugins).save(ANNA, Changes(settings={"sign_in": "app"}), by="admin")
    with pytest.raises(Misconfigured) as caught:
        begin(mailer)
    assert caught.value.problem.code == "SIGN-IN-KIND"
    assert caught.value.problem.params["known"] == "app"
