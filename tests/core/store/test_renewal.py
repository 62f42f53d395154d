"""Renewing grants: one does, the others wait, and nobody's word holds over a newer one."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text, update

from recapito.catalogue import problem
from recapito.profile import Profile, ProfileKey
from recapito.secret import Secret
from recapito.store import GrantRow, Store, schema
from recapito.store.turn import lock

ANNA = ProfileKey("", "anna")
REVOKED = problem("OAUTH-REVOKED", operator="anna")


def now_of(store: Store) -> GrantRow:
    found = store.grant(ANNA)
    assert found is not None
    return found


def kept(store: Store) -> tuple[str, dict[str, str]]:
    opened = store.open_grant(ANNA)
    assert opened is not None
    return opened.secret.reveal(), {name: opened.tokens[name].value.reveal() for name in opened.tokens}


def lease(store: Store, row: GrantRow, owner: str, seconds: float = 30) -> bool:
    return store.lease_grant(ANNA, row.id, row.generation, owner, seconds)


# The lease


def test_of_many_threads_one_gets_the_lease(store: Store, sign_in, in_threads) -> None:
    row = sign_in(store)
    assert sorted(in_threads(12, lambda number: lease(store, row, f"thread {number}"))) == [False] * 11 + [
        True
    ]


def test_of_six_processes_one_gets_the_lease(store: Store, sign_in, at_once) -> None:
    import os

    row = sign_in(store)
    told = at_once(6, lambda: str(lease(store, row, str(os.getpid()))))
    assert sorted(told) == ["False"] * 5 + ["True"]


def test_a_lease_says_until_when(store: Store, sign_in) -> None:
    row = sign_in(store)
    before = datetime.now(UTC)
    assert lease(store, row, "me", 25)
    until = now_of(store).lease_until
    assert until is not None
    assert before + timedelta(seconds=24) < until < datetime.now(UTC) + timedelta(seconds=26)
    assert now_of(store).generation == row.generation


def test_a_lease_that_ran_out_is_taken_by_the_next(store: Store, sign_in) -> None:
    row = sign_in(store)
    assert lease(store, row, "dead", seconds=0)
    assert lease(store, row, "next")
    assert not lease(store, row, "third")
    store.release_grant(ANNA, row.id, "dead")
    assert not lease(store, row, "third"), "who is late lets nobody else's lease go"


def test_a_lease_is_let_go_by_its_owner(store: Store, sign_in) -> None:
    row = sign_in(store)
    assert lease(store, row, "me")
    store.release_grant(ANNA, row.id, "me")
    assert now_of(store).lease_until is None
    assert lease(store, row, "next")


def test_the_patience_of_one_does_not_shorten_the_lease_of_another(store: Store, sign_in) -> None:
    row = sign_in(store)
    assert lease(store, row, "me", 30)
    assert not lease(store, row, "hasty", 0.1)


def test_a_lease_from_before_a_clock_was_set_back_holds_nobody_up(store: Store, sign_in) -> None:
    row = sign_in(store)
    assert lease(store, row, "dead")
    tomorrow = update(schema.grant).values(lease_until=datetime.now(UTC) + timedelta(days=1))
    store.database.write(lambda connection: connection.execute(tomorrow))
    assert lease(store, row, "next")


def test_there_is_no_lease_on_what_has_changed(store: Store, sign_in, token) -> None:
    row = sign_in(store)
    assert not store.lease_grant(ANNA, "another", 1, "me")
    assert not store.lease_grant(ANNA, row.id, 2, "me")
    assert not store.lease_grant(ProfileKey("acme", "anna"), row.id, 1, "me")
    assert store.renew_grant(ANNA, row.id, 1, resource="mail", token=token()) == 2
    assert not lease(store, row, "late")
    assert lease(store, now_of(store), "me")


@pytest.mark.postgres
def test_machines_whose_clocks_differ_go_by_the_servers(postgres_url: str, home: Path, sign_in) -> None:
    import psycopg

    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("create schema odd")
        admin.execute(
            "create function odd.clock_timestamp() returns timestamptz language sql"
            " as $$ select pg_catalog.clock_timestamp() + interval '1 day' $$"
        )
    odd = postgres_url + "?options=-c%20search_path%3Dodd,public,pg_catalog"
    with Store.create(postgres_url) as plain, Store.open(odd) as ahead:
        row = sign_in(plain)
        assert lease(ahead, row, "me")
        until = now_of(plain).lease_until
        assert until is not None
        assert until > datetime.now(UTC) + timedelta(hours=23), "not this process's clock"


def test_nobody_else_waits_for_a_lease(database_url: str, store: Store, anna: Profile, save, sign_in) -> None:
    assert lease(store, sign_in(store), "me")
    bruno = Profile.of("bruno", sender="bruno@example.it", transport="memory")
    with Store.open(f"{database_url}?timeout=0.1") as hasty:
        save(hasty, bruno, password="x")
        save(hasty, anna, password="x")
        sign_in(hasty, "bruno")
        assert hasty.lease_grant(bruno.key, hasty.grant(bruno.key).id, 1, "other")  # type: ignore[union-attr]


# The result


def test_a_renewal_saves_the_token_and_counts(store: Store, sign_in, token) -> None:
    row = sign_in(store)
    assert lease(store, row, "me")
    before, good = datetime.now(UTC), token("one")
    assert store.renew_grant(ANNA, row.id, 1, resource="mail", token=good, owner="me") == 2
    found = now_of(store)
    assert (found.id, found.generation, found.lease_until, found.granted) == (row.id, 2, None, row.granted)
    assert found.refreshed is not None
    assert before <= found.refreshed <= datetime.now(UTC)
    assert (found.account, found.scopes, found.idle_until) == (row.account, row.scopes, row.idle_until)
    opened = store.open_grant(ANNA)
    assert opened is not None
    assert abs(opened.tokens["mail"].expires_at - good.expires_at) < timedelta(milliseconds=1)
    assert kept(store) == ("refresh", {"mail": "one"})


def test_each_resource_has_a_token_of_its_own(store: Store, sign_in, token) -> None:
    row = sign_in(store)
    store.renew_grant(ANNA, row.id, 1, resource="https://graph", token=token("one"))
    store.renew_grant(ANNA, row.id, 2, resource="https://outlook", token=token("two"))
    store.renew_grant(ANNA, row.id, 3, resource="https://graph", token=token("three"))
    assert kept(store) == ("refresh", {"https://graph": "three", "https://outlook": "two"})


def test_a_renewal_changes_what_it_says_and_nothing_else(store: Store, sign_in, token) -> None:
    row = sign_in(store, idle_until=datetime.now(UTC) + timedelta(days=1))
    more = {"secret": Secret("rotated"), "scopes": ["mail.send"], "account": "a@b.it", "idle_until": None}
    assert store.renew_grant(ANNA, row.id, 1, resource="mail", token=token(), **more) == 2
    found = now_of(store)
    assert (found.scopes, found.account, found.idle_until) == (frozenset({"mail.send"}), "a@b.it", None)
    assert kept(store) == ("rotated", {"mail": "access"})
    later = datetime.now(UTC) + timedelta(days=90)
    assert store.renew_grant(ANNA, row.id, 2, resource="mail", token=token(), idle_until=later) == 3
    found = now_of(store)
    assert found.idle_until is not None
    assert abs(found.idle_until - later) < timedelta(milliseconds=1)
    assert kept(store)[0] == "rotated"


@pytest.mark.parametrize("fails_at", [0, 1])
def test_a_rotated_secret_and_its_token_are_saved_together_or_not_at_all(
    store: Store, sign_in, token, fails_at: int
) -> None:
    row = sign_in(store, secret="old")
    assert lease(store, row, "me")
    before, seen = now_of(store), []

    def fail(connection, cursor, statement, *rest: object) -> None:
        if statement.lower().startswith("insert into recapito_secret"):
            seen.append(statement)
            if len(seen) > fails_at:
                raise RuntimeError("the power went")

    event.listen(store.database.engine, "before_cursor_execute", fail)
    with pytest.raises(RuntimeError):
        store.renew_grant(ANNA, row.id, 1, resource="mail", token=token(), secret=Secret("new"), owner="me")
    event.remove(store.database.engine, "before_cursor_execute", fail)
    assert len(seen) == fails_at + 1
    assert (now_of(store), kept(store)) == (before, ("old", {}))
    given = {"resource": "mail", "token": token(), "secret": Secret("new"), "owner": "me"}
    assert store.renew_grant(ANNA, row.id, 1, **given) == 2
    assert kept(store) == ("new", {"mail": "access"})


def test_a_late_winner_cannot_overwrite_a_newer_renewal(store: Store, sign_in, token) -> None:
    row = sign_in(store)
    assert lease(store, row, "late", seconds=0)
    assert lease(store, row, "next")
    given = {"resource": "mail", "secret": Secret("newer"), "token": token("newer")}
    assert store.renew_grant(ANNA, row.id, 1, owner="next", **given) == 2
    after = now_of(store)
    given = {"resource": "mail", "secret": Secret("late"), "token": token("late")}
    assert store.renew_grant(ANNA, row.id, 1, owner="late", **given) is None
    assert (now_of(store), kept(store)) == (after, ("newer", {"mail": "newer"}))


def test_a_late_winner_cannot_overwrite_a_newer_sign_in(store: Store, sign_in, token) -> None:
    row = sign_in(store)
    assert lease(store, row, "late")
    newer = sign_in(store, secret="newer")
    given = {"resource": "mail", "secret": Secret("late"), "token": token("late"), "owner": "late"}
    assert store.renew_grant(ANNA, row.id, 1, **given) is None
    assert not store.fail_grant(ANNA, row.id, 1, REVOKED, client_revision="1", owner="late")
    store.release_grant(ANNA, row.id, "late")
    assert (now_of(store), kept(store)) == (newer, ("newer", {}))
    store.remove_grant(ANNA, by="x")
    assert store.renew_grant(ANNA, newer.id, 1, **given) is None
    assert store.grant(ANNA) is None, "who signed out is not signed in again"


def test_of_many_renewals_of_one_generation_one_holds(store: Store, sign_in, token, in_threads) -> None:
    row = sign_in(store)

    def renew(number: int) -> object:
        given = {"secret": Secret(f"secret {number}"), "token": token(f"token {number}")}
        saved = store.renew_grant(ANNA, row.id, 1, resource="mail", **given)
        return None if saved is None else number

    [winner] = [each for each in in_threads(8, renew) if each is not None]
    assert kept(store) == (f"secret {winner}", {"mail": f"token {winner}"})
    assert now_of(store).generation == 2


@pytest.mark.postgres
@pytest.mark.parametrize(
    "change",
    [
        lambda store, row, token, sign_in: store.renew_grant(
            ANNA, row.id, 1, resource="mail", token=token(), secret=Secret("r")
        ),
        lambda store, row, token, sign_in: sign_in(store),
        lambda store, row, token, sign_in: store.remove_grant(ANNA, by="x"),
        lambda store, row, token, sign_in: store.ensure_grant(
            ANNA, transport="memory", sign_in="app", client="microsoft", instead_of=row.id
        ),
    ],
    ids=["renewed", "signed in", "signed out", "application"],
)
def test_whoever_waits_for_its_turn_holds_up_nobody(
    postgres_url: str, home: Path, sign_in, token, change
) -> None:
    """Two that wait for what the other holds would wait for ever: the store's row comes first, for all."""
    with Store.create(postgres_url) as store, Store.open(postgres_url) as other:
        row = sign_in(store)
        waiting = threading.Thread(target=lambda: change(other, row, token, sign_in))

        def work(connection: Connection) -> None:
            lock(connection)
            waiting.start()
            blocked = text("select count(*) from pg_locks where not granted")
            while not connection.execute(blocked).scalar():
                assert waiting.is_alive(), "it did not wait"
            connection.execute(text("select * from recapito_grant for update nowait"))

        store.database.write(work)
        waiting.join()
        found = store.grant(ANNA)
        assert found is None or (found.id, found.generation) != (row.id, 1), "then it had its turn"


# Failures


def test_a_failure_is_remembered_until_a_renewal(store: Store, sign_in, token) -> None:
    row = sign_in(store)
    assert lease(store, row, "me")
    assert store.fail_grant(ANNA, row.id, 1, REVOKED, client_revision="7", owner="me")
    found = now_of(store)
    assert (found.problem, found.client_revision, found.generation, found.lease_until) == (
        REVOKED,
        "7",
        1,
        None,
    )
    assert store.renew_grant(ANNA, row.id, 1, resource="mail", token=token()) == 2
    assert now_of(store).problem is None


def test_a_failure_of_somebody_who_is_late_does_not_count(store: Store, sign_in, token) -> None:
    row = sign_in(store)
    assert lease(store, row, "late", seconds=0)
    assert lease(store, row, "next")
    assert not store.fail_grant(ANNA, row.id, 1, REVOKED, client_revision="1", owner="late")
    found = now_of(store)
    assert (found.problem, found.lease_until is None) == (None, False), "the next one still renews it"
    assert store.renew_grant(ANNA, row.id, 1, resource="mail", token=token(), owner="next") == 2
    assert not store.fail_grant(ANNA, row.id, 1, REVOKED, client_revision="1", owner="next")
    assert now_of(store).problem is None


def test_a_renewal_concerns_no_session_that_is_open(store: Store, sign_in, token) -> None:
    row = sign_in(store)
    before = store.version()
    assert lease(store, row, "me")
    assert store.renew_grant(ANNA, row.id, 1, resource="mail", token=token(), secret=Secret("r")) == 2
    assert store.lease_grant(ANNA, row.id, 2, "me")
    assert store.fail_grant(ANNA, row.id, 2, REVOKED, client_revision="1", owner="me")
    store.release_grant(ANNA, row.id, "me")
    assert store.version() == before
    assert [each.action for each in store.audit()] == ["signed-in"]
