"""Which database is meant, and what of its URL may be shown."""

import stat
import traceback
from pathlib import Path

import pytest

from recapito.errors import Misconfigured
from recapito.store import Store
from recapito.store.location import config_folder, data_folder, default_database_file, key_file
from recapito.store.where import locate


def test_the_variable_names_the_database(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECAPITO_DATABASE", f"sqlite:///{tmp_path}/other.db")
    assert locate().path == tmp_path / "other.db"
    assert locate(f"sqlite:///{tmp_path}/third.db").path == tmp_path / "third.db"


def test_without_any_store_the_variable_is_named_and_nothing_is_made(home: Path) -> None:
    with pytest.raises(Misconfigured) as caught:
        Store.open()
    assert caught.value.problem.code == "STORE-NOWHERE"
    assert "RECAPITO_DATABASE" in str(caught.value)
    assert not home.exists()


def test_asking_where_things_lie_loads_no_database(in_processes) -> None:
    script = (
        "import sys; from recapito.store import keys; from recapito.store.location import key_file\n"
        "print(sorted({'sqlalchemy', 'alembic', 'psycopg', 'cryptography'} & sys.modules.keys()))"
    )
    assert in_processes(script, ()) == ["[]\n"]


def test_the_users_own_store_is_found_once_it_was_made(home: Path) -> None:
    with Store.create() as made, Store.open() as found:
        assert made.id == found.id
        assert made.url == f"sqlite:///{default_database_file()}"


def test_the_users_own_store_is_for_its_owner_only(home: Path) -> None:
    with Store.create() as store:
        store.told("a", "b")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data_folder().iterdir()}
        folders = [stat.S_IMODE(folder.stat().st_mode) for folder in (data_folder(), home)]
    assert modes.pop("recapito.db") == 0o600
    assert set(modes.values()) == {0o600}, "the write-ahead log holds the same data"
    assert folders == [0o700, 0o700]


def test_keys_and_database_lie_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECAPITO_HOME", raising=False)
    assert key_file().parent == config_folder()
    assert config_folder() != data_folder()


def test_a_relative_file_stays_the_same_when_the_folder_changes(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.create("sqlite:///here.db") as store:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        store.close()
        assert store.profiles() == ()


@pytest.mark.parametrize("name", ["città è.db", "a?b#c.db", "100%41.db"])
def test_a_file_may_have_any_name(home: Path, tmp_path: Path, name: str) -> None:
    import sqlalchemy

    url = sqlalchemy.URL.create("sqlite", database=str(tmp_path / name)).render_as_string()
    with Store.create(url) as store:
        assert store.database.where.path == tmp_path / name
    assert (tmp_path / name).is_file()


@pytest.mark.parametrize(
    "url",
    [
        "erp.db",
        "mysql://root:pl4nted@db/erp",
        "postgresql+psycopg2://anna:pl4nted@db/erp",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///a.db?cache=shared",
        "sqlite:///a.db?timeout=soon",
        "postgresql://anna:pl4nted@db/erp?schema=a;drop",
        "postgresql://anna:pl4nted@db:port/erp",
        "sqlite:///a.db?timeout=nan",
        "sqlite:///a.db?timeout=inf",
        "sqlite:///a.db?timeout=-1",
        "sqlite:///a.db?timeout=86401",
        "sqlite:///a\0.db",
        "sqlite:///a\ud800.db",
        "postgresql://anna:pl4nted%00@db/erp",
        "postgresql://anna:pl4nted\ud800@db/erp",
        "postgresql://an%0Ana:pl4nted@db/erp",
        "postgresql://anna:pl4nted@db\0.example.it/erp",
        "postgresql://anna:pl4nted@db/erp\n",
        "postgresql://anna:pl4nted@db/erp?host=/run%00/pg",
        "postgresql://anna:pl4nted@db/erp?host=a&host=b%1F",
        "postgresql://anna:pl4nted@db/erp?ho%00st=a",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    for opened in (locate, Store.open, Store.create):
        with pytest.raises(Misconfigured) as caught:
            opened(url)
        assert caught.value.problem.code == "STORE-URL"
        assert "pl4nted" not in str(caught.value) + repr(caught.value.problem)
        assert "pl4nted" not in with_locals(caught.value)


def with_locals(error: BaseException) -> str:
    """The traceback with the locals of all frames but the test's own."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    del told.stack[0]
    return "".join(told.format())


def test_a_password_in_the_url_is_not_shown() -> None:
    where = locate("postgresql://anna:pl4nted@db.example.it/erp?schema=posta")
    assert where.shown == "postgresql://anna:***@db.example.it/erp (posta)"
    assert where.schema == "posta"
    assert "pl4nted" not in repr(where)
    assert "schema" not in where.url.query
    other = locate("postgresql://anna@db/erp?password=pl4nted&sslpassword=pl4nted&host=/run/pg")
    assert "pl4nted" not in repr(other)
    assert "run" in other.shown
    assert other.url.query["password"] == "pl4nted"


def test_opening_makes_no_file(home: Path, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as caught:
        Store.open(f"sqlite:///{tmp_path}/new.db")
    assert caught.value.problem.code == "STORE-MISSING"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_named(home: Path, tmp_path: Path) -> None:
    for opened in (Store.open, Store.create):
        with pytest.raises(Misconfigured) as caught:
            opened(f"sqlite:///{tmp_path}/typo/new.db")
        assert caught.value.problem.code == "STORE-FOLDER"
        assert str(tmp_path / "typo") in str(caught.value)
    assert list(tmp_path.iterdir()) == []
