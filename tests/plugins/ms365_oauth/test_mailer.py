"""The whole way, as a host goes it: a registration, a sign-in, sends, a move to Graph, and grants that die."""

from collections.abc import Iterator

import pytest

from recapito import Held, Mailer, Message, ProfileKey, Store
from recapito.clients import Clients
from recapito.operators import Changes, Operators
from recapito.permits import Permits
from recapito.plugins import Plugins
from recapito.signing import Begun, SignedIn
from recapito.switching import plan

ANNA = ProfileKey("", "anna")
HERE = "http://localhost:8400/"
MAIL = Message(to=["b@example.com"], subject="Fattura 12", text="ciao")


@pytest.fixture(autouse=True)
def _limits_of_its_own() -> None:
    Permits.forget()


@pytest.fixture
def store(tmp_path, monkeypatch) -> Iterator[Store]:
    monkeypatch.setenv("RECAPITO_HOME", str(tmp_path))
    monkeypatch.delenv("RECAPITO_KEYS", raising=False)
    with Store.create(f"sqlite:///{tmp_path / 'recapito.db'}") as made:
        yield made


@pytest.fixture
def plugins() -> Plugins:
    return Plugins.load()


@pytest.fixture
def mailer(store: Store) -> Iterator[Mailer]:
    with Mailer(store) as made:
        yield made


@pytest.fixture
def company(registered, store: Store, plugins: Plugins):
    """Saves the registration, and the profile as ``settings`` say; returns the stand-in."""

    def settle(sender: str = "anna@ditta.example", **settings: object):
        secrets = {name: secret.reveal() for name, secret in registered.secrets.items()}
        Clients(store, plugins).save("", "microsoft", registered.settings, secrets, by="admin")
        changes = Changes(sender=sender, transport="ms365_oauth", settings=settings)
        Operators(store, plugins).save(ANNA, changes, by="admin")
        return registered.microsoft

    return settle


def sign_in(mailer: Mailer, microsoft, **begin) -> SignedIn:
    begun = mailer.begin_sign_in("anna", redirect_uri=HERE, **begin)
    done = mailer.finish_sign_in("anna", microsoft.visit(begun.url))
    assert isinstance(done, SignedIn)
    return done


def test_signed_in_once_a_person_sends_for_good(mailer, company, store) -> None:
    microsoft = company()
    with pytest.raises(Held) as caught:
        mailer.send("anna", MAIL)
    assert caught.value.problem.code == "SIGN-IN-MISSING"
    done = sign_in(mailer, microsoft)
    assert (done.account, done.scopes) == ("anna@ditta.example", {"Mail.Send"})
    for _ in range(3):
        assert mailer.send("anna", MAIL).outcome == "accepted"
    assert microsoft.refreshes == 1
    grant = store.grant(ANNA)
    assert (grant.sign_in, grant.account) == ("code", "anna@ditta.example")
    with Mailer(store) as elsewhere:  # another process has the same token
        elsewhere.send("anna", MAIL)
    assert microsoft.refreshes == 1
    assert len(microsoft.messages) == 4


def test_a_code_on_another_device_does_as_well(mailer, company, store) -> None:
    microsoft = company()
    begun = mailer.begin_sign_in("anna", kind="device")
    waiting = mailer.finish_sign_in("anna", {"state": begun.state})
    assert isinstance(waiting, Begun)
    microsoft.authorize_device(begun.user_code)
    assert isinstance(mailer.finish_sign_in("anna", {"state": begun.state}), SignedIn)
    mailer.send("anna", MAIL)
    assert store.grant(ANNA).sign_in == "device"


def test_an_app_sends_without_anybody(mailer, company) -> None:
    microsoft = company(sign_in="app-only")
    assert mailer.send("anna", MAIL).outcome == "accepted"
    assert "authorization_code" not in {asked.form.get("grant_type") for asked in microsoft.requests}


def test_another_account_is_not_kept(mailer, company, store) -> None:
    microsoft = company()
    microsoft.consents("carlo@ditta.example")
    with pytest.raises(Held) as caught:
        sign_in(mailer, microsoft)
    assert caught.value.problem.code == "OAUTH-OTHER-USER"
    assert store.grant(ANNA) is None


def test_a_missing_permission_is_not_kept(mailer, company, store) -> None:
    microsoft = company(large_attachments=True)
    microsoft.consents("anna@ditta.example", untick=[f"{microsoft.url}/Mail.ReadWrite"])
    with pytest.raises(Held) as caught:
        sign_in(mailer, microsoft)
    assert caught.value.problem.code == "OAUTH-SCOPE"
    assert store.grant(ANNA) is None


def test_smtp_that_is_off_is_left_for_graph_as_one_act(mailer, company, store, plugins, registered) -> None:
    with registered.microsoft.smtp() as exchange:
        registered.more |= {"smtp_host": "localhost", "smtp_port": exchange.port}
        microsoft = company(send_by="smtp")
        assert sign_in(mailer, microsoft).scopes == {"SMTP.Send"}
        mailer.send("anna", MAIL)
        off = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."
        exchange.refuse("auth", off)
        exchange.drop_idle()
        with pytest.raises(Held) as caught:
            mailer.send("anna", MAIL)
        assert caught.value.problem.code == "M365-SMTP-OFF"
        row = store.row(ANNA)
        changes = plan(row.profile, "graph", plugins)
        done = sign_in(mailer, microsoft, changes=changes)
        assert (done.scopes, done.resumed) == ({"Mail.Send"}, True)
        assert mailer.send("anna", MAIL).outcome == "accepted"
    assert store.row(ANNA).profile.settings["send_by"] == "graph"
    assert len(exchange.messages) == len(microsoft.messages) == 1


def test_a_dead_grant_asks_microsoft_once(mailer, company) -> None:
    microsoft = company()
    sign_in(mailer, microsoft)
    mailer.send("anna", MAIL)
    microsoft.revoke("anna@ditta.example", "password")
    microsoft.requests.clear()
    for _ in range(3):
        with pytest.raises(Held) as caught:
            mailer.send("anna", MAIL)
    assert caught.value.problem.code in ("OAUTH-PWD-CHANGED", "PROFILE-PAUSED")
    assert microsoft.token_requests == 1
    assert sign_in(mailer, microsoft).resumed
    assert mailer.send("anna", MAIL).outcome == "accepted"


def test_a_secret_that_expired_holds_until_the_administrator_acts(mailer, company, store, plugins) -> None:
    microsoft = company()
    sign_in(mailer, microsoft)
    mailer.send("anna", MAIL)
    microsoft.expire_tokens()
    microsoft.identity.expired = True
    with pytest.raises(Held) as caught:
        mailer.send("anna", MAIL)
    problem = caught.value.problem
    assert (problem.code, problem.params["client"]) == ("OAUTH-APP-SECRET", "microsoft")
    microsoft.identity.expired = False
    saved = Clients(store, plugins).save(
        "", "microsoft", {}, {"client_secret": microsoft.client_secret}, by="admin"
    )
    assert saved.resumed == (ANNA,)
    assert mailer.send("anna", MAIL).outcome == "accepted"
