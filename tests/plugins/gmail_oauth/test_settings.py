"""What gmail_oauth and its registrations ask for: every wrong field named, in two languages, without its value."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from recapito.secret import Secrets
from recapito.settings import completed, secret_fields, validate
from recapito.testing import CertificateAuthority
from recapito.texts import Phrase, translation
from recapito_gmail_oauth.client import GoogleClientSettings, ServiceAccountSettings
from recapito_gmail_oauth.plugin import CLIENT, INFO, SERVICE_ACCOUNT
from recapito_gmail_oauth.settings import GmailSettings

GOOD = {"client_id": "1-a.apps.googleusercontent.com"}
SECRET = Secrets({"client_secret": "GOCSPX-abcdefgh"})
ADDRESS = "posta@progetto.iam.gserviceaccount.com"


def wrong(settings: Mapping[str, Any], **secrets: str) -> dict[str, str]:
    return validate(GmailSettings, settings, Secrets(secrets))[1]


def wrong_client(settings: Mapping[str, Any], secrets: Secrets = SECRET) -> dict[str, str]:
    return validate(GoogleClientSettings, GOOD | dict(settings), secrets)[1]


def wrong_account(settings: Mapping[str, Any], **secrets: str) -> dict[str, str]:
    return validate(ServiceAccountSettings, settings, Secrets(secrets))[1]


@pytest.fixture(scope="module")
def pem() -> str:
    made = ec.generate_private_key(ec.SECP256R1())
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def key(pem: str, **changes: Any) -> str:
    fields = {"type": "service_account", "client_email": ADDRESS, "private_key": pem, "client_id": "123"}
    return json.dumps(fields | changes, indent=2)


@pytest.mark.parametrize("typed", ["abcd efgh ijkl mnop", "abcdefghijklmnop", " abcd\u00a0efgh  ijklmnop "])
def test_spaces_of_an_app_password_do_not_matter(typed: str) -> None:
    validated, refused = validate(GmailSettings, {"sign_in": "app-password"}, Secrets({"password": typed}))
    assert refused == {}
    assert validated is not None
    assert validated.secrets["password"].reveal() == "abcdefghijklmnop"


def test_sign_in_with_google_is_what_nothing_said_means() -> None:
    assert wrong({}) == {}
    assert completed(GmailSettings, {})["sign_in"] == "code"


def test_a_password_that_nobody_would_use_is_told_where_it_stands() -> None:
    found = wrong({}, password="abcdefghijklmnop")
    assert found.keys() == {"password"}
    assert "app-password" in found["password"]
    assert isinstance(found["password"], Phrase)
    assert "app-password" in found["password"].text("it")
    assert found["password"].text("it") != found["password"].text("en")
    assert "abcdefghijklmnop" not in str(found)


def test_an_app_password_does_not_open_the_api() -> None:
    found = wrong({"sign_in": "app-password", "send_by": "api"}, password="abcdefghijklmnop")
    assert found.keys() == {"send_by"}


def test_settings_completed_with_their_defaults_still_validate() -> None:
    for given in ({}, {"sign_in": "app-password"}, {"sign_in": "service-account"}):
        assert wrong(completed(GmailSettings, given)) == {}


@pytest.mark.parametrize("flaw", ["\r\n", "\0", "\t", "\x7f", "\x85", "\u2028"])
def test_control_characters_are_refused_in_every_field(flaw: str) -> None:
    assert "account" in wrong({"account": f"a{flaw}b"})
    assert "password" in wrong({"sign_in": "app-password"}, password=f"a{flaw}b")
    for name in ("client_id", "redirect_uri", "auth_uri", "token_uri", "api_root", "smtp_host", "proxy"):
        assert name in wrong_client({name: f"https://a{flaw}b"}), name
    assert "client_secret" in wrong_client({}, Secrets({"client_secret": f"a{flaw}b"}))


@pytest.mark.parametrize("name", ["auth_uri", "token_uri", "revoke_uri", "userinfo_uri", "api_root"])
@pytest.mark.parametrize(
    "place",
    [
        "http://example.it/token",
        "https://",
        "https://user@example.it/",
        "https://user:pass@example.it/",
        "https://example.it/#x",
        "https://example.it:99999/",
        "https://exa mple.it/",
        "ftp://example.it/",
        "example.it",
        "https://[::1/",
    ],
)
def test_secrets_go_only_to_https(name: str, place: str) -> None:
    assert name in wrong_client({name: place})


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ("https://erp.example.it/recapito/callback", True),
        ("https://erp.example.it/", True),
        ("https://erp.example.it", True),
        ("http://127.0.0.1:8765/", True),
        ("http://localhost/x", True),
        ("http://[::1]:9/", True),
        ("http://erp.example.it/", False),
        ("http://127.0.0.1.example.it/", False),
        ("http://localhost@example.it/", False),
        ("http://localhost:x/", False),
        ("https://erp.example.it/#here", False),
        ("urn:ietf:wg:oauth:2.0:oob", False),
        ("javascript:alert(1)", False),
    ],
)
def test_a_browser_comes_back_over_https_or_to_this_machine(given: str, fits: bool) -> None:
    assert ("redirect_uri" not in wrong_client({"redirect_uri": given})) is fits
    validated, _ = validate(GoogleClientSettings, GOOD | {"redirect_uri": given}, SECRET)
    assert validated is None or validated.settings["redirect_uri"] == given, "it is compared to the letter"


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ("http://proxy.example.it:3128", True),
        ("https://proxy.example.it", True),
        ("socks5://proxy.example.it", False),
        ("proxy.example.it:3128", False),
        ("http://user:pass@proxy.example.it", False),
    ],
)
def test_a_proxy_has_no_user(given: str, fits: bool) -> None:
    assert ("proxy" not in wrong_client({"proxy": given})) is fits


def test_an_emptied_field_is_one_left_out() -> None:
    emptied = dict.fromkeys(("redirect_uri", "auth_uri", "ca", "proxy", "smtp_host", "smtp_port"), "")
    assert wrong_client(emptied) == {}
    assert wrong_client({"client_id": ""}).keys() == {"client_id"}


def test_every_wrong_field_of_a_client_is_named_at_once() -> None:
    given = {"token_uri": "x", "smtp_port": 0, "ca": "x", "proxy": "x", "other": 1}
    assert wrong_client(given).keys() == given.keys()
    assert wrong_client({}, Secrets()).keys() == {"client_secret"}


def test_a_ca_is_read_when_it_is_saved() -> None:
    assert wrong_client({"ca": CertificateAuthority().pem}) == {}


def test_a_key_is_read_when_it_is_saved(pem: str) -> None:
    assert wrong_account({}, key=key(pem)) == {}
    for bad in (
        "{}",
        "[]",
        "no json",
        key("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        key(pem, type="authorized_user"),
        key(pem, client_email="anna@gmail.com"),
        key(pem, padding="x" * 20_000),
    ):
        found = wrong_account({}, key=bad)
        assert found.keys() == {"key"}
        assert "PRIVATE" not in str(found)


def test_a_service_account_has_a_key_or_signs_without_one(pem: str) -> None:
    assert wrong_account({"service_account": ADDRESS}) == {}
    assert wrong_account({}).keys() == {"service_account"}
    assert wrong_account({"service_account": ADDRESS}, key=key(pem)).keys() == {"service_account"}
    assert wrong_account({"service_account": "anna@gmail.com"}).keys() == {"service_account"}


def test_an_rsa_key_as_google_gives_it_fits() -> None:
    made = rsa.generate_private_key(65537, 2048)
    text = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert wrong_account({}, key=key(text)) == {}


@pytest.mark.parametrize("model", [GmailSettings, GoogleClientSettings, ServiceAccountSettings])
def test_titles_and_descriptions_are_in_italian_too(model: Any) -> None:
    italian = translation("recapito_gmail_oauth", "it")
    for field in model.model_fields.values():
        for text in (field.title, field.description):
            assert text
            if text != "Proxy":
                assert italian.gettext(text) != text


def test_titles_of_what_is_registered_are_in_italian_too() -> None:
    assert CLIENT.shown.text("it") != CLIENT.title
    assert SERVICE_ACCOUNT.shown.text("it") != SERVICE_ACCOUNT.title
    assert INFO.texts == "recapito_gmail_oauth"


def test_what_is_secret_is_kept_encrypted() -> None:
    assert secret_fields(GmailSettings) == ("password",)
    assert secret_fields(GoogleClientSettings) == ("client_secret",)
    assert secret_fields(ServiceAccountSettings) == ("key",)
