"""ms365_oauth: what a profile and a registration may say, and what follows from it."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from recapito.profile import Profile
from recapito.secret import Secrets
from recapito.settings import secret_fields, validate
from recapito.texts import said_in
from recapito_ms365_oauth.client import MicrosoftClientSettings
from recapito_ms365_oauth.microsoft import Microsoft, granted
from recapito_ms365_oauth.plugin import CLIENT, INFO
from recapito_ms365_oauth.settings import Ms365Settings, mailbox_of, permissions_of

BASE = {"tenant": "ditta.onmicrosoft.com", "client_id": "11111111-2222-3333-4444-555555555555"}
RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
CURVE = ec.generate_private_key(ec.SECP256R1())


def anna(sender: str = "anna@ditta.example", **settings: object) -> Profile:
    return Profile.of("anna", sender=sender, transport="ms365_oauth", settings=settings)


def certificate(key) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "recapito")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1)
    )
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def private(key, passphrase: str = "") -> str:
    lock = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock).decode()


# A profile


def test_a_profile_needs_nothing_to_be_said() -> None:
    validated, wrong = validate(Ms365Settings, {}, Secrets())
    assert (validated.settings, wrong) == ({}, {})
    assert secret_fields(Ms365Settings) == ()
    assert INFO.sign_in(anna()) == "code"
    assert INFO.account(anna()) == "anna@ditta.example"


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"sign_in": "password"}, {"sign_in"}),
        ({"send_by": "pigeon", "through": "wire"}, {"send_by", "through"}),
        ({"account": "anna"}, {"account"}),
        ({"account": "anna\x0b@ditta.example"}, {"account"}),
        ({"large_attachments": "often", "colour": "blue"}, {"large_attachments", "colour"}),
    ],
)
def test_every_wrong_field_of_a_profile_is_named(settings: dict[str, object], wrong: set[str]) -> None:
    _, found = validate(Ms365Settings, settings, Secrets())
    assert set(found) == wrong


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({}, {"Mail.Send"}),
        ({"send_by": "smtp"}, {"SMTP.Send"}),
        ({"large_attachments": True}, {"Mail.Send", "Mail.ReadWrite"}),
        ({"large_attachments": True, "send_by": "smtp"}, {"SMTP.Send"}),
        ({"account": "Anna@Ditta.example"}, {"Mail.Send"}),
        ({"account": "a.rossi@ditta.example"}, {"Mail.Send", "Mail.Send.Shared"}),
        (
            {"account": "a.rossi@ditta.example", "large_attachments": True},
            {"Mail.Send", "Mail.Send.Shared", "Mail.ReadWrite"},
        ),
        (
            {"account": "a.rossi@ditta.example", "large_attachments": True, "through": "mailbox"},
            {"Mail.Send", "Mail.Send.Shared", "Mail.ReadWrite", "Mail.ReadWrite.Shared"},
        ),
    ],
)
def test_the_least_is_asked_for(settings: dict[str, object], asked: set[str]) -> None:
    assert permissions_of(anna(**settings)) == asked


@pytest.mark.parametrize(
    ("settings", "mailbox"),
    [
        ({}, "info@ditta.example"),
        ({"account": "anna@ditta.example"}, "anna@ditta.example"),
        ({"account": "anna@ditta.example", "through": "mailbox"}, "info@ditta.example"),
        ({"account": "anna@ditta.example", "sign_in": "app-only"}, "info@ditta.example"),
    ],
)
def test_limits_hang_on_the_mailbox_that_sends(settings: dict[str, object], mailbox: str) -> None:
    profile = anna("Info@ditta.example", **settings)
    assert mailbox_of(profile).lower() == mailbox
    assert INFO.mailbox(profile) == mailbox


def test_facts_differ_by_the_way_out() -> None:
    graph, large, smtp = (
        INFO.for_profile(anna(**settings))
        for settings in ({}, {"large_attachments": True}, {"send_by": "smtp", "large_attachments": True})
    )
    assert graph.capabilities.maximum_size == 2_000_000
    assert large.capabilities.maximum_size == 150_000_000
    assert smtp.capabilities.maximum_size is None
    assert [info.capabilities.own_envelope for info in (graph, large, smtp)] == [False, False, True]
    assert [info.limits.concurrency for info in (graph, large, smtp)] == [4, 4, 3]
    assert (30, 60) in [(rate.maximum, rate.window) for rate in smtp.limits.rates]
    assert all(info.capabilities.keeps_sent_copy for info in (graph, large, smtp))
    assert graph.host(anna()) == "graph.microsoft.com"
    assert smtp.host(anna(send_by="smtp")) == "smtp.office365.com"


def test_a_mode_is_a_setting() -> None:
    for name, settings in INFO.modes.items():
        _, wrong = validate(Ms365Settings, settings, Secrets())
        assert wrong == {}
        assert INFO.sign_ins["code"](anna(**settings)).resource == name


def test_each_way_of_signing_in_is_offered() -> None:
    kinds = {name: make(anna()).kind for name, make in INFO.sign_ins.items()}
    assert kinds == {"code": "code", "device": "device", "app": "app"}
    assert INFO.sign_in(anna(sign_in="app-only")) == "app"
    assert {make(anna()).client for make in INFO.sign_ins.values()} == {CLIENT.name}


# A registration


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({}, {"tenant", "client_id"}),
        ({**BASE, "tenant": "a/b"}, {"tenant"}),
        ({**BASE, "authority": "http://login.example"}, {"authority"}),
        ({**BASE, "graph_root": "https://user@graph.example"}, {"graph_root"}),
        ({**BASE, "graph_root": "https://graph.example?x=1", "smtp_port": 0}, {"graph_root", "smtp_port"}),
        ({**BASE, "redirect_uri": "http://erp.example/back"}, {"redirect_uri"}),
        ({**BASE, "proxy": "socks5://proxy.example:1080"}, {"proxy"}),
        ({**BASE, "ca": "not a certificate"}, {"ca"}),
        ({**BASE, "cloud": "mars", "secret_expires": "soon"}, {"cloud", "secret_expires"}),
        ({**BASE, "assertion_file": "token"}, {"assertion_file"}),
    ],
)
def test_every_wrong_field_of_a_registration_is_named(settings: dict[str, object], wrong: set[str]) -> None:
    _, found = validate(MicrosoftClientSettings, settings, Secrets())
    assert set(found) == wrong


@pytest.mark.parametrize(
    "uri", ["http://localhost:8400/", "http://127.0.0.1:1/x", "https://erp.example/back"]
)
def test_a_redirect_comes_back_encrypted_or_to_this_machine(uri: str) -> None:
    _, wrong = validate(MicrosoftClientSettings, {**BASE, "redirect_uri": uri}, Secrets())
    assert wrong == {}


def test_emptied_fields_are_left_out() -> None:
    emptied = {**BASE, "authority": "", "smtp_port": " ", "cloud": "", "secret_expires": ""}
    validated, wrong = validate(MicrosoftClientSettings, emptied, Secrets({"client_secret": " "}))
    assert wrong == {}
    assert Microsoft.of(validated.settings) == Microsoft.of(BASE)


def test_the_id_of_a_secret_is_not_taken_for_its_value() -> None:
    _, wrong = validate(
        MicrosoftClientSettings, BASE, Secrets({"client_secret": "0f8fad5b-d9cb-469f-a165-70867728950e"})
    )
    assert "Value" in said_in(wrong["client_secret"], "en")
    assert "Valore" in said_in(wrong["client_secret"], "it")


def test_only_one_credential_is_taken() -> None:
    secrets = Secrets({"client_secret": "a secret's value", "certificate": private(RSA) + certificate(RSA)})
    _, wrong = validate(MicrosoftClientSettings, {**BASE, "assertion_file": "/run/token"}, secrets)
    assert set(wrong) == {"certificate", "assertion_file"}


@pytest.mark.parametrize("first", ["key", "certificate"])
def test_a_certificate_and_its_key_are_taken_in_any_order(first: str) -> None:
    blocks = [private(RSA), certificate(RSA)]
    pem = "".join(blocks if first == "key" else blocks[::-1])
    _, wrong = validate(MicrosoftClientSettings, BASE, Secrets({"certificate": pem}))
    assert wrong == {}


def test_an_encrypted_key_needs_its_passphrase() -> None:
    pem = private(RSA, "segretissima") + certificate(RSA)
    good = Secrets({"certificate": pem, "passphrase": "segretissima"})
    assert validate(MicrosoftClientSettings, BASE, good)[1] == {}
    for secrets in (Secrets({"certificate": pem}), Secrets({"certificate": pem, "passphrase": "altra"})):
        assert set(validate(MicrosoftClientSettings, BASE, secrets)[1]) == {"certificate"}


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        ("nothing at all", "no certificate"),
        (private(RSA), "no certificate"),
        (certificate(RSA), "no private key"),
        (private(OTHER) + certificate(RSA), "do not belong together"),
        (private(CURVE) + certificate(CURVE), "no RSA key"),
    ],
    # Each process has keys of its own, and names must be the same in all of them.
    ids=["no PEM", "key alone", "certificate alone", "another's key", "elliptic curve"],
)
def test_a_certificate_that_cannot_work_is_refused_in_words(pem: str, said: str) -> None:
    _, wrong = validate(MicrosoftClientSettings, BASE, Secrets({"certificate": pem}))
    assert said in said_in(wrong["certificate"], "en")
    assert said_in(wrong["certificate"], "it") != said_in(wrong["certificate"], "en")


# Where Microsoft is


@pytest.mark.parametrize(
    ("cloud", "login", "graph", "smtp"),
    [
        ("global", "login.microsoftonline.com", "graph.microsoft.com", "smtp.office365.com"),
        ("us-gov", "login.microsoftonline.us", "graph.microsoft.us", "smtp.office365.us"),
        ("us-dod", "login.microsoftonline.us", "dod-graph.microsoft.us", "outlook-dod.office365.us"),
        (
            "china",
            "login.partner.microsoftonline.cn",
            "microsoftgraph.chinacloudapi.cn",
            "smtp.partner.outlook.cn",
        ),
    ],
)
def test_national_clouds_have_their_own_places(cloud: str, login: str, graph: str, smtp: str) -> None:
    microsoft = Microsoft.of({**BASE, "cloud": cloud})
    assert microsoft.authority == f"https://{login}/ditta.onmicrosoft.com"
    assert microsoft.endpoint("token") == f"https://{login}/ditta.onmicrosoft.com/oauth2/v2.0/token"
    assert microsoft.graph_root == f"https://{graph}"
    assert microsoft.scopes("graph", {"Mail.Send"}) == [f"https://{graph}/Mail.Send"]
    assert microsoft.default_scope("graph") == f"https://{graph}/.default"
    assert microsoft.server_for("anna@ditta.example") == smtp
    assert microsoft.server_for("anna@outlook.it") == ("smtp-mail.outlook.com" if cloud == "global" else smtp)


def test_places_can_be_others() -> None:
    other = {
        "authority": "https://localhost:8443/",
        "graph_root": "https://localhost:8443/v1.0",
        "smtp_port": 2525,
    }
    microsoft = Microsoft.of({**BASE, **other, "smtp_host": "localhost"})
    assert microsoft.authority == "https://localhost:8443/ditta.onmicrosoft.com"
    assert microsoft.graph_root == "https://localhost:8443"
    assert (microsoft.server_for("anna@outlook.it"), microsoft.smtp_port) == ("localhost", 2525)
    assert INFO.for_profile(anna(), other).host(anna()) == "localhost"


def test_an_app_is_granted_what_is_granted_to_it_in_outlook() -> None:
    microsoft = Microsoft.of(BASE)
    assert microsoft.default_scope("smtp") == "https://outlook.office365.com/.default"
    assert microsoft.scopes("smtp", {"SMTP.Send"}) == ["https://outlook.office.com/SMTP.Send"]


@pytest.mark.parametrize(
    ("tenant", "uri"),
    [
        ("ditta.example", "https://login.microsoftonline.com/ditta.example/adminconsent?client_id=42"),
        ("common", "https://login.microsoftonline.com/organizations/adminconsent?client_id=42"),
    ],
)
def test_an_administrator_approves_at_an_address(tenant: str, uri: str) -> None:
    assert Microsoft.of({"tenant": tenant, "client_id": "42"}).consent_uri == uri


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("https://graph.microsoft.com/Mail.Send openid profile email", {"Mail.Send"}),
        ("Mail.Send", {"Mail.Send"}),
        ("mail.send Mail.ReadWrite", {"Mail.Send"}),
        ("https://graph.microsoft.com/Mail.Send.Shared", set()),
        ("", set()),
    ],
)
def test_what_was_granted_is_spelled_as_it_was_asked_for(said: str, names: set[str]) -> None:
    assert granted(said, {"Mail.Send"}) == names


def test_outlook_has_two_names() -> None:
    assert granted("https://outlook.office365.com/SMTP.Send", {"SMTP.Send"}) == {"SMTP.Send"}


def test_what_is_registered() -> None:
    assert CLIENT.name == "microsoft"
    assert CLIENT.loopback == "http://localhost:{port}/"
    assert set(secret_fields(CLIENT.settings)) == {"client_secret", "certificate", "passphrase"}
    assert set(CLIENT.settings.model_fields) >= {
        "tenant",
        "client_id",
        "authority",
        "graph_root",
        "smtp_host",
    }
