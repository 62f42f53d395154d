"""A settings model is the one source: what is secret, what is wrong, every wrong field at once."""

from typing import Annotated

import pytest
from pydantic import BaseModel, Field, SecretStr, field_validator

from recapito.secret import Secret, Secrets
from recapito.settings import completed, secret_fields, validate

PLANTED = "p4ss piantata"


class Settings(BaseModel):
    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 465
    ca: str | None = None
    password: SecretStr
    token: SecretStr | None = None

    @field_validator("password")
    @classmethod
    def without_spaces(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() == "short":
            raise ValueError("is too short")
        return SecretStr(value.get_secret_value().replace(" ", ""))


def test_secret_fields_are_found_in_any_annotation() -> None:
    assert secret_fields(Settings) == ("password", "token")


def test_what_fits_comes_back_as_plain_types_and_only_what_was_given() -> None:
    validated, wrong = validate(
        Settings, {"host": "mail.example.it", "port": "587"}, Secrets({"password": PLANTED})
    )
    assert wrong == {}
    assert validated is not None
    assert validated.settings == {"host": "mail.example.it", "port": 587}
    assert validated.secrets == Secrets({"password": "p4sspiantata"})


def test_every_wrong_field_is_named_at_once_and_no_secret_is_shown() -> None:
    validated, wrong = validate(
        Settings,
        {"port": "many", "hots": "x", "token": PLANTED},
        Secrets({"password": "short", "pin": PLANTED}),
    )
    assert validated is None
    assert set(wrong) == {"host", "port", "hots", "token", "pin", "password"}
    assert wrong["hots"].startswith("is not a setting (known: ca, host, port)")
    assert wrong["token"].startswith("is a secret")
    assert wrong["password"] == "is too short"
    assert PLANTED not in str(wrong)


@pytest.mark.parametrize("bad", ["a\rb", "a\nb", "a\0b", "a\x85b", "a\u2028b", "a\tb", "a\x7fb"])
def test_a_control_character_is_refused_in_settings_and_secrets_alike(bad: str) -> None:
    _, wrong = validate(Settings, {"host": bad}, Secrets({"password": bad}))
    assert wrong == {"host": "has a control character", "password": "has a control character"}


def test_a_pem_text_may_have_lines() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"
    validated, wrong = validate(Settings, {"host": "h", "ca": pem}, Secrets({"password": Secret("x")}))
    assert (wrong, validated and validated.settings["ca"]) == ({}, pem)


def test_a_missing_secret_is_named_like_any_other_field() -> None:
    _, wrong = validate(Settings, {"host": "h"}, Secrets())
    assert wrong == {"password": "Field required"}


class Keyed(BaseModel):
    key: Annotated[SecretStr, Field(json_schema_extra={"multiline": True})]
    region: str = "eu"
    tags: list[str] = Field(default_factory=list)


def test_a_field_that_says_so_may_have_lines_but_no_other_control_character() -> None:
    assert validate(Keyed, {}, Secrets({"key": '{\n  "type": "service_account"\n}'}))[1] == {}
    assert validate(Keyed, {}, Secrets({"key": "{\n\0}"}))[1] == {"key": "has a control character"}


def test_defaults_fill_what_was_not_given_and_secrets_stay_out() -> None:
    assert completed(Keyed, {"region": "us"}) == {"region": "us", "tags": []}
