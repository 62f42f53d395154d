"""Where keys come from, and what happens where one is missing, wrong or seen by others."""

import base64
import os
import stat
import sys
import threading
import traceback
from pathlib import Path

import pytest

from recapito.errors import Misconfigured
from recapito.profile import Profile
from recapito.secret import Secret
from recapito.store import Store
from recapito.store.keyfile import KeyFile
from recapito.store.keys import EnvironmentKeys, key_source, keys_new
from recapito.store.location import key_file
from recapito.store.oskeyring import OsKeyring

ONE, TWO = (
    f"{name}:{base64.b64encode(bytes([number]) * 32).decode()}" for number, name in enumerate(("one", "two"))
)


def code_of(function, *arguments: object, **named: object) -> str:
    with pytest.raises(Misconfigured) as caught:
        function(*arguments, **named)
    for language in ("en", "it"):
        assert caught.value.problem.explain(language).do, "there is no remedy"
    return caught.value.problem.code


def test_the_first_secret_makes_the_key_file(store: Store, anna: Profile, save, tmp_path: Path) -> None:
    save(store, anna)
    assert not key_file().exists(), "no secret, no key"
    save(store, anna, password="one")
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    assert stat.S_IMODE(key_file().parent.stat().st_mode) == 0o700
    assert len(key_file().read_text().splitlines()) == 1


def test_the_key_file_never_has_other_rights(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0)
    seen: list[int] = []
    real = os.open

    def watched(path, flags, mode=0o777, **rest):  # type: ignore[no-untyped-def]
        descriptor = real(path, flags, mode, **rest)
        if flags & os.O_CREAT:
            seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    try:
        monkeypatch.setattr(os, "open", watched)
        keys_new()
        keys_new()
    finally:
        monkeypatch.undo()
        os.umask(before)
    assert seen
    assert set(seen) == {0o600}


def test_many_threads_make_one_first_key(home: Path) -> None:
    source = KeyFile()
    threads = [
        threading.Thread(target=source.add, args=(Secret(ONE),), kwargs={"only_first": True})
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = source.read()
    assert text is not None
    assert text.reveal().split() == [ONE]


def test_a_host_that_only_opens_makes_no_key(store: Store, anna: Profile, database_url: str, save) -> None:
    with Store.open(database_url) as opened:
        assert code_of(save, opened, anna, password="one") == "KEY-MISSING"
        assert opened.get(anna.key) is None, "nothing is half written"
        assert not key_file().exists()
        save(opened, anna)


def test_the_environment_says_keys_newest_first(
    store: Store, anna: Profile, database_url: str, save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECAPITO_KEYS", f"{TWO},{ONE}")
    with Store.open(database_url) as opened:
        save(opened, anna, password="x")
    monkeypatch.setenv("RECAPITO_KEYS", TWO)
    with Store.open(database_url) as opened:
        found = opened.get(anna.key)
        assert found is not None
        assert found.secrets["password"].reveal() == "x"
    assert not key_file().exists()


def test_the_database_says_which_key_writes(
    store: Store, anna: Profile, database_url: str, save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECAPITO_KEYS", ONE)
    with Store.open(database_url) as first:
        save(first, anna, password="x")
    # The first half of a rotation's deployment: some processes have the new key, some do not yet.
    monkeypatch.setenv("RECAPITO_KEYS", f"{TWO},{ONE}")
    with Store.open(database_url) as ahead:
        save(ahead, anna, password="y")
    monkeypatch.setenv("RECAPITO_KEYS", ONE)
    with Store.open(database_url) as behind:
        found = behind.get(anna.key)
        assert found is not None
        assert found.secrets["password"].reveal() == "y"


def test_an_unknown_key_is_named_and_nothing_is_written(
    store: Store, anna: Profile, database_url: str, save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECAPITO_KEYS", ONE)
    with Store.open(database_url) as opened:
        save(opened, anna, password="x")
    monkeypatch.setenv("RECAPITO_KEYS", TWO)
    with Store.open(database_url) as opened:
        assert code_of(opened.get, anna.key) == "KEY-UNKNOWN"
        assert code_of(save, opened, anna.with_(sender="b@example.it"), password="y") == "KEY-UNKNOWN"
        assert [row.profile for row in opened.profiles()] == [anna]
        with pytest.raises(Misconfigured, match="one"):
            opened.get(anna.key)
        assert code_of(opened.keys_rotate) == "KEY-UNKNOWN"
    monkeypatch.setenv("RECAPITO_KEYS", ONE)
    with Store.open(database_url) as opened:
        assert opened.get(anna.key) is not None


def test_a_wrong_key_under_a_known_id_is_told_apart(
    store: Store, anna: Profile, database_url: str, save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECAPITO_KEYS", ONE)
    with Store.open(database_url) as opened:
        save(opened, anna, password="x")
    wrong = "one:" + TWO.partition(":")[2]
    monkeypatch.setenv("RECAPITO_KEYS", wrong)
    with Store.open(database_url) as opened:
        assert code_of(opened.get, anna.key) == "KEY-WRONG"
        assert code_of(save, opened, anna, password="y") == "KEY-WRONG"
        bruno = Profile.of("bruno", sender="b@example.it", transport="memory")
        assert code_of(save, opened, bruno, password="y") == "KEY-WRONG"
        assert opened.get(bruno.key) is None
    monkeypatch.setenv("RECAPITO_KEYS", ONE)
    with Store.open(database_url) as opened:
        found = opened.get(anna.key)
        assert found is not None
        assert found.secrets["password"].reveal() == "x"


def test_an_unknown_key_is_looked_for_once_more(store: Store, anna: Profile, save) -> None:
    save(store, anna, password="x")
    kept = key_file().read_text()
    key_file().unlink()
    with Store.open(store.database.where.url.render_as_string(hide_password=False)) as opened:
        assert code_of(opened.get, anna.key) == "KEY-UNKNOWN"
        key_file().write_text(kept)
        key_file().chmod(0o600)
        assert opened.get(anna.key) is not None, "without opening the store again"


def test_a_lost_key_file_is_not_replaced_in_silence(store: Store, anna: Profile, save) -> None:
    save(store, anna, password="x")
    key_file().unlink()
    with Store.create(store.database.where.url.render_as_string(hide_password=False)) as opened:
        assert code_of(save, opened, anna, password="y") == "KEY-UNKNOWN"
    assert not key_file().exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_file_that_others_may_use_is_refused(home: Path, mode: int) -> None:
    keys_new()
    key_file().chmod(mode)
    with pytest.raises(Misconfigured) as caught:
        KeyFile().read()
    assert caught.value.problem.code == "KEY-FILE-OPEN"
    assert "chmod 600" in str(caught.value)
    assert code_of(keys_new) == "KEY-FILE-OPEN"


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "one:",
        "one:AAAA",
        "one:" + "A" * 44,
        ":" + ONE[4:],
        f"{ONE},{ONE}",
        "a b:" + ONE[4:],
        "one:ò",
    ],
)
def test_keys_that_cannot_be_read_are_named_but_not_shown(
    store: Store, anna: Profile, save, monkeypatch: pytest.MonkeyPatch, database_url: str, text: str
) -> None:
    monkeypatch.setenv("RECAPITO_KEYS", text)
    with Store.open(database_url) as opened:
        assert code_of(save, opened, anna, password="x") == "KEY-FORMAT"
        with pytest.raises(Misconfigured) as caught:
            save(opened, anna, password="x")
    assert ONE[4:] not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
    for frame, _ in traceback.walk_tb(caught.value.__traceback__):
        if "/recapito/" in frame.f_code.co_filename:
            assert ONE[4:20] not in repr(frame.f_locals)
    assert code_of(keys_new) == "KEY-FORMAT", "nothing is added to what cannot be read"


def test_base64_for_urls_is_read_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = bytes([251, 255] * 16)
    monkeypatch.setenv("RECAPITO_KEYS", f"a:{base64.b64encode(key).decode()}")
    from recapito.store.keys import parsed

    standard, urls = base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode()
    assert standard != urls
    assert list(parsed(Secret(f"a:{standard}\nb:{urls}\n"), "here")) == ["a", "b"]


def test_a_new_key_comes_first_in_the_file(home: Path) -> None:
    first, second = keys_new(), keys_new()
    assert [line.partition(":")[0] for line in key_file().read_text().splitlines()] == [second, first]
    assert (first.deploy, second.deploy) == (None, None)
    assert sorted(path.name for path in key_file().parent.iterdir()) == [".keys.lock", "keys"]


def test_with_the_environment_a_new_key_is_said_and_not_stored(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECAPITO_KEYS", ONE)
    made = keys_new()
    assert made.deploy is not None
    assert made.deploy.reveal().startswith(f"{made}:")
    assert made.deploy.reveal().endswith(f",{ONE}")
    assert "**" in repr(made.deploy)
    assert os.environ["RECAPITO_KEYS"] == ONE
    assert not key_file().exists()


class Backend:
    """A keyring in memory, as the package's own kit has it."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.fault: Exception | None = None

    def get_password(self, service: str, user: str) -> str | None:
        if self.fault:
            raise self.fault
        return self.kept.get((service, user))

    def set_password(self, service: str, user: str, password: str) -> None:
        self.kept[service, user] = password


def test_keys_may_lie_in_the_keyring_of_the_system(
    store: Store, anna: Profile, database_url: str, save
) -> None:
    backend = Backend()
    with Store.create(database_url, keys=OsKeyring(backend)) as opened:
        save(opened, anna, password="x")
        opened.keys_new()
        assert opened.keys_rotate() == 1
        assert opened.get(anna.key) is not None
    assert len(backend.kept["recapito", "keys"].split()) == 2
    assert not key_file().exists()
    backend.fault = RuntimeError("the keyring is locked")
    with Store.open(database_url, keys=OsKeyring(backend)) as opened:
        with pytest.raises(Misconfigured, match="the keyring is locked") as caught:
            opened.get(anna.key)
        assert caught.value.problem.code == "KEY-SOURCE"


def test_the_keyring_names_the_extra_that_brings_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECAPITO_KEYS", "keyring")
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(Misconfigured, match=r"recapito\[keyring\]"):
        key_source()


def test_the_source_is_the_file_unless_the_environment_says_otherwise(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(key_source(), KeyFile)
    monkeypatch.setenv("RECAPITO_KEYS", ONE)
    assert isinstance(key_source(), EnvironmentKeys)


def test_a_folder_that_cannot_be_made_is_named(home: Path) -> None:
    home.parent.mkdir(exist_ok=True)
    home.write_text("a file is in the way")
    with pytest.raises(Misconfigured) as caught:
        keys_new()
    assert caught.value.problem.code == "KEY-SOURCE"
    assert str(key_file()) in str(caught.value)


def test_a_failed_write_leaves_the_keys_as_they_were(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys_new()
    before = key_file().read_text()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert code_of(keys_new) == "KEY-SOURCE"
    assert key_file().read_text() == before
    assert sorted(path.name for path in key_file().parent.iterdir()) == [".keys.lock", "keys"]
