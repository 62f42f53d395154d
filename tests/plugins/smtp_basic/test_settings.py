"""What smtp_basic asks for: every wrong field named, and what is left out filled in."""

from typing import Any

import pytest

from recapito.profile import Profile
from recapito.secret import Secrets
from recapito.settings import validate
from recapito.testing import CertificateAuthority
from recapito.texts import Phrase
from recapito_smtp_basic.plugin import INFO
from recapito_smtp_basic.settings import SmtpBasicSettings

HOST = {"host": "mail.example.it"}


def wrong(settings: dict[str, Any], password: str = "secret") -> dict[str, str]:
    return validate(SmtpBasicSettings, settings, Secrets({"password": password}))[1]


def made(**settings: Any) -> SmtpBasicSettings:
    return SmtpBasicSettings.model_validate(HOST | settings | {"password": "secret"})


@pytest.mark.parametrize(
    ("given", "port", "security"),
    [
        ({}, 465, "ssl"),
        ({"port": 465}, 465, "ssl"),
        ({"port": 587}, 587, "starttls"),
        ({"port": 25}, 25, "starttls"),
        ({"security": "starttls"}, 587, "starttls"),
        ({"security": "ssl"}, 465, "ssl"),
        ({"security": "ssl", "port": 10465}, 10465, "ssl"),
        ({"security": "plain-text-without-protection"}, 25, "plain-text-without-protection"),
    ],
)
def test_port_and_security_are_one_choice(given: dict[str, Any], port: int, security: str) -> None:
    settings = made(**given)
    assert (settings.at_port, settings.secured) == (port, security)


@pytest.mark.parametrize(("port", "security"), [(465, "starttls"), (587, "ssl")])
def test_port_and_security_that_never_fit_are_told(port: int, security: str) -> None:
    assert wrong(HOST | {"port": port, "security": security}).keys() == {"security"}


def test_every_wrong_field_is_named_at_once() -> None:
    ca = "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n"
    given = {
        "host": "not a host",
        "port": 99_999,
        "security": "none",
        "ca": ca,
        "notify": "often",
        "helo": "a b",
        "x": 1,
    }
    assert wrong(given, password="").keys() >= {"host", "port", "security", "ca", "helo", "x", "password"}


@pytest.mark.parametrize(
    "host", ["", " ", "a b", "mail.example.it:465", "http://mail.example.it", "a@b.it", "-a.it", "a..b"]
)
def test_what_is_no_host_is_refused(host: str) -> None:
    assert "host" in wrong({"host": host})


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        ("Mail.Example.it", "mail.example.it"),
        ("posta.perché.it", "posta.perché.it"),
        ("[::1]", "::1"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_hosts_of_every_kind_are_taken(host: str, kept: str) -> None:
    assert made(host=host).host == kept


@pytest.mark.parametrize("name", ["host", "username", "helo", "security"])
@pytest.mark.parametrize("flaw", ["\r\n", "\0", "\t", "\x7f", "\x85", "\u2028"])
def test_control_characters_are_refused_in_every_field(name: str, flaw: str) -> None:
    assert name in wrong(HOST | {name: f"a{flaw}b"})
    assert "password" in wrong(HOST, password=f"a{flaw}b")


def test_no_complaint_shows_the_password() -> None:
    assert "hunter2" not in str(wrong(HOST | {"port": "hunter"}, password="hunter2\n"))


def test_a_ca_is_read_when_it_is_saved() -> None:
    assert wrong(HOST | {"ca": CertificateAuthority().pem}) == {}
    assert "ca" in wrong(HOST | {"ca": "ca.pem"})


@pytest.mark.parametrize("given", ["failure,delay", "failure delay", ["failure", "delay"]])
def test_notices_may_be_written_in_one_line(given: object) -> None:
    assert set(made(notify=given).notify) == {"failure", "delay"}


def test_the_mailbox_is_the_user_at_the_host() -> None:
    def mailbox(**settings: str) -> str:
        return INFO.mailbox(
            Profile.of("anna", sender="Anna@Example.it", transport="smtp_basic", settings=HOST | settings)
        )

    assert mailbox() == "anna@example.it@mail.example.it"
    assert mailbox(username="anna") == "anna@mail.example.it"


def test_titles_and_descriptions_are_in_italian_too() -> None:
    from recapito.texts import translation

    italian = translation("recapito_smtp_basic", "it")
    for field in SmtpBasicSettings.model_fields.values():
        for text in (field.title, field.description):
            assert text
            if text != "Password":
                assert italian.gettext(text) != text


@pytest.mark.parametrize("password", [" pass", "pass ", " p w ", "\u00a0pass"])
def test_a_password_keeps_its_blanks_and_other_fields_lose_theirs(password: str) -> None:
    given = {"host": " mail.example.it ", "username": " anna ", "helo": " erp.example.it ", "port": " 465 "}
    validated, _ = validate(SmtpBasicSettings, given, Secrets({"password": password}))
    assert validated is not None
    assert validated.secrets["password"].reveal() == password
    assert validated.settings == {
        "host": "mail.example.it",
        "username": "anna",
        "helo": "erp.example.it",
        "port": 465,
    }


def test_the_reasons_are_said_in_italian_too() -> None:
    given = {"host": "a b", "port": 465, "security": "starttls", "helo": "a b"}
    _, reasons = validate(SmtpBasicSettings, given, Secrets({"password": "x"}))
    assert {name: reason.text("it") for name, reason in reasons.items() if isinstance(reason, Phrase)} == {
        "host": "non è il nome di un server",
        "security": "non va con la porta 465, che è per ssl",
        "helo": "non è né il nome di un host né un indirizzo tra parentesi quadre",
    }
