"""What a sign-in needs before anybody is asked."""

from types import SimpleNamespace
from typing import Any

import pytest
from paper_vendor import PaperTransport, Vendor, paper_hooks

from recapito import (
    Found,
    Held,
    Mailer,
    Misconfigured,
    NotFound,
    NotSent,
    Profile,
    ProfileKey,
    Secrets,
    Store,
)
from recapito.operators import Changes, Operators
from recapito.outcome import Outcome
from recapito.problem import Problem, Scope, Who
from recapito.signing import Begun

HERE = "https://erp.example/ritorno"
ANNA = ProfileKey("", "anna")


def test_a_link_is_made_and_nothing_else_changes(mailer: Mailer, store: Store, vendor: Vendor) -> None:
    before = store.version()
    begun = mailer.begin_sign_in("anna", redirect_uri=HERE)
    assert (begun.key, begun.kind, begun.client, begun.redirect_uri) == (ANNA, "code", "paper", HERE)
    assert begun.state in begun.url
    assert store.grant(ANNA) is None
    assert store.version() == before


def test_an_unknown_operator_is_not_found(mailer: Mailer, vendor: Vendor) -> None:
    with pytest.raises(NotFound) as caught:
        mailer.begin_sign_in("carla", redirect_uri=HERE)
    assert caught.value.problem.code == "PROFILE-UNKNOWN"
    assert vendor.asked["begin"] == 0


def test_another_companys_operator_is_not_found(mailer: Mailer) -> None:
    with pytest.raises(NotFound):
        mailer.begin_sign_in("bruno", company="altra", redirect_uri=HERE)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "/ritorno",
        "http://erp.example/ritorno",
        "javascript:alert(1)",
        "https://erp.example/ritorno#x",
        "https://anna@erp.example/",
        "https://erp.example/a b",
        "https://erp.example\\@evil.example/",
        "https:///ritorno",
        "http://127.0.0.1.evil.example/",
        "https://erp.example:99999/",
    ],
)
def test_only_one_whole_encrypted_address_can_be_returned_to(
    mailer: Mailer, vendor: Vendor, uri: str
) -> None:
    with pytest.raises(Misconfigured) as caught:
        mailer.begin_sign_in("anna", redirect_uri=uri)
    assert caught.value.problem.code == "SIGN-IN-REDIRECT"
    assert vendor.asked["begin"] == 0


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:8765/", "http://localhost:8765/", "http://[::1]:8765/", HERE]
)
def test_this_machine_can_be_returned_to_as_it_is(mailer: Mailer, vendor: Vendor, uri: str) -> None:
    assert mailer.begin_sign_in("anna", redirect_uri=uri).redirect_uri == uri
    assert vendor.attempts[0].redirect_uri == uri


def test_a_company_without_a_client_is_told_who_must_act(mailer: Mailer, store: Store) -> None:
    store.remove_client("altra", "paper", by="admin")
    with pytest.raises(Held) as caught:
        mailer.begin_sign_in("anna", company="altra", redirect_uri=HERE)
    assert caught.value.problem.code == "CLIENT-MISSING"
    assert caught.value.problem.who is Who.ADMINISTRATOR
    assert isinstance(mailer.begin_sign_in("anna", redirect_uri=HERE), Begun)


def test_a_profile_with_a_password_says_how_it_would_sign_in(mailer: Mailer, store: Store) -> None:
    Operators(store, mailer.plugins).save(ANNA, Changes(settings={"sign_in": "password"}), by="admin")
    with pytest.raises(Misconfigured) as caught:
        mailer.begin_sign_in("anna", redirect_uri=HERE)
    assert caught.value.problem.code == "SIGN-IN-NONE"
    assert "profile switch anna" in caught.value.problem.explain("en").do


def test_without_a_store_the_error_names_the_remedy(hooks: Any, vendor: Vendor) -> None:
    profile = Profile.of("anna", sender="anna@example.it", transport="paper")
    with Mailer({"anna": profile}, hooks=[hooks]) as mailer, pytest.raises(Held) as caught:
        mailer.begin_sign_in("anna", redirect_uri=HERE)
    assert caught.value.problem.code == "SIGN-IN-STORE"
    assert "store=" in caught.value.problem.explain("en").do


def test_a_clients_fault_is_told_once_to_its_administrator(mailer: Mailer, vendor: Vendor, told: Any) -> None:
    secret = Problem("OAUTH-APP-SECRET", Outcome.HELD, Who.ADMINISTRATOR, Scope.CLIENT)
    for operator in ("anna", "bruno"):
        vendor.errors["begin"] = Held(secret)
        with pytest.raises(Held) as caught:
            mailer.begin_sign_in(operator, redirect_uri=HERE)
        assert caught.value.problem.params["client"] == "paper"
    assert told.asked_for == ["client paper OAUTH-APP-SECRET"]


def test_a_sign_in_that_crashes_is_no_crash_of_ours(mailer: Mailer, vendor: Vendor, store: Store) -> None:
    vendor.errors["begin"] = KeyError("access_token")
    with pytest.raises(NotSent) as caught:
        mailer.begin_sign_in("anna", redirect_uri=HERE)
    assert caught.value.problem.code == "TRANSPORT-CRASHED"
    assert store.attempts_of(ANNA) == 0


def test_a_hosts_own_profile_signs_in_with_a_store_beside_it(
    store: Store, hooks: Any, vendor: Vendor, paper: PaperTransport, message: Any
) -> None:
    profile = Profile.of("dora", sender="dora@example.it", transport="paper")
    source = SimpleNamespace(get=lambda key: Found(profile, revision="1") if key == profile.key else None)
    with Mailer(source, store=store, hooks=[hooks]) as mailer:
        begun = mailer.begin_sign_in("dora", redirect_uri=HERE)
        mailer.finish_sign_in("dora", {"state": begun.state, "code": "x"})
        mailer.send("dora", message)
        assert [whose for whose, _ in paper.tokens] == ["dora"]
        with pytest.raises(Misconfigured) as caught:
            mailer.begin_sign_in("dora", redirect_uri=HERE, changes=Changes(sender="d@example.it"))
    assert caught.value.problem.code == "PROFILE-HOSTED"


def test_secrets_cannot_wait_in_a_sign_in(mailer: Mailer, store: Store) -> None:
    changes = Changes(secrets=Secrets({"password": "s3greto"}))
    with pytest.raises(Misconfigured) as caught:
        mailer.begin_sign_in("anna", redirect_uri=HERE, changes=changes)
    assert list(caught.value.fields) == ["password"]


def test_a_mailer_with_no_such_plugin_says_so(store: Store) -> None:
    with Mailer(store) as mailer, pytest.raises(NotFound) as caught:
        mailer.begin_sign_in("anna", redirect_uri=HERE)
    assert caught.value.problem.code == "TRANSPORT-UNKNOWN"


def test_hooks_of_the_host_may_offer_the_transport(store: Store, vendor: Vendor) -> None:
    with Mailer(store, hooks=[paper_hooks(vendor, PaperTransport())]) as mailer:
        assert mailer.begin_sign_in("anna", redirect_uri=HERE).kind == "code"
