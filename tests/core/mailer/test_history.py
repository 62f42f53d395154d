"""What worked before decides what a failure means: a typing error, or something that passes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recapito import Found, Mailer, Message, Outcome, Profile, ProfileKey, Receipt, Secrets, Store
from recapito.catalogue import builtin
from recapito.context import ProfileContext, TlsContexts
from recapito.operators import Changes, Operators
from recapito.reply import ServerReply
from recapito.testing import CertificateAuthority, SmtpServer
from recapito.workers import Workers

KEY = ProfileKey("", "anna")
MESSAGE = Message(to=["cliente@example.com"], subject="Fattura", text="In allegato.")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("RECAPITO_HOME", str(tmp_path))
    with Store.create() as store:
        yield store


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    with SmtpServer(users={"anna": "giusta"}, authority=CertificateAuthority()) as server:
        yield server


def changes(server: SmtpServer, host: str = "localhost") -> Changes:
    settings = {"host": host, "port": server.port, "security": "ssl", "username": "anna", "ca": server.pem}
    return Changes(
        sender="anna@example.it",
        transport="smtp_basic",
        settings=settings,
        secrets=Secrets({"password": "giusta"}),
    )


def send(store: Store) -> Receipt:
    with Mailer(store) as mailer:
        return mailer.send("anna", MESSAGE, check=False)


def save(store: Store, change: Changes) -> None:
    with Mailer(store) as mailer:
        Operators(store, mailer.plugins).save(KEY, change, by="admin")


def context_of(store: Store) -> bool | None:
    from recapito.history import has_worked
    from recapito.ledger.journal import Journal

    journal = Journal(store)
    try:
        return has_worked(store, journal, KEY)
    finally:
        journal.close(5)


def test_a_profile_has_worked_once_a_server_accepted_and_not_after_its_settings_changed(
    store: Store, server: SmtpServer
) -> None:
    save(store, changes(server))
    assert context_of(store) is False
    assert send(store).outcome is Outcome.ACCEPTED
    assert context_of(store) is True
    save(store, Changes(sender_name="Anna Verdi"))
    assert context_of(store) is True
    save(store, Changes(secrets=Secrets({"password": "nuova"})))
    assert context_of(store) is False


def test_a_host_that_never_worked_and_does_not_exist_is_for_a_person(
    store: Store, server: SmtpServer
) -> None:
    save(store, changes(server, "mail.does-not-exist.invalid"))
    receipt = send(store)
    assert receipt.problem is not None
    assert receipt.problem.code == "NET-DNS"
    assert store.state(KEY).paused is (receipt.outcome is Outcome.HELD)


@pytest.mark.parametrize(
    ("worked", "outcome"), [(True, Outcome.NOT_SENT), (False, Outcome.HELD), (None, Outcome.HELD)]
)
def test_a_name_that_is_not_found_passes_where_the_host_has_worked(
    worked: bool | None, outcome: Outcome
) -> None:
    workers = Workers(1, "test")
    context = ProfileContext(
        Found(Profile.of("anna", sender="anna@example.it", transport="smtp_basic")),
        builtin(),
        TlsContexts(),
        workers,
    )
    context.worked = worked
    problem = context.explain(ServerReply("net", error="dns", host="mail.example.it", step="name"))
    assert (problem.code, problem.outcome) == ("NET-DNS", outcome)
    workers.shutdown()
