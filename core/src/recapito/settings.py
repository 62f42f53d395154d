"""A transport's settings model as the one source: which fields are secret, and what is wrong with a value."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args

from recapito.errors import Misconfigured
from recapito.outcome import Outcome
from recapito.problem import Problem, Scope, Who
from recapito.secret import Secret, Secrets
from recapito.texts import N_, Phrase, in_languages, said_in

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

__all__ = ["Validated", "completed", "misfit", "secret_fields", "validate"]

# Control characters, and the line separators that some programs take for a line end. A tab is one too: no
# host, user name or header has it. Line feeds are allowed only where a PEM text is expected.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_PEM = re.compile(r"\A\s*-----BEGIN [A-Z ]+-----\r?\n")

# What pydantic says, in words that go on from the field's name. Placeholders are those of its error's context.
_SAID = {
    "missing": N_("is missing"),
    "extra_forbidden": N_("is not a setting"),
    "int_type": N_("is not a whole number"),
    "int_parsing": N_("is not a whole number"),
    "int_parsing_size": N_("is not a whole number"),
    "int_from_float": N_("is not a whole number"),
    "float_type": N_("is not a number"),
    "float_parsing": N_("is not a number"),
    "finite_number": N_("is not a number"),
    "bool_type": N_("is neither true nor false"),
    "bool_parsing": N_("is neither true nor false"),
    "string_type": N_("is not a text"),
    "string_unicode": N_("is not a text"),
    "greater_than": N_("must be more than {gt}"),
    "greater_than_equal": N_("must be at least {ge}"),
    "less_than": N_("must be less than {lt}"),
    "less_than_equal": N_("must be at most {le}"),
    "literal_error": N_("must be one of: {expected}"),
    "enum": N_("must be one of: {expected}"),
    "string_too_short": N_("must have at least {min_length} characters"),
    "string_too_long": N_("may have at most {max_length} characters"),
    "too_short": N_("must have at least {min_length} values"),
    "too_long": N_("may have at most {max_length} values"),
    "list_type": N_("is not a list"),
    "tuple_type": N_("is not a list"),
    "set_type": N_("is not a list"),
    "frozen_set_type": N_("is not a list"),
    "dict_type": N_("is not a table of names and values"),
    "model_type": N_("is not a table of names and values"),
    "string_pattern_mismatch": N_("does not have the form that is asked for"),
    "url_type": N_("is not a web address"),
    "url_parsing": N_("is not a web address"),
    "url_scheme": N_("is not a web address"),
    "date_type": N_("is not a date"),
    "date_parsing": N_("is not a date"),
    "date_from_datetime_parsing": N_("is not a date"),
}


class Validated:
    """Settings that fit their model, and the secrets as the model left them (spaces stripped, say)."""

    __slots__ = ("secrets", "settings")

    def __init__(self, settings: dict[str, Any], secrets: Secrets) -> None:
        self.settings = settings
        self.secrets = secrets


def secret_fields(model: "type[BaseModel]") -> tuple[str, ...]:
    """The names of the ``SecretStr`` fields, in the model's order."""
    from pydantic import SecretStr

    def is_secret(annotation: object) -> bool:
        return annotation is SecretStr or any(is_secret(part) for part in get_args(annotation))

    return tuple(name for name, field in model.model_fields.items() if is_secret(field.annotation))


def completed(model: "type[BaseModel]", settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` with the model's defaults for what is not in it; secret fields stay out."""
    secret = set(secret_fields(model))
    defaults = {
        name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in model.model_fields.items()
        if name not in secret and not field.is_required()
    }
    return defaults | dict(settings)


def _multiline(model: "type[BaseModel]") -> frozenset[str]:
    """Fields that may have line feeds: those that say so."""
    extras = {name: field.json_schema_extra for name, field in model.model_fields.items()}
    return frozenset(
        name for name, extra in extras.items() if isinstance(extra, dict) and extra.get("multiline")
    )


def validate(
    model: "type[BaseModel]", settings: Mapping[str, Any], secrets: Secrets, *, package: str = ""
) -> tuple[Validated | None, dict[str, str]]:
    """Settings and secrets checked together: what is right, or a line for each wrong field, by name.

    The lines are phrases (:class:`recapito.texts.Phrase`): strings in the process's language, which
    :func:`misfit` shows in the reader's. They never hold a secret. Unknown names are wrong ones. Settings
    come back as JSON types, only those that were given. What the model's own checks say is looked up in the
    texts of the import package ``package`` (default: the model's own).
    """
    from pydantic import ValidationError

    wrong = dict(_unfit(model, settings, secrets))
    try:
        filled = model.model_validate(
            {name: value for name, value in settings.items() if name not in wrong}
            | {name: secrets[name].reveal() for name in secrets if name not in wrong}
        )
    except ValidationError as exc:
        package = package or model.__module__.partition(".")[0]
        # include_input=False: an error's input may be the password itself.
        for error in exc.errors(include_url=False, include_input=False):
            place = ".".join(str(part) for part in error["loc"]) or "settings"
            wrong.setdefault(place, _reason(error, package))
        return None, wrong
    if wrong:
        return None, wrong
    return Validated(_plain(filled, settings), _revealed(filled, secrets)), {}


def misfit(profile: object, wrong: Mapping[str, str]) -> Misconfigured:
    """The error (SETTINGS-INVALID) that names each ``wrong`` field of ``profile``, as :func:`validate` does."""

    def listed(language: str) -> str:
        return "; ".join(f"{name}: {said_in(reason, language)}" for name, reason in sorted(wrong.items()))

    params = {"profile": str(profile)} | in_languages("fields", Phrase.made(listed))
    return Misconfigured(
        Problem("SETTINGS-INVALID", Outcome.HELD, Who.OPERATOR, Scope.PROFILE, params), dict(wrong)
    )


def _reason(error: "ErrorDetails", package: str) -> Phrase:
    """One of pydantic's errors in words; those of a model's own checks come from its package's catalogue."""
    from pydantic_core import core_schema

    kind, message, context = error["type"], error["msg"], error.get("ctx", {})
    if kind in _SAID:
        # pydantic joins the choices in English: 'ssl', 'starttls' or 'plain'.
        choices = str(context.get("expected", "")).replace(" or ", ", ").replace("'", "")
        return Phrase(_SAID[kind], **{**context, "expected": choices})
    raised = context.get("error")
    if isinstance(raised, Exception):
        said = raised.args[0] if raised.args else ""
        return said if isinstance(said, Phrase) else Phrase(str(said), package=package)
    if kind in get_args(core_schema.ErrorType):
        return Phrase("is not a value that fits ({said})", said=message)
    return Phrase(message, package=package)


def _unfit(
    model: "type[BaseModel]", settings: Mapping[str, Any], secrets: Secrets
) -> Iterator[tuple[str, str]]:
    known = set(model.model_fields)
    secret = set(secret_fields(model))
    lines = _multiline(model)
    for name, value in settings.items():
        if name in secret:
            yield name, Phrase("is a secret: it is asked for, or read from standard input")
        elif name not in known:
            yield name, Phrase("is not a setting (known: {known})", known=_names(known - secret))
        elif isinstance(value, str) and _has_control(value, multiline=name in lines):
            yield name, Phrase("has a control character")
    for name in secrets:
        if name not in secret:
            yield name, Phrase("is not a secret (known: {known})", known=_names(secret))
        elif _has_control(secrets[name].reveal(), multiline=name in lines):
            yield name, Phrase("has a control character")


def _names(fields: set[str]) -> str:
    return ", ".join(sorted(fields)) or Phrase("none")


def _has_control(text: str, *, multiline: bool) -> bool:
    if multiline or _PEM.match(text):
        text = text.replace("\r\n", "").replace("\n", "")
    return bool(_CONTROL.search(text))


def _plain(filled: "BaseModel", given: Mapping[str, Any]) -> dict[str, Any]:
    secret = set(secret_fields(type(filled)))
    dumped = filled.model_dump(mode="json", exclude=secret, exclude_unset=True)
    return {name: value for name, value in dumped.items() if name in given and value is not None}


def _revealed(filled: "BaseModel", given: Secrets) -> Secrets:
    return Secrets(
        {name: Secret(getattr(filled, name).get_secret_value()) for name in given if getattr(filled, name)}
    )
