from importlib.metadata import distribution
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recapito.cli import extras


def _installed_from(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    read: Any = SimpleNamespace(read_text=lambda _name: text)
    monkeypatch.setattr(extras, "distribution", lambda _name: read)


def test_an_editable_checkout_is_installed_again_from_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    _installed_from(monkeypatch, '{"url": "file:///src/my%20recapito/core", "dir_info": {"editable": true}}')
    assert extras.install_command("cli") == "pip install -e '/src/my recapito/core[cli]'"


def test_a_wheel_or_folder_is_installed_again_from_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    _installed_from(monkeypatch, '{"url": "file:///tmp/recapito-0.1.0-py3-none-any.whl", "archive_info": {}}')
    assert (
        extras.install_command("demo")
        == "pip install 'recapito[demo] @ file:///tmp/recapito-0.1.0-py3-none-any.whl'"
    )


@pytest.mark.parametrize("text", [None, "", "no json"])
def test_anything_else_comes_from_the_registry(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    _installed_from(monkeypatch, text)
    assert extras.install_command("cli") == "pip install 'recapito[cli]'"


def test_here_it_names_the_folder_that_exists() -> None:
    if '"editable": true' not in (distribution("recapito").read_text("direct_url.json") or "").replace(
        ":true", ": true"
    ):
        pytest.skip("recapito is not installed as editable here")
    folder = extras.install_command("cli").removeprefix("pip install -e ").strip("'").removesuffix("[cli]")
    assert (Path(folder) / "pyproject.toml").is_file()
