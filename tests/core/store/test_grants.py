"""What sign-ins left: kept with the profile, in the place of what was there, and gone with it."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from recapito.catalogue import problem
from recapito.errors import Misconfigured
from recapito.profile import Profile, ProfileKey
from recapito.secret import Secret
from recapito.store import ABSENT, Save, Store, schema

ANNA, BRUNO = ProfileKey("", "anna"), ProfileKey("", "bruno")
SECRET = schema.secret.c


def secret_rows(store: Store) -> dict[tuple[str, str], bytes]:
    query = select(SECRET.owner, SECRET.field, SECRET.sealed)
    return store.database.read(lambda connection: {(o, f): bytes(s) for o, f, s in connection.execute(query)})


def as_app(store: Store, **more: str):
    given = {"transport": "memory", "sign_in": "app", "client": "microsoft"} | more
    return store.ensure_grant(ANNA, **given)


def actions(store: Store) -> list[str]:
    return [row.action for row in reversed(store.audit())]


def test_a_grant_is_read_as_it_was_saved(open_store, sign_in) -> None:
    mine, other = open_store(), open_store()
    before, idle = datetime.now(UTC), datetime.now(UTC) + timedelta(days=90)
    made = sign_in(mine, idle_until=idle)
    row = other.grant(ANNA)
    assert row == made
    assert (row.key, row.transport, row.sign_in, row.client) == (ANNA, "memory", "browser", "google")
    assert (row.account, row.scopes) == ("anna@example.it", frozenset({"mail.send", "openid"}))
    assert (row.generation, row.refreshed, row.problem, row.lease_until) == (1, None, None, None)
    assert abs(row.idle_until - idle) < timedelta(milliseconds=1)
    assert before <= row.granted <= datetime.now(UTC)
    opened = other.open_grant(ANNA)
    assert opened is not None
    assert (opened.row, opened.secret.reveal(), dict(opened.tokens)) == (row, "refresh", {})
    assert "refresh'" not in repr(opened)
    assert other.grant(BRUNO) is other.open_grant(BRUNO) is None


def test_grants_are_listed_by_company(store: Store, sign_in) -> None:
    sign_in(store, "bruno")
    sign_in(store, "anna")
    given = {"transport": "memory", "sign_in": "app", "client": "microsoft"}
    store.ensure_grant(ProfileKey("acme", "zeno"), **given)
    assert [str(row.key) for row in store.grants()] == ["anna", "bruno", "acme/zeno"]
    assert [str(row.key) for row in store.grants("acme")] == ["acme/zeno"]
    assert [str(row.key) for row in store.grants("")] == ["anna", "bruno"]


def test_a_new_sign_in_leaves_nothing_of_the_former(store: Store, sign_in, token) -> None:
    first = sign_in(store, secret="one")
    assert store.renew_grant(ANNA, first.id, 1, resource="mail", token=token()) == 2
    assert store.lease_grant(ANNA, first.id, 2, "somebody")
    second = sign_in(store, secret="two", client="microsoft")
    assert (second.id != first.id, second.generation, second.lease_until) == (True, 1, None)
    opened = store.open_grant(ANNA)
    assert opened is not None
    assert (opened.secret.reveal(), dict(opened.tokens)) == ("two", {})
    assert list(secret_rows(store)) == [(second.id, "grant")]


def test_every_sign_in_and_sign_out_is_noted_without_its_secret(
    store: Store, sign_in, token, contents
) -> None:
    row = sign_in(store, secret="pl4nted-grant")
    store.renew_grant(ANNA, row.id, 1, resource="mail", token=token("pl4nted-token"))
    assert store.remove_grant(ANNA, by="Marta")
    assert not store.remove_grant(ANNA, by="Marta")
    sign_in(store, secret="pl4nted-grant", action="switched")
    rows = store.audit()
    assert [(row.by, row.action, row.key, row.fields, dict(row.detail)) for row in rows] == [
        ("anna", "switched", ANNA, ("grant",), {}),
        ("Marta", "signed-out", ANNA, ("grant",), {}),
        ("anna", "signed-in", ANNA, ("grant",), {}),
    ]
    assert "pl4nted" not in contents(store)


def test_signing_out_leaves_no_secret(store: Store, sign_in, token) -> None:
    row = sign_in(store)
    store.renew_grant(ANNA, row.id, 1, resource="mail", token=token())
    assert len(secret_rows(store)) == 2
    assert store.remove_grant(ANNA, by="x")
    assert store.grant(ANNA) is store.open_grant(ANNA) is None
    assert secret_rows(store) == {}


def test_a_removed_profile_leaves_no_grant(store: Store, anna: Profile, save, sign_in, token) -> None:
    save(store, anna, password="x")
    row = sign_in(store)
    store.renew_grant(ANNA, row.id, 1, resource="mail", token=token())
    kept = sign_in(store, "bruno")
    store.remove(ANNA, by="x")
    assert [row.key for row in store.grants()] == [BRUNO]
    assert list(secret_rows(store)) == [(kept.id, "grant")]
    save(store, anna)
    assert store.grant(ANNA) is None, "who comes after has no right to it"


def test_a_profile_that_leaves_its_transport_leaves_its_grant(
    store: Store, anna: Profile, save, sign_in
) -> None:
    save(store, anna)
    sign_in(store)
    save(store, anna.with_(sender_name="Anna"))
    assert store.grant(ANNA) is not None
    save(store, anna.with_(transport="another"))
    assert store.grant(ANNA) is None
    assert secret_rows(store) == {}
    assert actions(store) == ["edited", "signed-in", "edited", "edited", "signed-out"]


def test_swapped_grants_do_not_decrypt(store: Store, sign_in) -> None:
    sign_in(store, "anna", "one")
    sign_in(store, "bruno", "two")
    (one, one_sealed), (two, two_sealed) = secret_rows(store).items()

    def swap(connection) -> None:
        for (owner, field), sealed in ((one, two_sealed), (two, one_sealed)):
            which = (SECRET.owner == owner) & (SECRET.field == field)
            connection.execute(update(schema.secret).where(which).values(sealed=sealed))

    store.database.write(swap)
    for key in (ANNA, BRUNO):
        with pytest.raises(Misconfigured) as caught:
            store.open_grant(key)
        assert caught.value.problem.code == "SECRET-DAMAGED"
        assert store.grant(key) is not None, "it can still be shown, and signed in anew"
    sign_in(store, "anna", "three")
    opened = store.open_grant(ANNA)
    assert opened is not None
    assert opened.secret.reveal() == "three"


# Sign-in and profile are saved together


def test_a_profile_and_its_sign_in_are_saved_together(store: Store, anna: Profile, sign_in) -> None:
    password = {"password": Secret("x")}
    sign_in(store, profile=Save(anna, password, "created", ["sender", "secrets.password"], ABSENT))
    found = store.get(ANNA)
    assert found is not None
    assert (found.profile, found.secrets["password"].reveal()) == (anna, "x")
    assert actions(store) == ["created", "signed-in"]


def test_a_profile_that_somebody_changed_keeps_the_grant_that_it_had(
    store: Store, anna: Profile, save, sign_in
) -> None:
    old = save(store, anna)
    save(store, anna, password="x")
    before = sign_in(store, secret="one")
    moved = Save(anna.with_(transport="another"), {}, "edited", (), old)
    noted = actions(store)
    with pytest.raises(Misconfigured) as caught:
        sign_in(store, secret="two", profile=moved)
    assert caught.value.problem.code == "PROFILE-CHANGED"
    opened = store.open_grant(ANNA)
    assert opened is not None
    assert (opened.row, opened.secret.reveal()) == (before, "one")
    assert actions(store) == noted


def test_a_switch_to_another_transport_keeps_the_new_grant(
    store: Store, anna: Profile, save, sign_in
) -> None:
    save(store, anna)
    sign_in(store, secret="one")
    moved = Save(anna.with_(transport="another"), {}, "edited", ["transport"])
    made = sign_in(store, secret="two", transport="another", profile=moved)
    assert store.grant(ANNA) == made
    assert list(secret_rows(store)) == [(made.id, "grant")]
    assert actions(store) == ["edited", "signed-in", "edited", "signed-in"]


def test_a_grant_that_cannot_be_sealed_saves_no_profile_either(store: Store, anna: Profile, sign_in) -> None:
    with pytest.raises(Misconfigured) as caught:
        sign_in(store, secret="a\udce0", profile=Save(anna, {}, "created", ()))
    assert caught.value.problem.code == "SECRET-TEXT"
    assert store.get(ANNA) is store.grant(ANNA) is None
    assert store.audit() == ()


def test_a_sign_in_ends_a_pause(store: Store, sign_in) -> None:
    assert not sign_in(store).resumed
    store.pause(ANNA, problem("OAUTH-REVOKED", operator="anna"), by="recapito")
    assert sign_in(store).resumed
    assert not store.state(ANNA).paused
    assert actions(store)[-2:] == ["signed-in", "resumed"]


def test_a_sign_in_does_not_end_what_a_person_wished(store: Store, sign_in) -> None:
    wish = problem("PROFILE-PAUSED", profile="anna", operator="anna", by="Marta")
    store.pause(ANNA, wish, by="Marta")
    assert not sign_in(store).resumed
    assert store.state(ANNA).problem == wish


def test_what_a_vendor_writes_in_a_name_does_no_harm(store: Store, sign_in, token) -> None:
    row = sign_in(store, account="an\0na\udce0", scopes={"a\0"})
    assert row.account == "an\ufffdna?"
    given = {"resource": "mail", "token": token(), "account": "b\0"}
    assert store.renew_grant(ANNA, row.id, 1, **given) == 2
    found = store.grant(ANNA)
    assert found is not None
    assert (found.account, found.scopes) == ("b\ufffd", frozenset({"a\0"}))


@pytest.mark.parametrize("operator", ["", "an\0na", "x" * 300])
def test_a_key_that_cannot_be_kept_has_no_grant(store: Store, sign_in, operator: str) -> None:
    key = ProfileKey("", operator)
    assert store.grant(key) is store.open_grant(key) is None
    assert not store.remove_grant(key, by="x")
    for refused in (
        lambda: sign_in(store, operator),
        lambda: store.ensure_grant(key, transport="memory", sign_in="app", client="microsoft"),
        lambda: store.lease_grant(key, "id", 1, "me"),
    ):
        with pytest.raises(Misconfigured) as caught:
            refused()
        assert caught.value.problem.code == "SETTINGS-INVALID"


# Where the application itself signs in


def test_an_applications_grant_is_made_once(open_store) -> None:
    mine, other = open_store(), open_store()
    before = mine.version()
    made = as_app(mine, account="anna@example.it")
    assert (made.generation, made.account, made.scopes) == (1, "anna@example.it", frozenset())
    after = mine.version()
    assert after != before, "it is part of what a send depends on"
    assert as_app(other, account="anna@example.it") == made
    assert as_app(other) == made, "without an account any will do"
    assert mine.version() == after
    opened = mine.open_grant(ANNA)
    assert opened is not None
    assert (opened.secret.reveal(), dict(opened.tokens)) == ("", {})
    assert mine.audit() == ()


def test_many_processes_that_need_a_grant_make_one(store: Store, at_once) -> None:
    before = store.version()
    told = at_once(6, lambda: as_app(store).id)
    [row] = store.grants()
    assert set(told) == {row.id}
    assert store.version() == before + 1


def test_an_applications_grant_takes_the_place_of_the_one_that_was_seen(store: Store, sign_in) -> None:
    person = sign_in(store)
    assert as_app(store) == person
    made = as_app(store, instead_of=person.id)
    assert (made.sign_in, store.grant(ANNA)) == ("app", made)
    assert secret_rows(store) == {}
    assert actions(store) == ["signed-in", "signed-out"]
    assert as_app(store, instead_of=made.id) == made, "it fits"
    other = as_app(store, instead_of=made.id, account="info@example.it")
    assert other.id != made.id, "its tokens may be good for one mailbox only"


def test_what_was_granted_meanwhile_is_not_replaced(store: Store, anna: Profile, save, sign_in) -> None:
    old = sign_in(store)
    new = sign_in(store, secret="new")
    assert as_app(store, instead_of=old.id) == new
    save(store, anna.with_(transport="another"))
    person = sign_in(store, transport="another", secret="newest")
    assert as_app(store, instead_of=person.id) == person, "the profile sends otherwise by now"
    opened = store.open_grant(ANNA)
    assert opened is not None
    assert opened.secret.reveal() == "newest"
