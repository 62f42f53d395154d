"""The number by which a process knows that somebody changed something."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recapito.errors import Misconfigured
from recapito.ledger.journal import Journal
from recapito.limits import Limits
from recapito.profile import ProfileKey
from recapito.store import Store

IN_AN_HOUR = datetime.now(UTC) + timedelta(hours=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda store, anna, problem: store.save(anna, {}, by="x", action="edited", fields=()),
        lambda store, anna, problem: store.remove(anna.key, by="x"),
        lambda store, anna, problem: store.pause(anna.key, problem, by="x"),
        lambda store, anna, problem: store.lower_limit("mailbox", IN_AN_HOUR, Limits(concurrency=1)),
        lambda store, anna, problem: (
            store.pause(anna.key, problem, by="x") and store.resume(anna.key, by="x")
        ),
    ],
    ids=["saved", "removed", "paused", "limited", "resumed"],
)
def test_every_change_is_seen_by_another_opening(open_store, anna, save, paused, change) -> None:
    mine, other = open_store(), open_store()
    save(mine, anna)
    before = mine.version()
    assert mine.version() == before
    change(other, anna, paused)
    assert mine.version() != before
    assert mine.version() == other.version()


@pytest.mark.parametrize(
    "change",
    [
        lambda store, sign_in: sign_in(store),
        lambda store, sign_in: store.remove_grant(ProfileKey("", "anna"), by="x"),
        lambda store, sign_in: store.ensure_grant(
            ProfileKey("", "bruno"), transport="memory", sign_in="app", client="microsoft"
        ),
        lambda store, sign_in: store.save_client("", "google", {}, {}, by="x", fields=()),
        lambda store, sign_in: store.remove_client("", "google", by="x"),
        lambda store, sign_in: store.resume_client("", "google", by="x"),
    ],
    ids=["signed in", "signed out", "application", "client", "no client", "client mended"],
)
def test_who_signs_in_with_what_is_seen_by_another_opening(open_store, sign_in, change) -> None:
    mine, other = open_store(), open_store()
    sign_in(mine)
    mine.save_client("", "google", {}, {}, by="x", fields=())
    before = mine.version()
    change(other, sign_in)
    assert mine.version() != before


def test_what_does_not_concern_a_send_changes_nothing(open_store, anna, paused, entry) -> None:
    mine, other = open_store(), open_store()
    mine.pause(anna.key, paused, by="x")
    before = mine.version()
    journal = Journal(other)
    journal.intend(entry()).result(10)
    other.told("profile:anna", "AUTH-FAILED")
    other.solved("profile:anna")
    assert not other.pause(anna.key, paused, by="x"), "it was paused with this code already"
    assert not other.resume(anna.key._replace(name="pec"), by="x")
    journal.close()
    assert mine.version() == before


def test_a_change_in_another_process_is_seen(store: Store, anna, save, forked) -> None:
    before = store.version()
    assert forked(lambda: save(store, anna)) == 0
    assert store.version() != before


def test_a_refused_save_changes_no_version(store: Store, anna, save) -> None:
    before = store.version()
    with pytest.raises(Exception, match="PROFILE-CHANGED"):
        save(store, anna, expect_revision="7")
    assert store.version() == before


def test_sqlite_answers_at_once_and_a_server_is_not_waited_for(store: Store) -> None:
    assert store.version_at_once() == (store.version() if store.database.where.is_sqlite else None)


@pytest.mark.timeout(20)
def test_a_locked_file_is_not_waited_for_on_an_event_loop(tmp_path: Path, home: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    Store.create(url).close()
    with Store.open(f"{url}?timeout=3600") as patient, Store.open(f"{url}?timeout=0.1") as hasty:
        for store in (patient, hasty):
            store.version()
            store.close()
        with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other:
            other.execute("pragma locking_mode=exclusive")
            other.execute("begin exclusive")
            assert patient.version_at_once() is None
            with pytest.raises(Misconfigured) as caught:
                hasty.version()
            assert caught.value.problem.code == "STORE-LOCKED"
        assert patient.version_at_once() == hasty.version()


def test_it_works_again_after_closing(store: Store, anna, save) -> None:
    before = store.version()
    store.close()
    assert store.version() == before
    save(store, anna)
    assert store.version() != before
