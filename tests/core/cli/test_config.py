from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recapito.cli.config import Config, ConfigError

Run = Callable[..., Any]


def _user_file(home: Path, text: str) -> Path:
    path = home / "config" / "recapito.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_argument_beats_environment_beats_project_beats_user_beats_default(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Config({}).value("company").origin == "default"
    user = _user_file(home, 'company = "user"\n')
    assert (Config({})["company"], Config({}).value("company").place) == ("user", str(user))
    Path("recapito.toml").write_text('company = "project"\n', encoding="utf-8")
    assert Config({}).value("company").origin == "project"
    monkeypatch.setenv("RECAPITO_COMPANY", "environment")
    assert Config({})["company"] == "environment"
    assert Config({"company": "argument"})["company"] == "argument"


def test_the_project_file_is_found_from_a_folder_below(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("recapito.toml").write_text('hooks = ["erp.mail"]\n', encoding="utf-8")
    below = Path("a/b")
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert Config({})["hooks"] == ["erp.mail"]


def test_a_named_file_stands_in_the_project_files_place(home: Path) -> None:
    Path("recapito.toml").write_text('company = "here"\n', encoding="utf-8")
    Path("other.toml").write_text('company = "other"\n', encoding="utf-8")
    assert Config({}, "other.toml")["company"] == "other"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("compny = 1\n", "compny is not a setting"),
        ('hooks = "erp.mail"\n', "hooks is not a list"),
        ("timeout = true\n", "timeout is not a float"),
        ("timeout = 0\n", "timeout is not a number above 0"),
        ("timeout = nan\n", "timeout is not a number above 0"),
        ("timeout = inf\n", "timeout is not a number above 0"),
        ("= broken", "recapito.toml"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_what_is_wrong(home: Path, text: str, says: str) -> None:
    Path("recapito.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        Config({})["company"]


def test_lists_and_numbers_come_from_the_environment_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECAPITO_HOOKS", "erp.mail, erp.audit")
    monkeypatch.setenv("RECAPITO_TIMEOUT", "2.5")
    assert Config({})["hooks"] == ["erp.mail", "erp.audit"]
    assert Config({})["timeout"] == 2.5
    monkeypatch.setenv("RECAPITO_TIMEOUT", "soon")
    with pytest.raises(ConfigError, match="RECAPITO_TIMEOUT"):
        Config({})["timeout"]


def test_config_show_prints_each_value_with_its_origin_and_no_password_or_key(
    recapito: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECAPITO_DATABASE", "postgresql://erp:pl4nted@db.example.it/erp")
    monkeypatch.setenv("RECAPITO_KEYS", "k1:cGw0bnRlZHBsNG50ZWRwbDRudGVkcGw0bnRlZDEyMzQ=")
    shown = recapito("config", "show", "--origin", "--json")
    rows = {row["name"]: row for row in shown.lines}
    assert rows["database"]["value"] == "postgresql://erp:**********@db.example.it/erp"
    assert (rows["database"]["origin"], rows["database"]["place"]) == ("environment", "RECAPITO_DATABASE")
    assert rows["keys"]["value"] == "**********"
    assert rows["color"]["origin"] == "default"
    monkeypatch.setenv("RECAPITO_DATABASE", "postgresql://erp:pl4@nted@db/erp?password=pl4nted&user=x@y")
    again = recapito("config", "show", "--json")
    for secret in ("pl4nted", "cGw0bnRl", "nted@"):
        assert secret not in shown.out + shown.err + again.out + again.err


def test_a_broken_configuration_ends_with_3_and_says_which_file(recapito: Run) -> None:
    Path("recapito.toml").write_text("nonsense = 1\n", encoding="utf-8")
    ended = recapito("providers", "list", "--json", code=3)
    assert ended.json["problem"]["code"] == "CLI-CONFIG"
    assert "recapito.toml" in ended.err
