"""Gmail as a host sees it: a registration, a consent, messages, and what ends them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from gmail_stage import ACCOUNTS, REDIRECT, Stage, anna

from recapito import Mailer, Message, switching
from recapito.clients import Clients
from recapito.errors import Held, UnknownOutcome
from recapito.operators import Changes, Operators
from recapito.receipt import Receipt
from recapito.store import Store
from recapito.testing import SmtpServer
from recapito_gmail_oauth.google import SEND
from recapito_gmail_oauth.plugin import SERVICE_ACCOUNT

KEY = anna().key


class Host:
    """An application whose company has both registrations, and whose operator Anna has a Gmail profile."""

    def __init__(self, stage: Stage, smtp: SmtpServer, store: Store, mailer: Mailer) -> None:
        self.google = stage.google
        self.store = store
        self.mailer = mailer
        self.clients = Clients(store, mailer.plugins)
        self.operators = Operators(store, mailer.plugins)
        place = {"smtp_host": "localhost", "smtp_port": smtp.port}
        self.clients.save(
            "", "google", stage.settings(**place), dict(self.google.client_secrets()), by="admin"
        )
        key = {"key": self.google.service_account()}
        self.clients.save(
            "", SERVICE_ACCOUNT.name, stage.settings(SERVICE_ACCOUNT, **place), dict(key), by="admin"
        )
        self.operators.save(KEY, Changes(sender=ACCOUNTS[0], transport="gmail_oauth"), by="anna")

    def sign_in(self, changes: Changes | None = None) -> str:
        begun = self.mailer.begin_sign_in("anna", redirect_uri=REDIRECT, session="cookie", changes=changes)
        query = self.google.visit(begun.url)
        ended = self.mailer.finish_sign_in("anna", query, session="cookie")
        return ended.account

    def send(self, subject: str = "Fattura 12") -> Receipt:
        message = Message(to=["cliente@example.com"], bcc=["archivio@example.com"], subject=subject, text="x")
        return self.mailer.send("anna", message)

    def switch(self, mode: str) -> Changes:
        found = self.store.get(KEY)
        assert found is not None
        return switching.plan(found.profile, mode, self.mailer.plugins)


@pytest.fixture
def host(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("RECAPITO_HOME", str(tmp_path))
    with stage.google.smtp() as smtp:
        store = Store.create(f"sqlite:///{tmp_path}/recapito.sqlite")
        with store, Mailer(store, store=store) as mailer:
            yield Host(stage, smtp, store, mailer)


def test_after_one_consent_messages_leave_on_one_connection_with_one_token(host: Host) -> None:
    assert host.sign_in() == "anna@example.com"
    before = host.google.token_requests
    receipts = [host.send(f"Fattura {number}") for number in range(5)]
    assert all(receipt.provider_id for receipt in receipts)
    uploads = [asked for asked in host.google.requests if asked.path.startswith("/upload")]
    assert (len(uploads), len({asked.connection for asked in uploads})) == (5, 1)
    assert host.google.token_requests - before <= 1
    for arrived in host.google.messages:
        assert set(arrived.recipients) == {"cliente@example.com", "archivio@example.com"}
        assert b"archivio" not in arrived.content


def test_consent_of_another_account_is_not_kept(host: Host) -> None:
    host.google.consents(ACCOUNTS[1])
    with pytest.raises(Held) as caught:
        host.sign_in()
    assert caught.value.problem.code == "OAUTH-OTHER-USER"
    assert host.store.grant(KEY) is None


@pytest.mark.parametrize("account", ["Anna@Example.com", "ANNA@example.com"])
def test_another_spelling_of_the_account_is_the_same_account(host: Host, account: str) -> None:
    host.google.consents(account)
    host.sign_in()
    assert host.store.grant(KEY) is not None


def test_an_unticked_box_is_not_kept(host: Host) -> None:
    host.google.consents(ACCOUNTS[0], untick=[SEND])
    with pytest.raises(Held) as caught:
        host.sign_in()
    assert caught.value.problem.code == "OAUTH-SCOPE"
    assert host.store.grant(KEY) is None


def test_a_revoked_grant_pauses_the_profile_until_a_new_consent(host: Host) -> None:
    host.sign_in()
    host.send()
    host.google.revoke(ACCOUNTS[0])
    with pytest.raises(Held) as caught:
        host.send()
    assert caught.value.problem.code == "OAUTH-REVOKED"
    asked = len(host.google.requests)
    with pytest.raises(Held):
        host.send()
    assert len(host.google.requests) == asked, "Google is not asked again until somebody has acted"
    host.sign_in()
    host.send()
    assert len(host.google.messages) == 2


@pytest.mark.parametrize("mode", ["gmail-smtp", "gmail-service-account", "gmail-service-account-smtp"])
def test_a_profile_moves_to_another_way_as_one_act(host: Host, mode: str) -> None:
    host.sign_in()
    changes = host.switch(mode)
    if "service-account" in mode:
        host.operators.save(KEY, changes, by="anna")
    else:
        host.sign_in(changes)
    assert host.send().outcome == "accepted"
    found = host.store.get(KEY)
    assert found is not None
    assert switching.plan(found.profile, "gmail-api", host.mailer.plugins).settings == {
        "sign_in": "code",
        "send_by": "api",
    }


def test_what_may_have_left_is_never_sent_again(host: Host) -> None:
    host.sign_in()
    host.google.fail("/upload", how="lost")
    with pytest.raises(UnknownOutcome):
        host.send()
    assert len(host.google.messages) == 1


def test_a_sign_out_gives_the_grant_back(host: Host) -> None:
    host.sign_in()
    host.send()
    assert host.mailer.sign_out("anna")
    assert all(grant.dead for grant in host.google.grants.values() if grant.account == ACCOUNTS[0])
    with pytest.raises(Held) as caught:
        host.send()
    assert caught.value.problem.code == "SIGN-IN-MISSING"


def test_the_api_that_is_off_is_told_for_the_client(host: Host) -> None:
    host.sign_in()
    body = {"error": {"errors": [{"reason": "accessNotConfigured"}], "message": "Gmail API is off"}}
    host.google.fail("/upload", status=403, body=body)
    with pytest.raises(Held) as caught:
        host.send()
    assert caught.value.problem.code == "GOOGLE-API-OFF"
    assert caught.value.problem.params["client"] == "google"
    with pytest.raises(Held):
        host.send()
    settings = dict(host.clients.get("", "google").settings)  # type: ignore[union-attr]
    host.clients.save("", "google", settings, {}, by="admin")
    host.send()


def test_health_renews_a_grant_before_it_dies(host: Host) -> None:
    host.sign_in()
    [checked] = host.mailer.health(everything=True)
    assert (checked.key, checked.problem, checked.renewed) == (KEY, None, True)
