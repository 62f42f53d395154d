"""New keys while everybody goes on working."""

import subprocess
import sys
import time

import pytest
from sqlalchemy import select

from recapito.errors import Misconfigured
from recapito.profile import Profile
from recapito.secret import Secret
from recapito.store import Store, schema
from recapito.store.location import key_file
from recapito.store.turn import lock

#: Saves and reads one profile after the other until it is told to stop; knows the keys of its start.
BUSY = """
import sys
from recapito.profile import Profile
from recapito.secret import Secret
from recapito.store import Store
with Store.open(sys.argv[1]) as store:
    count = 0
    print("ready", flush=True)
    while not store.told_to_stop():
        profile = Profile.of(f"{sys.argv[2]}-{count % 20}", sender="a@example.it", transport="memory")
        store.save(profile, {"password": Secret(str(count))}, by="x", action="edited", fields=())
        assert store.get(profile.key).secrets["password"].reveal() == str(count)
        count += 1
    print(count)
""".replace("store.told_to_stop()", "(store.lowered('stop') is not None)")


def key_ids(store: Store) -> set[str]:
    query = select(schema.secret.c.key_id).distinct()
    return set(store.database.read(lambda connection: connection.execute(query).scalars().all()))


def fill(store: Store, save, count: int) -> list[Profile]:
    made = [Profile.of(f"operator-{n}", sender="a@example.it", transport="memory") for n in range(count)]
    for number, profile in enumerate(made):
        save(store, profile, password=f"secret {number}")
    return made


def test_a_new_key_only_decrypts_until_the_rotation(store: Store, anna: Profile, save) -> None:
    save(store, anna, password="x")
    [old] = key_ids(store)
    new = store.keys_new()
    save(store, anna, password="y")
    assert key_ids(store) == {old}
    assert store.keys_rotate() == 1
    assert key_ids(store) == {new}
    save(store, anna, token="z")
    assert key_ids(store) == {new}


def test_every_secret_is_sealed_anew_and_still_reads(store: Store, save) -> None:
    profiles = fill(store, save, 120)
    revisions = [row.revision for row in store.profiles()]
    new = store.keys_new()
    steps: list[tuple[int, int]] = []
    assert store.keys_rotate(progress=lambda done, total: steps.append((done, total))) == 120
    assert steps == [(50, 120), (100, 120), (120, 120)]
    assert key_ids(store) == {new}
    for number, profile in enumerate(profiles):
        found = store.get(profile.key)
        assert found is not None
        assert found.secrets["password"].reveal() == f"secret {number}"
    assert [row.revision for row in store.profiles()] == revisions, "open sessions need not be closed"
    assert store.keys_rotate() == 0


def test_what_sign_ins_leave_is_sealed_anew_too(
    store: Store, sign_in, token, attempt, database_url: str
) -> None:
    store.save_client("", "google", {}, {"client_secret": Secret("one")}, by="x", fields=())
    row = sign_in(store, secret="two")
    store.renew_grant(row.key, row.id, 1, resource="mail", token=token("three"))
    store.begin_attempt("s" * 43, attempt())
    new = store.keys_new()
    before = store.grant(row.key)
    assert store.keys_rotate() == 5
    assert key_ids(store) == {new}
    key_file().write_text(key_file().read_text().splitlines()[0])  # the old key is taken away
    with Store.open(database_url) as opened:
        client, grant, begun = (
            opened.client("", "google"),
            opened.open_grant(row.key),
            opened.attempt("s" * 43),
        )
        assert client is not None
        assert grant is not None
        assert begun is not None
        assert client.secrets["client_secret"].reveal() == "one"
        assert (grant.row, grant.secret.reveal()) == (before, "two")
        assert grant.tokens["mail"].value.reveal() == "three"
        assert begun.secrets == attempt().secrets


def test_grants_renewed_during_a_rotation_are_under_the_new_key(open_store, sign_in, token) -> None:
    mine, other = open_store(), open_store()
    rows = [sign_in(mine, f"operator-{number}") for number in range(60)]
    mine.keys_new()

    def renew(done: int, total: int) -> None:
        for row in rows:
            given = {"resource": "mail", "token": token(), "secret": Secret("rotated")}
            generation = other.grant(row.key).generation
            assert other.renew_grant(row.key, row.id, generation, **given) == generation + 1

    mine.keys_rotate(progress=renew)
    assert len(key_ids(mine)) == 1
    for row in rows:
        found = mine.open_grant(row.key)
        assert found is not None
        assert found.secret.reveal() == "rotated"


def test_whoever_seals_a_secret_takes_turns_with_a_rotation(
    store: Store, anna: Profile, save, sign_in, token, attempt, database_url: str
) -> None:
    """Otherwise one that was sealed with the former key could appear after the rotation had passed."""
    row = sign_in(store)

    def tried(connection) -> list[str]:
        lock(connection)  # as each group of a rotation does
        with Store.open(f"{database_url}?timeout=0.05") as hasty:
            return [refused(seal, hasty) for seal in sealing]

    sealing = [
        lambda hasty: save(hasty, anna, password="x"),
        lambda hasty: sign_in(hasty, "bruno"),
        lambda hasty: hasty.save_client("", "google", {}, {"s": Secret("x")}, by="x", fields=()),
        lambda hasty: hasty.renew_grant(row.key, row.id, 1, resource="mail", token=token()),
        lambda hasty: hasty.begin_attempt("s" * 43, attempt()),
    ]
    assert store.database.write(tried) == ["STORE-LOCKED"] * len(sealing)


def refused(seal, store: Store) -> str:
    with pytest.raises(Misconfigured) as caught:
        seal(store)
    return caught.value.problem.code


def test_the_rotation_is_audited(store: Store, anna: Profile, save) -> None:
    save(store, anna, password="x")
    new = store.keys_new()
    store.keys_rotate(by="Marta")
    row = store.audit(limit=1)[0]
    assert (row.action, row.by, row.key, dict(row.detail)) == ("keys-rotated", "Marta", None, {"key": new})


def test_an_interrupted_rotation_is_taken_up_again(store: Store, save) -> None:
    profiles = fill(store, save, 60)
    [old] = key_ids(store)
    new = store.keys_new()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.keys_rotate(progress=stop)
    assert key_ids(store) == {old, new}
    for profile in profiles:
        assert store.get(profile.key) is not None
    assert store.keys_rotate() == 10
    assert key_ids(store) == {new}


def test_a_rotation_ends_where_a_newer_one_has_begun(open_store, save) -> None:
    mine, other = open_store(), open_store()
    fill(mine, save, 120)
    mine.keys_new()
    newest: list[str] = []

    def begin_another(done: int, total: int) -> None:
        if not newest:
            newest.append(other.keys_new())
            assert other.keys_rotate() == 120

    assert mine.keys_rotate(progress=begin_another) == 50
    assert key_ids(mine) == set(newest), "the older rotation took nothing back"


def test_a_process_with_the_old_key_reads_its_source_again(open_store, anna: Profile, save) -> None:
    mine, running = open_store(), open_store()
    save(running, anna, password="x")
    assert running.get(anna.key) is not None
    mine.keys_new()
    mine.keys_rotate()
    found = running.get(anna.key)
    assert found is not None
    assert found.secrets["password"].reveal() == "x"
    save(running, anna, password="y")
    assert len(key_ids(running)) == 1


def test_processes_that_write_meanwhile_leave_nothing_unreadable(
    store: Store, save, database_url: str
) -> None:
    fill(store, save, 60)
    others = [
        subprocess.Popen(
            [sys.executable, "-c", BUSY, database_url, f"other-{number}"], stdout=subprocess.PIPE, text=True
        )
        for number in range(2)
    ]
    try:
        for each in others:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        for _ in range(2):
            new = store.keys_new()
            store.keys_rotate()
            time.sleep(0.1)
        stop(store)
        ended = [each.communicate(timeout=30)[0] for each in others]
    finally:
        for each in others:
            each.kill()
            each.wait()
    assert [each.returncode for each in others] == [0, 0]
    assert all(int(count) > 0 for count in ended)
    # The old keys are taken away: everything there is must be under the new one.
    key_file().write_text(key_file().read_text().splitlines()[0])
    with Store.open(database_url) as opened:
        assert key_ids(opened) == {new}
        rows = opened.profiles()
        assert len(rows) > 60
        for row in rows:
            assert opened.get(row.key) is not None


def stop(store: Store) -> None:
    from datetime import UTC, datetime, timedelta

    from recapito.limits import Limits

    store.lower_limit("stop", datetime.now(UTC) + timedelta(hours=1), Limits(concurrency=1))


def test_a_store_without_secrets_rotates_too(store: Store, anna: Profile, save) -> None:
    new = store.keys_new()
    assert store.keys_rotate() == 0
    save(store, anna, password="x")
    assert key_ids(store) == {new}


def test_the_secrets_of_a_lost_key_are_left_where_that_is_wanted(
    store: Store, save, database_url: str
) -> None:
    anna, bruno = fill(store, save, 2)
    [lost] = key_ids(store)
    new = store.keys_new()
    key_file().write_text(key_file().read_text().splitlines()[0] + "\n")
    with Store.open(database_url) as opened:
        with pytest.raises(Misconfigured, match=lost):
            opened.keys_rotate()
        assert key_ids(opened) == {lost}
        for changed in (True, False):
            rotated = opened.keys_rotate(leave_lost=True)
            assert (rotated, rotated.key, rotated.changed, rotated.lost) == (0, new, changed, 2)
        save(opened, anna, password="again")
        assert key_ids(opened) == {lost, new}
        found = opened.get(anna.key)
        assert found is not None
        assert found.secrets["password"].reveal() == "again"
        with pytest.raises(Misconfigured, match=lost):
            opened.get(bruno.key)


def test_a_rotation_says_whether_another_key_wrote_before(store: Store, anna: Profile, save) -> None:
    save(store, anna, password="x")
    [first] = key_ids(store)
    assert (store.keys_rotate().changed, store.keys_rotate().key) == (False, first)
    new = store.keys_new()
    rotated = store.keys_rotate()
    assert (rotated, rotated.changed, rotated.key, rotated.lost) == (1, True, new, 0)


def test_profiles_with_a_lost_key_can_be_removed_and_the_rest_rotated(
    store: Store, anna: Profile, save, database_url: str
) -> None:
    save(store, anna, password="x")
    key_file().unlink()
    with Store.create(database_url) as opened:
        opened.remove(anna.key, by="x")
        new = opened.keys_new()
        assert opened.keys_rotate() == 0
        save(opened, anna, password="y")
        assert key_ids(opened) == {new}
