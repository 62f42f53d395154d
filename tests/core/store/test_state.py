"""Paused profiles, lowered limits, and who was told what: shared by all processes, kept by key."""

import threading
from datetime import UTC, datetime, timedelta

from recapito.limits import Limits, Rate
from recapito.profile import ProfileKey
from recapito.store import State, Store

ANNA, PEC = ProfileKey("", "anna"), ProfileKey("", "anna", "pec")


def test_a_profile_that_nobody_paused_is_active(store: Store) -> None:
    assert store.state(ANNA) == State(paused=False)


def test_a_pause_says_why_since_when_and_by_whom(store: Store, paused) -> None:
    before = datetime.now(UTC)
    assert store.pause(ANNA, paused, by="mailer")
    state = store.state(ANNA)
    assert (state.paused, state.problem, state.by) == (True, paused, "mailer")
    assert state.since is not None
    assert before <= state.since <= datetime.now(UTC)
    assert not store.state(PEC).paused


def test_only_a_new_code_is_news(store: Store, paused) -> None:
    assert store.pause(ANNA, paused, by="a")
    since = store.state(ANNA).since
    assert not store.pause(ANNA, paused.with_(reply="535 other words"), by="b")
    assert store.state(ANNA).since == since
    assert store.pause(ANNA, paused.with_(code="SENDER-MS"), by="c")
    assert store.state(ANNA).by == "c"


def test_a_resumed_profile_may_be_paused_anew(store: Store, paused) -> None:
    assert not store.resume(ANNA, by="x")
    store.pause(ANNA, paused, by="x")
    assert store.resume(ANNA, by="x")
    assert not store.resume(ANNA, by="x")
    assert not store.state(ANNA).paused
    assert store.pause(ANNA, paused, by="x")


def test_all_profiles_of_a_mailbox_are_paused_together(store: Store, paused) -> None:
    store.pause(PEC, paused, by="x")
    assert store.pause_mailbox([ANNA, PEC, ANNA], paused, by="mailer") == (ANNA,)
    assert store.pause_mailbox([ANNA, PEC], paused, by="mailer") == ()
    assert store.state(ANNA).paused
    assert [row.action for row in store.audit()] == ["paused", "paused"]


def test_many_threads_pause_a_profile_once(store: Store, paused) -> None:
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda: answers.append(store.pause(ANNA, paused, by="x"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 7 + [True]


def test_lowered_limits_end_by_themselves(store: Store) -> None:
    now = datetime.now(UTC)
    assert store.lowered("mailbox") is None
    store.lower_limit("mailbox", now + timedelta(hours=1), Limits(concurrency=1))
    assert store.lowered("mailbox") == (Limits(concurrency=1), now + timedelta(hours=1))
    store.lower_limit("other", now - timedelta(seconds=1), Limits(concurrency=1))
    assert store.lowered("other") is None


def test_limits_lowered_twice_hold_together(store: Store) -> None:
    now = datetime.now(UTC)
    store.lower_limit("mailbox", now + timedelta(hours=2), Limits(concurrency=3))
    store.lower_limit("mailbox", now + timedelta(hours=1), Limits(rates=(Rate(30, 60.0),)))
    assert store.lowered("mailbox") == (Limits(3, (Rate(30, 60.0),)), now + timedelta(hours=2))


def test_each_problem_is_told_once_until_it_is_solved(open_store) -> None:
    mine, other = open_store(), open_store()
    assert mine.told("profile:anna", "AUTH-FAILED")
    assert not other.told("profile:anna", "AUTH-FAILED")
    assert other.told("profile:anna", "SENDER-MS")
    assert other.told("profile:bruno", "AUTH-FAILED")
    mine.solved("profile:anna")
    assert other.told("profile:anna", "AUTH-FAILED")
    assert not other.told("profile:bruno", "AUTH-FAILED")


def test_many_threads_tell_a_problem_once(store: Store) -> None:
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda: answers.append(store.told("a", "b"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 7 + [True]
