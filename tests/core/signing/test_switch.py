"""A profile moves to another way as one act: with its grant, or not at all."""

from typing import Any

import pytest
from paper_vendor import PaperTransport, Vendor

from recapito import (
    Held,
    Mailer,
    Message,
    Misconfigured,
    NotFound,
    NotSent,
    Profile,
    ProfileKey,
    Secrets,
    Store,
)
from recapito.catalogue import problem
from recapito.operators import Changes, Operators
from recapito.plugins import Plugins
from recapito.signing import SignedIn
from recapito.switching import choices, needs_sign_in, plan

HERE = "https://erp.example/ritorno"
CARLA = ProfileKey("", "carla")
PASSWORD = Changes(
    sender="carla@ditta.example",
    transport="smtp_basic",
    settings={"host": "mail.ditta.example", "port": 465, "security": "ssl"},
    secrets=Secrets({"password": "prima"}),
)


@pytest.fixture
def operators(store: Store, plugins: Plugins) -> Operators:
    return Operators(store, plugins)


@pytest.fixture(autouse=True)
def _carla(operators: Operators) -> None:
    operators.save(CARLA, PASSWORD, by="admin")


def moved(store: Store, plugins: Plugins, to: str) -> Changes:
    row = store.row(CARLA)
    assert row is not None
    return plan(row.profile, to, plugins)


def everything(store: Store) -> tuple[Any, ...]:
    return store.get(CARLA), store.grant(CARLA), store.state(CARLA), store.version(), store.audit()


def test_a_finished_switch_changes_profile_and_grant_together(
    mailer: Mailer, store: Store, plugins: Plugins, told: Any
) -> None:
    told.changes.clear()
    before = store.version()
    begun = mailer.begin_sign_in(
        "carla", redirect_uri=HERE, changes=moved(store, plugins, "paper-api"), by="carla"
    )
    assert store.version() == before
    done = mailer.finish_sign_in("carla", {"state": begun.state, "code": "x"})
    assert isinstance(done, SignedIn)
    assert store.version() == before + 1  # one transaction
    found, grant = store.get(CARLA), store.grant(CARLA)
    assert found is not None
    assert grant is not None
    assert (found.profile.transport, grant.transport) == ("paper", "paper")
    assert dict(found.secrets) == {}  # the password went with its transport
    assert told.actions == ["carla edited", "carla signed_in"]
    assert {change.by for _, change in told.changes} == {"carla"}


@pytest.mark.parametrize("failure", ["refused", "another account", "unticked", "down", "abandoned"])
def test_a_failed_switch_leaves_the_profile_as_it_was(
    mailer: Mailer, store: Store, plugins: Plugins, vendor: Vendor, told: Any, failure: str
) -> None:
    before = everything(store)
    told.changes.clear()
    if failure == "refused":
        vendor.errors["finish"] = Held(problem("OAUTH-REFUSED"))
    elif failure == "down":
        vendor.errors["finish"] = NotSent(problem("OAUTH-TEMPORARY"))
    elif failure == "another account":
        vendor.account = "mario@example.it"
    elif failure == "unticked":
        vendor.unticked = frozenset({"send"})
    begun = mailer.begin_sign_in("carla", redirect_uri=HERE, changes=moved(store, plugins, "paper"))
    if failure != "abandoned":
        with pytest.raises((Held, NotSent)):
            mailer.finish_sign_in("carla", {"state": begun.state, "code": "x"})
    assert everything(store) == before
    assert told.changes == []


def test_a_switch_that_does_not_fit_is_refused_before_anybody_is_asked(
    mailer: Mailer, vendor: Vendor
) -> None:
    wrong = Changes(transport="paper", settings={"send_by": "pigeon", "colour": "red"})
    with pytest.raises(Misconfigured) as caught:
        mailer.begin_sign_in("carla", redirect_uri=HERE, changes=wrong)
    assert set(caught.value.fields) == {"send_by", "colour"}
    assert vendor.asked["begin"] == 0


def test_an_unsaved_profile_is_made_with_its_grant(mailer: Mailer, store: Store, told: Any) -> None:
    new = Changes(
        sender="dora@example.it", transport="paper", settings={"send_by": "api"}, aliases=("d@x.it",)
    )
    begun = mailer.begin_sign_in("dora", redirect_uri=HERE, changes=new)
    assert store.get(ProfileKey("", "dora")) is None
    mailer.finish_sign_in("dora", {"state": begun.state, "code": "x"})
    found = store.get(ProfileKey("", "dora"))
    assert found is not None
    assert found.profile.aliases == ("d@x.it",)
    assert told.actions[-2:] == ["dora created", "dora signed_in"]


def test_what_was_changed_meanwhile_is_kept_beside_the_switch(
    mailer: Mailer, store: Store, plugins: Plugins, operators: Operators
) -> None:
    begun = mailer.begin_sign_in("carla", redirect_uri=HERE, changes=moved(store, plugins, "paper"))
    operators.save(CARLA, Changes(sender_name="Carla Neri"), by="admin")
    mailer.finish_sign_in("carla", {"state": begun.state, "code": "x"})
    found = store.get(CARLA)
    assert found is not None
    assert (found.profile.sender_name, found.profile.transport) == ("Carla Neri", "paper")


def test_a_profile_that_went_elsewhere_meanwhile_is_not_signed_in(
    mailer: Mailer, store: Store, operators: Operators, vendor: Vendor
) -> None:
    anna = ProfileKey("", "anna")
    begun = mailer.begin_sign_in("anna", redirect_uri=HERE)
    operators.save(anna, Changes(settings={"sign_in": "app"}), by="admin")
    with pytest.raises(Misconfigured) as caught:
        mailer.finish_sign_in("anna", {"state": begun.state, "code": "x"})
    assert caught.value.problem.code == "PROFILE-CHANGED"
    assert vendor.asked["finish"] == 0


def test_the_pause_of_the_old_way_ends_with_it(
    mailer: Mailer, store: Store, plugins: Plugins, told: Any, message: Message, paper: PaperTransport
) -> None:
    store.pause(CARLA, problem("M365-SMTP-OFF"), by="recapito")
    begun = mailer.begin_sign_in("carla", redirect_uri=HERE, changes=moved(store, plugins, "paper-api"))
    assert store.state(CARLA).paused
    done = mailer.finish_sign_in("carla", {"state": begun.state, "code": "x"})
    assert isinstance(done, SignedIn)
    assert done.resumed
    assert told.actions[-3:] == ["carla edited", "carla signed_in", "carla resumed"]
    mailer.send("carla", message)
    assert paper.tokens[0][0] == "carla"


def test_a_persons_pause_stays_theirs(
    mailer: Mailer, store: Store, operators: Operators, plugins: Plugins
) -> None:
    operators.pause(CARLA, by="carla")
    begun = mailer.begin_sign_in("carla", redirect_uri=HERE, changes=moved(store, plugins, "paper-api"))
    done = mailer.finish_sign_in("carla", {"state": begun.state, "code": "x"})
    assert isinstance(done, SignedIn)
    assert not done.resumed
    assert store.state(CARLA).paused


@pytest.mark.parametrize(
    ("to", "transport", "settings"),
    [
        ("paper", "paper", {}),
        ("paper:paper-smtp", "paper", {"sign_in": "code", "send_by": "smtp"}),
        ("paper-smtp", "paper", {"sign_in": "code", "send_by": "smtp"}),
        ("paper-app", "paper", {"sign_in": "app"}),
    ],
)
def test_a_way_is_found_by_transport_or_mode(
    store: Store, plugins: Plugins, to: str, transport: str, settings: dict[str, Any]
) -> None:
    changes = moved(store, plugins, to)
    assert (changes.transport, dict(changes.settings)) == (transport, settings)


def test_within_one_transport_the_other_modes_settings_are_taken_back(
    plugins: Plugins, operators: Operators, store: Store
) -> None:
    anna = ProfileKey("", "anna")
    operators.save(anna, Changes(settings={"sign_in": "code", "send_by": "smtp"}), by="admin")
    row = store.row(anna)
    assert row is not None
    saved = operators.save(anna, plan(row.profile, "paper-app", plugins), by="anna")
    assert dict(saved.found.profile.settings) == {"sign_in": "app"}


def test_an_unknown_way_names_the_choices(store: Store, plugins: Plugins) -> None:
    with pytest.raises(NotFound) as caught:
        moved(store, plugins, "pigeon")
    assert caught.value.problem.code == "SWITCH-UNKNOWN"
    assert "paper-api" in str(caught.value.problem.params["known"])
    with pytest.raises(NotFound):
        moved(store, plugins, "paper:pigeon")


def test_every_choice_can_be_taken(store: Store, plugins: Plugins) -> None:
    row = store.row(CARLA)
    assert row is not None
    for each in choices(row.profile, plugins):
        assert plan(row.profile, each, plugins)


def test_whoever_signed_in_stays_who_signs_in(plugins: Plugins) -> None:
    shared = Profile.of(
        "carla",
        sender="info@ditta.example",
        transport="smtp_basic",
        settings={"host": "mail.ditta.example", "username": "carla@ditta.example"},
    )
    assert plan(shared, "paper", plugins).settings["account"] == "carla@ditta.example"


def test_a_switch_that_the_grant_covers_needs_no_sign_in(
    mailer: Mailer, store: Store, plugins: Plugins, operators: Operators, sign_in: Any
) -> None:
    anna = ProfileKey("", "anna")
    operators.save(anna, Changes(settings={"send_by": "smtp"}), by="admin")
    sign_in("anna")
    row, grant = store.row(anna), store.grant(anna)
    assert row is not None
    covered = operators.draft(anna, plan(row.profile, "paper-api", plugins))  # asks for less
    assert not needs_sign_in(covered, grant, plugins)
    operators.save(anna, plan(row.profile, "paper-api", plugins), by="anna")
    sign_in("anna")
    row, grant = store.row(anna), store.grant(anna)
    assert row is not None
    assert needs_sign_in(operators.draft(anna, plan(row.profile, "paper-smtp", plugins)), grant, plugins)
    assert needs_sign_in(operators.draft(anna, plan(row.profile, "paper-app", plugins)), grant, plugins)
    assert needs_sign_in(operators.draft(anna, Changes(sender="b@example.it")), grant, plugins)
    assert needs_sign_in(covered, None, plugins)
    assert not needs_sign_in(operators.draft(CARLA, Changes()), None, plugins)


def test_a_profile_that_goes_back_to_a_password_keeps_no_grant(
    store: Store, operators: Operators, sign_in: Any, told: Any
) -> None:
    anna = ProfileKey("", "anna")
    sign_in("anna")
    operators.save(anna, Changes(sender_name="Anna"), by="anna")
    assert store.grant(anna) is not None
    operators.save(
        anna,
        Changes(transport="smtp_basic", settings=PASSWORD.settings, secrets=PASSWORD.secrets),
        by="anna",
    )
    assert store.grant(anna) is None
    assert told.actions[-2:] == ["anna edited", "anna signed_out"]
