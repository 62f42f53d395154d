"""A transport's settings model as the one source: which fields are secret, and what is wrong with a value."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args

from recapito.secret import Secret, Secrets

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["Validated", "completed", "secret_fields", "validate"]

# Control characters, and the line separators that some programs take for a line end. A tab is one too: no
# host, user name or header has it. Line feeds are allowed only where a PEM text is expected.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_PEM = re.compile(r"\A\s*-----BEGIN [A-Z ]+-----\r?\n")


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
    model: "type[BaseModel]", settings: Mapping[str, Any], secrets: Secrets
) -> tuple[Validated | None, dict[str, str]]:
    """Settings and secrets checked together: what is right, or a line for each wrong field, by name.

    The lines never hold a secret. Unknown names are wrong ones. Settings come back as JSON types, only those
    that were given.
    """
    from pydantic import ValidationError

    wrong = dict(_unfit(model, settings, secrets))
    try:
        filled = model.model_validate(
            {name: value for name, value in settings.items() if name not in wrong}
            | {name: secrets[name].reveal() for name in secrets if name not in wrong}
        )
    except ValidationError as exc:
        # include_input=False: an error's input may be the password itself.
        for error in exc.errors(include_url=False, include_input=False, include_context=False):
            place = ".".join(str(part) for part in error["loc"]) or "settings"
            wrong.setdefault(place, error["msg"].removeprefix("Value error, "))
        return None, wrong
    if wrong:
        return None, wrong
    return Validated(_plain(filled, settings), _revealed(filled, secrets)), {}


def _unfit(
    model: "type[BaseModel]", settings: Mapping[str, Any], secrets: Secrets
) -> Iterator[tuple[str, str]]:
    known = set(model.model_fields)
    secret = set(secret_fields(model))
    lines = _multiline(model)
    for name, value in settings.items():
        if name in secret:
            yield name, "is a secret: it is asked for, or read from standard input"
        elif name not in known:
            yield name, f"is not a setting (known: {', '.join(sorted(known - secret))})"
        elif isinstance(value, str) and _has_control(value, multiline=name in lines):
            yield name, "has a control character"
    for name in secrets:
        if name not in secret:
            yield name, f"is not a secret (known: {', '.join(sorted(secret)) or 'none'})"
        elif _has_control(secrets[name].reveal(), multiline=name in lines):
            yield name, "has a control character"


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
