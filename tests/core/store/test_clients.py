"""OAuth registrations that companies bring: saved as profiles are, each company's own."""

from datetime import UTC, datetime

import pytest

from recapito.catalogue import problem
from recapito.errors import Misconfigured, NotFound
from recapito.profile import Profile, ProfileKey
from recapito.secret import Secret
from recapito.store import ABSENT, Store

SETTINGS = {"client_id": "123.apps.example", "scopes": ["a", "b"]}


def save(store: Store, company: str = "", name: str = "google", **secrets: str | None) -> str:
    wrapped = {field: None if text is None else Secret(text) for field, text in secrets.items()}
    fields = ("settings.client_id", *(f"secrets.{field}" for field in secrets))
    return store.save_client(company, name, SETTINGS, wrapped, by="Marta", fields=fields)


def test_a_client_is_read_as_it_was_saved(store: Store) -> None:
    before = datetime.now(UTC)
    revision = save(store, "acme", client_secret="s3cret")
    found = store.client("acme", "google")
    assert found is not None
    assert (found.company, found.name, found.settings, found.revision) == (
        "acme",
        "google",
        SETTINGS,
        revision,
    )
    assert found.secrets["client_secret"].reveal() == "s3cret"
    assert "s3cret" not in repr(found)
    [row] = store.clients()
    assert (row.company, row.name, row.settings, row.revision) == ("acme", "google", SETTINGS, revision)
    assert row.secret_fields == ("client_secret",)
    assert before <= row.created <= datetime.now(UTC)
    assert store.companies() == ("acme",), "a company may have its client before its first profile"


def test_each_company_has_its_own(store: Store) -> None:
    for company, secret in (("", "one"), ("acme", "two")):
        save(store, company, client_secret=secret)
    save(store, "acme", "microsoft")
    told = {}
    for company in ("", "acme", "other"):
        found = store.client(company, "google")
        told[company] = found and found.secrets["client_secret"].reveal()
    assert told == {"": "one", "acme": "two", "other": None}
    assert [(row.company, row.name) for row in store.clients()] == [
        ("", "google"),
        ("acme", "google"),
        ("acme", "microsoft"),
    ]
    assert [row.name for row in store.clients("acme")] == ["google", "microsoft"]
    assert [row.secret_fields for row in store.clients("acme")] == [("client_secret",), ()]


def test_a_secret_that_is_not_given_stays_and_none_deletes_it(store: Store) -> None:
    save(store, client_secret="one", key="two")
    save(store, key="three")
    found = store.client("", "google")
    assert found is not None
    assert {name: found.secrets[name].reveal() for name in found.secrets} == {
        "client_secret": "one",
        "key": "three",
    }
    save(store, client_secret=None)
    [row] = store.clients()
    assert row.secret_fields == ("key",)


def test_what_somebody_changed_meanwhile_is_not_saved_over(store: Store) -> None:
    def expecting(revision: str | None) -> str:
        return store.save_client("", "google", {}, {}, by="x", fields=(), expect_revision=revision)

    first = expecting(ABSENT)
    second = expecting(first)
    assert second != first
    for revision in (first, ABSENT):
        with pytest.raises(Misconfigured) as caught:
            expecting(revision)
        assert caught.value.problem.code == "CLIENT-CHANGED"
    found = store.client("", "google")
    assert found is not None
    assert found.revision == second


def test_every_change_of_a_client_is_noted_without_its_secret(store: Store, contents) -> None:
    save(store, "acme", client_secret="pl4nted")
    save(store, "acme", client_secret="pl4nted")
    store.remove_client("acme", "google", by="Luca")
    rows = store.audit(company="acme")
    assert [(row.by, row.action, dict(row.detail)) for row in rows] == [
        ("Luca", "client-removed", {"client": "google"}),
        ("Marta", "client-edited", {"client": "google"}),
        ("Marta", "client-created", {"client": "google"}),
    ]
    assert rows[1].fields == ("settings.client_id", "secrets.client_secret")
    assert {row.key for row in rows} == {None}
    assert "pl4nted" not in contents(store)


def test_a_removed_client_leaves_no_secret(store: Store, contents) -> None:
    save(store, client_secret="s3cret")
    assert "client_secret" in contents(store)
    store.remove_client("", "google", by="x")
    assert store.client("", "google") is None
    assert store.clients() == ()
    assert store.database.read(secrets_left) == []


def secrets_left(connection) -> list[object]:
    from recapito.store import schema

    return list(connection.execute(schema.secret.select()).all())


@pytest.mark.parametrize("name", ["google", "", "goo\0gle", "goo\udce0gle"])
def test_a_client_that_is_not_there_is_named_in_the_readers_language(store: Store, name: str) -> None:
    assert store.client("acme", name) is None
    with pytest.raises(NotFound) as caught:
        store.remove_client("acme", name, by="x")
    found = caught.value.problem
    assert found.code == "CLIENT-UNKNOWN"
    assert "recapito auth client list" in found.explain("en").do
    assert "recapito auth client list" in found.explain("it").do
    assert store.audit() == ()


def test_the_texts_of_an_unknown_client_name_it_and_its_company() -> None:
    found = problem("CLIENT-UNKNOWN", client="google", company="acme")
    assert found.explain("en").what == "There is no client google of acme."
    assert found.explain("it").what == "Non esiste la registrazione google di acme."
    alone = problem("CLIENT-UNKNOWN", client="google", company="")
    assert alone.explain("en").what == "There is no client google."
    assert alone.explain("it").what == "Non esiste la registrazione google."


@pytest.mark.parametrize(
    ("name", "settings"), [("goo\ngle", {}), ("", {}), ("google", {"client_id": "a\0"}), ("x" * 300, {})]
)
def test_what_no_database_can_hold_is_refused(store: Store, name: str, settings: dict[str, str]) -> None:
    with pytest.raises(Misconfigured) as caught:
        store.save_client("", name, settings, {}, by="x", fields=())
    assert caught.value.problem.code == "SETTINGS-INVALID"
    assert store.clients() == ()


def test_a_secret_that_cannot_be_stored_saves_nothing(store: Store) -> None:
    save(store, client_secret="one")
    before = store.client("", "google")
    with pytest.raises(Misconfigured) as caught:
        store.save_client("", "google", {}, {"client_secret": Secret("a\udce0")}, by="x", fields=())
    assert caught.value.problem.code == "SECRET-TEXT"
    assert store.client("", "google") == before
    assert [row.action for row in store.audit()] == ["client-created"]


def test_a_mended_client_lets_those_run_that_it_had_stopped(store: Store, sign_in, paused) -> None:
    fault = problem("OAUTH-APP-SECRET", client="google")
    other = problem("OAUTH-APP-SECRET", client="microsoft")
    revoked = problem("OAUTH-REVOKED", client="google", operator="dario")
    stopped = {
        ProfileKey("", "anna"): fault,
        ProfileKey("", "bruno"): other,
        ProfileKey("", "carla"): paused,
        ProfileKey("", "dario"): revoked,
        ProfileKey("acme", "anna"): fault,
    }
    for key, why in stopped.items():
        store.pause(key, why, by="recapito")
    for operator, why in (("anna", fault), ("dario", revoked), ("elena", fault)):
        row = sign_in(store, operator)
        store.pause(row.key, why, by="recapito")
        assert store.fail_grant(row.key, row.id, row.generation, why, client_revision="1", owner="")
    store.resume(ProfileKey("", "elena"), by="x")
    before = store.version()
    assert store.resume_client("", "google", by="Marta") == (ProfileKey("", "anna"),)
    assert store.version() != before
    assert [key for key in stopped if not store.state(key).paused] == [ProfileKey("", "anna")]
    assert {row.key.operator: row.problem for row in store.grants()} == {
        "anna": None,
        "dario": revoked,
        "elena": None,
    }
    [noted] = [row for row in store.audit(operator="anna") if row.action == "resumed" and row.by == "Marta"]
    assert dict(noted.detail) == {"client": "google"}
    assert store.resume_client("", "google", by="Marta") == ()


def test_many_processes_that_bring_a_client_make_one(store: Store, at_once) -> None:
    assert len(set(at_once(4, lambda: save(store, client_secret="x")))) == 4
    assert len(store.clients()) == 1
    assert [row.action for row in store.audit()] == ["client-edited"] * 3 + ["client-created"]


def test_profiles_and_clients_may_share_a_name(store: Store, anna: Profile) -> None:
    store.save(anna, {"client_secret": Secret("one")}, by="x", action="created", fields=())
    save(store, "", "anna", client_secret="two")
    store.remove_client("", "anna", by="x")
    found = store.get(anna.key)
    assert found is not None
    assert found.secrets["client_secret"].reveal() == "one"
