"""One signed-in operator, a real server beside them, and a store of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recapito import Found, Profile, ProfileKey, Secret, Secrets, Store
from recapito.operators import Changes, Operators
from recapito.plugins import Plugins
from recapito.testing import SmtpServer

#: What clients break on: a space, a colon, quotes, a backslash, letters beyond ASCII.
PASSWORD = 'Perché: «no»? "3\\4" d\'Anna'


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    with SmtpServer(users={"anna@example.it": PASSWORD}) as server:
        yield server


@pytest.fixture
def anna(server: SmtpServer) -> Callable[..., Found]:
    """Makes Anna's profile at the server; what is given changes it."""

    def make(*, password: str = PASSWORD, **settings: object) -> Found:
        chosen = {"host": server.host, "port": server.port, "security": "ssl", "ca": server.pem}
        profile = Profile.of(
            "anna",
            sender="anna@example.it",
            sender_name="Anna Verdi",
            transport="smtp_basic",
            settings=chosen | settings,
        )
        return Found(profile, Secrets({"password": password}), "1")

    return make


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("RECAPITO_HOME", str(tmp_path / "home"))
    with Store.create(f"sqlite:///{tmp_path}/store.db") as store:
        yield store


@pytest.fixture
def stored(store: Store, anna: Callable[..., Found]) -> Callable[..., Store]:
    """Saves Anna's profile as a host does, and gives the store."""

    def save(*, password: str = PASSWORD, **settings: object) -> Store:
        profile = anna(**settings).profile
        changes = Changes(
            sender=profile.sender,
            sender_name=profile.sender_name,
            transport=profile.transport,
            settings=profile.settings,
            secrets=Secrets({"password": Secret(password)}),
        )
        Operators(store, Plugins.load()).save(ProfileKey("", "anna"), changes, by="admin")
        return store

    return save
