"""Profiles and their secrets: saved whole or not at all, read as they were saved."""

from dataclasses import replace

import pytest
from sqlalchemy import func, select

from recapito.errors import Misconfigured, NotFound
from recapito.ledger.journal import Journal
from recapito.limits import Limits, Rate
from recapito.profile import Profile, ProfileKey, ProfileSource
from recapito.secret import Secret
from recapito.store import ABSENT, Save, Store, schema


def test_a_profile_is_read_as_it_was_saved(store: Store, save) -> None:
    profile = Profile(
        ProfileKey("Caffè & C.", "anna", "fatture"),
        sender="anna@example.it",
        transport="smtp_basic",
        sender_name="Anna Città",
        aliases=("fatture@example.it", "ordini@example.it"),
        reply_to="ufficio@example.it",
        settings={"host": "mail.example.it", "port": 465, "dsn": True, "nested": {"a": [1, 2.5, None]}},
        limits=Limits(2, (Rate(200, 1200.0), Rate(10, 1.0, "recipients")), 50, 10_000_000),
        trusted_host=False,
    )
    revision = save(store, profile, password='pà ss:wörd"\\ \n', token="x" * 10_000)
    found = store.get(profile.key)
    assert found is not None
    assert found.profile == profile
    assert found.revision == revision
    assert {name: secret.reveal() for name, secret in found.secrets.items()} == {
        "password": 'pà ss:wörd"\\ \n',
        "token": "x" * 10_000,
    }


def test_a_store_is_a_source_of_profiles(store: Store, anna: Profile) -> None:
    source: ProfileSource = store
    assert source.get(anna.key) is None


def test_an_absent_secret_stays_and_none_deletes(store: Store, anna: Profile, save) -> None:
    save(store, anna, password="one", token="two")
    save(store, anna.with_(sender_name="Anna"))
    kept = store.get(anna.key)
    assert kept is not None
    assert set(kept.secrets) == {"password", "token"}
    save(store, anna, token=None)
    left = store.get(anna.key)
    assert left is not None
    assert dict(left.secrets) == {"password": Secret("one")}


def test_every_save_gives_another_revision(store: Store, anna: Profile, save) -> None:
    first = save(store, anna, password="one")
    second = save(store, anna, password="one")
    store.remove(anna.key, by="test")
    assert len({first, second, save(store, anna, password="one")}) == 3


def test_names_and_companies_keep_profiles_apart(store: Store, save) -> None:
    keys = [ProfileKey("", "anna"), ProfileKey("", "anna", "pec"), ProfileKey("acme", "anna")]
    for key in keys:
        save(store, Profile(key, sender="a@example.it", transport="memory"), password=str(key))
    for key in keys:
        found = store.get(key)
        assert found is not None
        assert found.profile.key == key
        assert found.secrets["password"].reveal() == str(key)


def test_a_save_of_an_older_revision_changes_nothing(store: Store, anna: Profile, save) -> None:
    old = save(store, anna, password="one")
    save(store, anna, password="two")
    before = store.audit()
    with pytest.raises(Misconfigured) as caught:
        save(store, anna.with_(sender="other@example.it"), expect_revision=old, password="three")
    assert caught.value.problem.code == "PROFILE-CHANGED"
    found = store.get(anna.key)
    assert found is not None
    assert (found.profile, found.secrets["password"].reveal()) == (anna, "two")
    assert store.audit() == before


def test_what_must_not_exist_yet_is_made_once(store: Store, anna: Profile, save) -> None:
    revision = save(store, anna, expect_revision=ABSENT, password="one")
    with pytest.raises(Misconfigured) as caught:
        save(store, anna.with_(sender="other@example.it"), expect_revision=ABSENT)
    assert caught.value.problem.code == "PROFILE-CHANGED"
    found = store.get(anna.key)
    assert found is not None
    assert (found.profile, found.revision) == (anna, revision)


def test_many_are_saved_together_or_not_at_all(store: Store, anna: Profile, save) -> None:
    revision = save(store, anna, password="one")
    bruno = Profile.of("bruno", sender="bruno@example.it", transport="memory", company="acme")
    items = [
        Save(bruno, {"password": Secret("x")}, "created", ["sender"]),
        Save(anna, {"password": Secret("y")}, "edited", ["secrets.password"], "0"),
    ]
    version = store.version()
    with pytest.raises(Misconfigured):
        store.save_many(items, by="test")
    assert store.get(bruno.key) is None
    assert store.companies() == ("",)
    assert store.version() == version
    good = [items[0], items[1]._replace(expect_revision=revision)]
    revisions = store.save_many(good, by="test")
    assert [row.revision for row in store.profiles()] == [revisions[1], revisions[0]]


def test_items_of_many_may_be_plain_tuples(store: Store, anna: Profile) -> None:
    store.save_many([(anna, {}, "created", ("sender",))], by="test")
    assert store.get(anna.key) is not None
    assert store.save_many([], by="test") == []


def test_removing_leaves_no_secret_and_no_state(store: Store, anna: Profile, save, paused) -> None:
    save(store, anna, password="one")
    store.pause(anna.key, paused, by="test")
    store.remove(anna.key, by="test")
    assert store.get(anna.key) is None
    assert not store.state(anna.key).paused
    count = select(func.count()).select_from(schema.secret)
    assert store.database.read(lambda connection: connection.execute(count).scalar()) == 0


def test_removing_what_is_not_there_is_not_found(store: Store, anna: Profile) -> None:
    with pytest.raises(NotFound) as caught:
        store.remove(anna.key, by="test")
    assert caught.value.problem.code == "PROFILE-UNKNOWN"
    assert store.audit() == ()


def test_the_list_is_in_order_and_shows_no_secret(store: Store, save, paused) -> None:
    for company, operator in (("b", "anna"), ("a", "zoe"), ("a", "anna")):
        profile = Profile.of(operator, sender="x@example.it", transport="memory", company=company)
        save(store, profile, password="pl4nted", token="pl4nted")
    store.pause(ProfileKey("a", "zoe"), paused, by="test")
    rows = store.profiles()
    assert [str(row.key) for row in rows] == ["a/anna", "a/zoe", "b/anna"]
    assert [row.secret_fields for row in rows] == [("password", "token")] * 3
    assert [row.state.paused for row in rows] == [False, True, False]
    assert [str(row.key) for row in store.profiles("a")] == ["a/anna", "a/zoe"]
    assert "pl4nted" not in repr(rows)


def test_one_row_says_what_the_list_says(store: Store, anna: Profile, save, paused) -> None:
    save(store, anna, token="pl4nted", password="pl4nted")
    save(store, anna.with_(key=anna.key._replace(name="pec")), password="pl4nted")
    store.pause(anna.key, paused, by="test")
    row = store.row(anna.key)
    assert row is not None
    assert [row] == [each for each in store.profiles() if each.key == anna.key]
    assert (row.secret_fields, row.state.problem) == (("password", "token"), paused)
    assert store.row(anna.key._replace(name="other")) is None
    assert store.row(anna.key._replace(name="\0")) is None


def test_what_opens_is_read_though_something_else_does_not(store: Store, anna: Profile, save) -> None:
    save(store, anna, password="one")
    store.keys_new()
    store.keys_rotate()
    everything = store.opened(anna.key)
    assert everything is not None
    assert (everything.found, everything.lost) == (store.get(anna.key), {})
    spoil = "update recapito_secret set field = 'token' where field = 'password'"
    store.database.write(lambda connection: connection.exec_driver_sql(spoil))
    save(store, anna, password="two")
    some = store.opened(anna.key)
    assert some is not None
    assert {name: secret.reveal() for name, secret in some.found.secrets.items()} == {"password": "two"}
    assert {name: problem.code for name, problem in some.lost.items()} == {"token": "SECRET-DAMAGED"}
    assert store.opened(anna.key._replace(name="other")) is None


def test_companies_come_into_being_with_their_first_profile(store: Store, save) -> None:
    assert store.companies() == ()
    for company in ("beta", "acme", "beta"):
        save(store, Profile.of("anna", sender="x@example.it", transport="memory", company=company))
    assert store.companies() == ("acme", "beta")


@pytest.mark.parametrize("bad", ["an\0na", "an\nna", "an\u2028na", "an\x85na", "\ud800", "", "a" * 256])
def test_a_key_that_no_database_should_hold_is_refused(store: Store, save, bad: str) -> None:
    profile = Profile.of(bad, sender="x@example.it", transport="memory")
    with pytest.raises(Misconfigured) as caught:
        save(store, profile)
    assert caught.value.problem.code == "SETTINGS-INVALID"
    assert "operator" in caught.value.fields
    assert store.get(profile.key) is None
    assert not store.state(profile.key).paused


@pytest.mark.parametrize("name", ["Anna\u00a0Verdi", "\U0001f469\u200d\U0001f527", "a" * 255])
def test_a_name_may_have_any_other_characters(store: Store, save, name: str) -> None:
    profile = Profile.of(name, sender="x@example.it", transport="memory")
    save(store, profile, password="one")
    found = store.get(profile.key)
    assert found is not None
    assert found.profile == profile


def test_the_longest_keys_can_be_kept_everywhere(store: Store, save, paused, entry) -> None:
    # Signs that do not repeat: PostgreSQL compresses what goes into an index.
    many = "".join(map(chr, range(0x4E00, 0x4E00 + 800)))
    for widest in (
        3 * [many[:222]],
        ["".join(map(chr, range(0x20000 + n, 0x200A6 + n))) for n in (0, 300, 600)],
    ):
        key = ProfileKey(*widest)
        save(store, Profile(key, sender="x@example.it", transport="memory"), password="one")
        assert store.pause(key, paused, by="test")
        assert store.told(str(key), "AUTH-FAILED")
        journal = Journal(store)
        journal.intend(replace(entry(), key=key, reference=many[:255])).result(10)
        journal.close()
    with pytest.raises(Misconfigured):
        save(store, Profile(ProfileKey(*3 * [many[:255]]), sender="x@example.it", transport="memory"))


@pytest.mark.parametrize("bad", ["a\0b", "a\ud800b"])
def test_a_text_that_no_database_can_hold_is_named(store: Store, anna: Profile, bad: str) -> None:
    wrong = {
        "sender": bad,
        "sender_name": bad,
        "aliases": ("a@b.it", bad),
        "reply_to": bad,
        "transport": bad,
        "settings": {"host": ["x", {bad: 1}]},
    }
    with pytest.raises(Misconfigured) as caught:
        store.save(anna.with_(**wrong), {bad: None}, by="x", action=bad, fields=[bad])
    assert caught.value.problem.code == "SETTINGS-INVALID"
    assert len(caught.value.fields) == len(wrong) + 3
    assert "sender_name" in caught.value.problem.explain("it").what
    assert store.get(anna.key) is None


def test_a_secret_that_is_no_text_is_refused_without_showing_it(store: Store, anna: Profile, save) -> None:
    save(store, anna, password="one")
    with pytest.raises(Misconfigured) as caught:
        save(store, anna, password="pl4nted\ud800")
    assert caught.value.problem.code == "SECRET-TEXT"
    assert "password" in caught.value.fields
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    found = store.get(anna.key)
    assert found is not None
    assert found.secrets["password"].reveal() == "one"


def test_two_stores_of_one_database_see_each_others_profiles(open_store, anna: Profile, save) -> None:
    first, second = open_store(), open_store()
    assert first.id == second.id
    save(first, anna, password="one")
    found = second.get(anna.key)
    assert found is not None
    assert found.secrets["password"].reveal() == "one"
