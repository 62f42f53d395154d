"""Where each setting of the command line comes from: argument, environment, project file, user file, default."""

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recapito.cli.values import path_of
from recapito.cli.words import N_

__all__ = ["NAMES", "PROJECT_FILE", "Config", "ConfigError", "Value"]

#: What is looked for in the current folder and those above it.
PROJECT_FILE = "recapito.toml"

#: Each setting, what it is, and what a file may give: a text, a number or a list of texts.
NAMES: dict[str, tuple[str, type]] = {
    "database": (N_("URL of the store"), str),
    "company": (N_("company that commands are about, where none is named"), str),
    "lang": (N_("language of texts: en, it"), str),
    "color": (N_("colour: auto, always, never"), str),
    "timeout": (N_("seconds that a send or a check may take"), float),
    "hooks": (N_("modules whose hooks a send calls"), list),
    "disable_plugins": (N_("plugins that are switched off"), list),
    "by": (N_("name under which changes are recorded"), str),
}


class ConfigError(Exception):
    """A configuration file that cannot be used; the text names the file and what is wrong in it."""


@dataclass(frozen=True, slots=True)
class Value:
    """A setting and where it comes from: ``argument``, ``environment``, ``project``, ``user`` or ``default``."""

    name: str
    value: Any
    origin: str
    #: The option, variable or file.
    place: str = ""


class Config:
    """The settings of one run. Files are read at first use."""

    def __init__(self, arguments: Mapping[str, Any], file: str | None = None) -> None:
        self._arguments = {name: value for name, value in arguments.items() if value is not None}
        self._file = file
        self._layers: list[tuple[str, Path, dict[str, Any]]] | None = None

    def __getitem__(self, name: str) -> Any:
        return self.value(name).value

    def value(self, name: str) -> Value:
        """The setting called ``name``, with its origin. Raises ConfigError for a file that cannot be used."""
        kind = NAMES[name][1]
        if name in self._arguments:
            return Value(name, self._arguments[name], "argument", f"--{name}")
        variable = f"RECAPITO_{name.upper()}"
        if os.environ.get(variable):
            return Value(name, _parsed(os.environ[variable], kind, variable), "environment", variable)
        for origin, path, table in self._tables():
            if name in table:
                return Value(name, table[name], origin, str(path))
        return Value(name, [] if kind is list else None, "default")

    def files(self) -> list[tuple[str, Path, bool]]:
        """The files that are looked at, strongest first: origin, path, whether it exists."""
        found = [("project", path) for path in [self._project_file()] if path]
        found.append(("user", _user_file()))
        return [(origin, path, path.is_file()) for origin, path in found]

    def _tables(self) -> list[tuple[str, Path, dict[str, Any]]]:
        if self._layers is None:
            self._layers = [(origin, path, _read(path)) for origin, path, there in self.files() if there]
        return self._layers

    def _project_file(self) -> Path | None:
        named = self._file or os.environ.get("RECAPITO_CONFIG")
        if named:
            path = path_of(named)
            if not path.is_file():
                raise ConfigError(f"{path}: no such file")
            return path
        here = Path.cwd()
        return next(
            (at / PROJECT_FILE for at in (here, *here.parents) if (at / PROJECT_FILE).is_file()), None
        )


def _user_file() -> Path:
    from recapito.store.location import config_folder

    return config_folder() / "recapito.toml"


def _read(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigError(f"{path}: {exc}") from exc
    for name, value in table.items():
        if name not in NAMES:
            raise ConfigError(f"{path}: {name} is not a setting (known: {', '.join(NAMES)})")
        if not _fits(value, NAMES[name][1]):
            raise ConfigError(f"{path}: {name} is not a {NAMES[name][1].__name__}")
        if NAMES[name][1] is float and not 0 < value < math.inf:
            raise ConfigError(f"{path}: {name} is not a number above 0")
    return table


def _fits(value: object, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is list:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return isinstance(value, kind)


def _parsed(text: str, kind: type, variable: str) -> Any:
    if kind is list:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind is float:
        try:
            number = float(text)
        except ValueError as exc:
            raise ConfigError(f"{variable}: {text!r} is not a number") from exc
        if not 0 < number < math.inf:
            raise ConfigError(f"{variable}: {text!r} is not a number above 0")
        return number
    return text
