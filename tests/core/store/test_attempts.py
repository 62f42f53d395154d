"""Sign-ins under way: finished by any process, once, by the browser that began them, while their time lasts."""

from datetime import UTC, datetime, timedelta

import pytest

from recapito.errors import Misconfigured
from recapito.profile import Profile, ProfileKey
from recapito.secret import Secrets
from recapito.store import Store, schema
from recapito.store.attempts import MOST

ANNA, BRUNO = ProfileKey("", "anna"), ProfileKey("", "bruno")
STATE = "s" * 43


def rows(store: Store, table=schema.attempt) -> int:
    return store.database.read(lambda connection: len(connection.execute(table.select()).all()))


def test_an_attempt_is_read_as_it_was_begun(open_store, attempt) -> None:
    mine, other = open_store(), open_store()
    new = attempt(draft={"settings": {"send_by": "smtp"}}, interval=7.5)
    mine.begin_attempt(STATE, new)
    found = other.attempt(STATE)
    assert found is not None
    for name in ("key", "transport", "sign_in", "client", "kind", "redirect_uri", "hint", "by", "draft"):
        assert getattr(found, name) == getattr(new, name), name
    assert (found.interval, found.secrets) == (7.5, new.secrets)
    assert abs(found.expires - new.expires) < timedelta(milliseconds=1)
    assert other.attempt("t" * 43) is None


def test_looking_at_it_does_not_use_it_up(store: Store, attempt) -> None:
    store.begin_attempt(STATE, attempt())
    assert store.attempt(STATE) == store.attempt(STATE) != None  # noqa: E711 - a chain
    assert store.take_attempt(STATE) is not None
    assert store.attempt(STATE) is store.take_attempt(STATE) is None
    assert rows(store, schema.secret) == 0, "its secrets went with it"


def test_of_six_processes_one_gets_an_attempt(store: Store, attempt, at_once) -> None:
    for number in range(3):
        state = f"{number}" * 43
        store.begin_attempt(state, attempt())
        told = at_once(6, lambda state=state: "mine" if store.take_attempt(state) else "gone")
        assert sorted(told) == ["gone"] * 5 + ["mine"]


def test_of_many_threads_one_gets_an_attempt(store: Store, attempt, in_threads) -> None:
    store.begin_attempt(STATE, attempt())
    told = in_threads(12, lambda _: store.take_attempt(STATE))
    [found] = [each for each in told if each is not None]
    assert found.secrets["verifier"].reveal() == "v" * 43


def test_only_its_own_browser_is_known(store: Store, attempt) -> None:
    store.begin_attempt(STATE, attempt(session="browser-1"))
    found = store.attempt(STATE)
    assert found is not None
    assert found.matches_session("browser-1")
    for other in ("", "browser-2", "browser-1 ", "bröwser", "\udce0"):
        assert not found.matches_session(other)


def test_neither_state_nor_session_nor_secrets_lie_in_the_tables(store: Store, attempt, contents) -> None:
    store.begin_attempt(STATE, attempt())
    kept = contents(store)
    assert "anna@example.it" in kept, "what is looked through holds the attempt"
    for hidden in (STATE, "browser-1", "v" * 43, "n0nce"):
        assert hidden not in kept
    found = store.attempt(STATE)
    for shown in (repr(found), repr(attempt())):
        assert "anna@example.it" in shown
        for hidden in ("browser-1", "v" * 43, "n0nce", "session"):
            assert hidden not in shown


def test_an_attempt_whose_time_is_over_is_not_there(store: Store, attempt) -> None:
    store.begin_attempt(STATE, attempt(expires=datetime.now(UTC) - timedelta(seconds=1)))
    assert store.attempt(STATE) is store.take_attempt(STATE) is None
    assert store.attempts_of(ANNA) == 0
    assert rows(store) == 1
    store.begin_attempt("t" * 43, attempt("bruno"))
    assert rows(store) == 1, "the next one sweeps what has expired, whoever's it was"
    assert rows(store, schema.secret) == 2


def test_who_begins_without_end_loses_the_oldest(store: Store, attempt) -> None:
    store.begin_attempt("bruno" * 9, attempt("bruno"))
    states = [f"{number:043}" for number in range(MOST + 3)]
    for state in states:
        store.begin_attempt(state, attempt())
    assert store.attempts_of(ANNA) == MOST == 20
    assert [store.attempt(state) is not None for state in states] == [False] * 3 + [True] * MOST
    assert store.attempts_of(BRUNO) == 1, "another profile's are left alone"
    assert rows(store, schema.secret) == 2 * (MOST + 1)


def test_processes_that_begin_at_once_stay_within_the_bound(store: Store, attempt, at_once) -> None:
    def begin() -> str:
        import os

        for number in range(8):
            store.begin_attempt(f"{os.getpid()}-{number}", attempt())
        return ""

    at_once(4, begin)
    assert store.attempts_of(ANNA) == MOST


def test_a_slower_pace_is_kept_under_the_same_state(store: Store, attempt) -> None:
    store.begin_attempt(STATE, attempt(draft={"sender": "x@example.it"}))
    taken = store.take_attempt(STATE)
    assert taken is not None
    again = taken.again("browser-1")
    store.begin_attempt(STATE, again)
    found = store.attempt(STATE)
    assert found is not None
    assert found.id != taken.id
    assert (found.secrets, found.draft, found.expires) == (taken.secrets, taken.draft, taken.expires)
    assert found.matches_session("browser-1")


def test_one_state_is_one_attempt(store: Store, attempt) -> None:
    store.begin_attempt(STATE, attempt())
    with pytest.raises(Misconfigured):
        store.begin_attempt(STATE, attempt("bruno", secrets=Secrets({"verifier": "w" * 43})))
    found = store.attempt(STATE)
    assert found is not None
    assert (found.key, found.secrets["verifier"].reveal()) == (ANNA, "v" * 43)
    assert rows(store, schema.secret) == 2


def test_beginning_and_ending_concerns_no_send(store: Store, anna: Profile, save, attempt) -> None:
    save(store, anna)
    before = store.version()
    store.begin_attempt(STATE, attempt())
    store.take_attempt(STATE)
    assert store.version() == before
    assert [row.action for row in store.audit()] == ["edited"]


def test_a_removed_profile_leaves_none(store: Store, anna: Profile, save, attempt) -> None:
    save(store, anna)
    store.begin_attempt(STATE, attempt())
    store.begin_attempt("t" * 43, attempt("bruno"))
    store.remove(anna.key, by="x")
    assert store.attempt(STATE) is None
    assert store.attempt("t" * 43) is not None
    assert rows(store, schema.secret) == 2


@pytest.mark.parametrize("operator", ["", "an\0na", "x" * 300])
def test_a_key_that_cannot_be_kept_is_refused(store: Store, attempt, operator: str) -> None:
    key = ProfileKey("", operator)
    with pytest.raises(Misconfigured) as caught:
        store.begin_attempt(STATE, attempt(key=key))
    assert caught.value.problem.code == "SETTINGS-INVALID"
    assert store.attempts_of(key) == 0
    assert store.attempt("\udce0\0") is None, "what a stranger writes into an address is no failure"
