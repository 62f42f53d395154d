"""A company's clients: validated whole, saved as one, never shown."""

from typing import Any

import pytest

from recapito import Misconfigured, NotFound, Store
from recapito.clients import Clients
from recapito.plugins import Plugins


@pytest.fixture
def clients(store: Store, plugins: Plugins) -> Clients:
    return Clients(store, plugins)


def test_a_client_is_made_audited_and_listed_without_its_secrets(clients: Clients, store: Store) -> None:
    saved = clients.save("terza", "paper", {"client_id": "x"}, {"client_secret": "s3"}, by="admin")
    assert (saved.created, saved.fields) == (True, ("settings.client_id", "secrets.client_secret"))
    row = clients.get("terza", "paper")
    assert row == saved.row
    assert row is not None
    assert (dict(row.settings), row.secret_fields) == ({"client_id": "x"}, ("client_secret",))
    assert [each.company for each in clients.listed()] == ["", "altra", "terza"]
    assert [each.company for each in clients.listed("terza")] == ["terza"]
    audit = store.audit()[0]
    assert (audit.by, audit.action, audit.fields) == ("admin", "client-created", saved.fields)
    assert "s3" not in repr(audit)


def test_what_is_not_given_stays_and_none_takes_out(clients: Clients, store: Store) -> None:
    saved = clients.save("", "paper", {"redirect_uri": "https://x.example/"}, {"client_secret": ""}, by="a")
    assert saved.fields == ("settings.redirect_uri",)
    stored = store.client("", "paper")
    assert stored is not None
    assert stored.secrets["client_secret"].reveal() == "s3greto"
    assert dict(stored.settings) == {"client_id": "id-", "redirect_uri": "https://x.example/"}
    saved = clients.save(
        "", "paper", {"redirect_uri": None}, {"client_secret": None, "certificate": "pem"}, by="a"
    )
    assert saved.fields == ("settings.redirect_uri", "secrets.certificate", "secrets.client_secret")
    stored = store.client("", "paper")
    assert stored is not None
    assert set(stored.secrets) == {"certificate"}


def test_every_wrong_field_is_named_at_once(clients: Clients, store: Store) -> None:
    before = store.version()
    with pytest.raises(Misconfigured) as caught:
        clients.save("terza", "paper", {"colour": "red", "client_id": "a\nb"}, {"password": "x"}, by="admin")
    assert set(caught.value.fields) == {"colour", "client_id", "password"}
    assert "terza/paper" in str(caught.value)
    assert store.version() == before


def test_an_unknown_kind_names_those_that_there_are(clients: Clients) -> None:
    with pytest.raises(NotFound) as caught:
        clients.save("", "pigeon", {}, {}, by="admin")
    assert caught.value.problem.code == "CLIENT-KIND"
    assert "paper" in str(caught.value.problem.params["known"])


def test_saving_what_is_there_changes_nothing(clients: Clients, store: Store) -> None:
    before = clients.get("", "paper"), store.audit()
    saved = clients.save("", "paper", {"client_id": "id-"}, {"client_secret": "s3greto"}, by="admin")
    assert (saved.fields, saved.created) == ((), False)
    assert (clients.get("", "paper"), store.audit()) == before


def test_two_administrators_changes_are_never_put_together(clients: Clients, store: Store) -> None:
    class Slow(Clients):
        def _write(self, *args: Any, **rest: Any) -> None:
            clients.save("", "paper", {"client_id": "theirs"}, {}, by="other")
            super()._write(*args, **rest)

    with pytest.raises(Misconfigured):
        Slow(store, clients._plugins).save("", "paper", {"client_id": "mine"}, {}, by="admin")
    stored = store.client("", "paper")
    assert stored is not None
    assert stored.settings["client_id"] == "theirs"


def test_a_client_that_is_removed_is_gone_for_its_company_alone(clients: Clients, store: Store) -> None:
    clients.remove("altra", "paper", by="admin")
    assert clients.get("altra", "paper") is None
    assert clients.get("", "paper") is not None
    with pytest.raises(NotFound):
        clients.remove("altra", "paper", by="admin")
