"""A settings model is the one source: what is secret, what is wrong, every wrong field at once."""

import json
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, SecretStr, field_validator

from recapito.problem import Problem
from recapito.secret import Secret, Secrets
from recapito.settings import completed, misfit, secret_fields, validate
from recapito.texts import Phrase

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
    assert wrong == {"password": "is missing"}


class Keyed(BaseModel):
    key: Annotated[SecretStr, Field(json_schema_extra={"multiline": True})]
    region: str = "eu"
    tags: list[str] = Field(default_factory=list)


def test_a_field_that_says_so_may_have_lines_but_no_other_control_character() -> None:
    assert validate(Keyed, {}, Secrets({"key": '{\n  "type": "service_account"\n}'}))[1] == {}
    assert validate(Keyed, {}, Secrets({"key": "{\n\0}"}))[1] == {"key": "has a control character"}


def test_defaults_fill_what_was_not_given_and_secrets_stay_out() -> None:
    assert completed(Keyed, {"region": "us"}) == {"region": "us", "tags": []}


class Many(BaseModel):
    port: Annotated[int, Field(ge=1, le=65535)] = 465
    low: Annotated[int, Field(ge=1)] = 1
    share: float = 0.5
    on: bool = False
    mode: Literal["ssl", "starttls", "plain"] = "ssl"
    name: Annotated[str, Field(min_length=2, max_length=4)] = "ab"
    tags: list[str] = Field(default_factory=list)
    odd: Annotated[str, Field(pattern="x")] = "x"
    date: Literal[1, 2] = 1
    password: SecretStr


ENGLISH = {
    "port": "must be at most 65535",
    "low": "is not a whole number",
    "share": "is not a number",
    "on": "is neither true nor false",
    "mode": "must be one of: ssl, starttls, plain",
    "name": "may have at most 4 characters",
    "tags": "is not a list",
    "odd": "does not have the form that is asked for",
    "date": "must be one of: 1, 2",
    "password": "is missing",
    "bogus": "is not a setting (known: date, low, mode, name, odd, on, port, share, tags)",
    "pin": "is not a secret (known: password)",
}
ITALIAN = {
    "port": "deve essere al massimo 65535",
    "low": "non è un numero intero",
    "share": "non è un numero",
    "on": "non è né true né false",
    "mode": "deve essere uno di questi: ssl, starttls, plain",
    "name": "può avere al massimo 4 caratteri",
    "tags": "non è un elenco",
    "odd": "non ha la forma richiesta",
    "date": "deve essere uno di questi: 1, 2",
    "password": "manca",
    "bogus": "non è un'impostazione di questo trasporto (ci sono: date, low, mode, name, odd, on, port, share, tags)",
    "pin": "non è un segreto di questo trasporto (ci sono: password)",
}
WRONG = {
    "port": 70000,
    "low": "one",
    "share": "a half",
    "on": "maybe",
    "mode": "none",
    "name": "abcde",
    "tags": 3,
    "odd": "y",
    "date": 3,
    "bogus": 1,
}


def test_every_reason_is_said_in_both_languages() -> None:
    _, wrong = validate(Many, WRONG, Secrets({"pin": PLANTED}))
    assert wrong == ENGLISH
    assert {
        name: reason.text("it") for name, reason in wrong.items() if isinstance(reason, Phrase)
    } == ITALIAN


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "host: has a control character; port: must"),
        ("it", "host: contiene un carattere di controllo; port: deve"),
    ],
)
def test_the_problem_says_them_in_the_language_it_is_explained_in_even_after_it_was_stored(
    language: str, said: str
) -> None:
    _, wrong = validate(Settings, {"host": "a\0", "port": 0}, Secrets({"password": "x"}))
    kept = Problem.from_dict(json.loads(json.dumps(misfit("anna", wrong).problem.to_dict())))
    assert said in kept.explain(language).what


def test_a_models_own_reason_is_looked_up_in_its_package_and_then_in_cores() -> None:
    class Own(BaseModel):
        a: str
        b: str
        c: str

        @field_validator("a", "b", "c")
        @classmethod
        def checked(cls, value: str) -> str:
            if value == "phrase":
                raise ValueError(Phrase("may have at most {max_length} characters", max_length=3))
            raise ValueError("has a control character" if value == "core" else "is {odd}")

    _, wrong = validate(Own, {"a": "phrase", "b": "core", "c": "its own"}, Secrets())
    assert wrong == {"a": "may have at most 3 characters", "b": "has a control character", "c": "is {odd}"}
    assert [reason.text("it") for reason in wrong.values() if isinstance(reason, Phrase)] == [
        "può avere al massimo 3 caratteri",
        "contiene un carattere di controllo",
        "is {odd}",
    ]
