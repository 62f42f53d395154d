from collections.abc import Callable
from typing import Any

import click
import pytest

from recapito.cli.command import Group, LazyGroup
from recapito.cli.main import root
from recapito.cli.run import Run as OneRun

Run = Callable[..., Any]


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = []
    with click.Context(group, obj=OneRun()) as ctx:
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            assert command is not None
            found.append(((*path, name), command))
            if isinstance(command, click.Group):
                found += _commands(command, (*path, name))
    return found


ALL = _commands(root)


@pytest.mark.parametrize("path", [" ".join(path) for path, _command in ALL])
@pytest.mark.parametrize("language", ["en", "it"])
def test_every_command_has_help_with_the_global_flags(recapito: Run, path: str, language: str) -> None:
    shown = recapito(*path.split(), "--help", "--lang", language).out
    for flag in ("--json", "--quiet", "--verbose", "--yes", "--no-input", "--color", "--lang", "--config"):
        assert flag in shown, flag
    usage = {"en": "Usage:", "it": "Uso:"}[language]
    assert shown.startswith(usage)


def test_every_command_that_the_conventions_list_is_there() -> None:
    have = {" ".join(path) for path, _command in ALL}
    verbs = {"profile": "list show set remove pause resume import export", "providers": "list show detect"}
    verbs |= {"plugins": "list", "keys": "new rotate", "db": "upgrade", "config": "show"}
    wanted = {f"{noun} {verb}" for noun, text in verbs.items() for verb in text.split()}
    assert wanted | {"check", "send", "explain", "audit", "demo"} <= have


def test_no_option_takes_a_secret_as_its_value() -> None:
    for path, command in ALL:
        for param in command.params:
            if {"password", "secret", "token"} & set((param.name or "").split("_")):
                assert param.name in {"password_stdin", "secret_stdin"}, path
    stdin = next(
        param
        for path, command in ALL
        if path == ("profile", "set")
        for param in command.params
        if param.name == "password_stdin"
    )
    assert isinstance(stdin, click.Option)
    assert stdin.is_flag


def test_short_help_of_a_lazy_command_is_shown_without_loading_it() -> None:
    broken = LazyGroup("broken", lazy={"gone": ("recapito.no_such_module:x", "It is gone.")})
    with click.Context(broken, obj=OneRun()) as ctx:
        assert "It is gone." in broken.get_help(ctx)


def test_a_group_lists_its_verbs_as_they_were_written() -> None:
    group = Group("g")
    group.add_command(click.Command("z"))
    group.add_command(click.Command("a"))
    assert group.list_commands(click.Context(group)) == ["z", "a"]


def test_global_flags_work_before_and_after_the_command(recapito: Run) -> None:
    before = recapito("--json", "--lang", "it", "explain", "AUTH-FAILED")
    after = recapito("explain", "AUTH-FAILED", "--json", "--lang", "it")
    assert before.json == after.json


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nothing"], 2),
        (["profile", "sat"], 2),
        (["explain"], 2),
        (["explain", "NO-SUCH-CODE"], 3),
        (["providers", "show", "nobody"], 3),
        (["providers", "detect", "anna@unknown.example"], 3),
        (["providers", "detect", "no address"], 6),
        (["profile", "list"], 3),
    ],
)
def test_failures_end_with_their_exit_code_a_message_and_an_object(
    recapito: Run, arguments: list[str], code: int
) -> None:
    ended = recapito(*arguments, "--json", code=code)
    assert ended.err
    assert set(ended.json["problem"]) == {"code", "what", "why", "do", "who", "reply"}
    assert "Traceback" not in ended.err


def test_usage_errors_speak_italian(recapito: Run) -> None:
    ended = recapito("explain", "--nonsense", "--lang", "it", code=2)
    assert "Errore:" in ended.err
    assert "--nonsense" in ended.err


def test_an_unexpected_error_is_one_line_and_details_come_with_verbose(
    recapito: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("internal words")

    monkeypatch.setattr("recapito.plugins.Plugins.load", broken)
    ended = recapito("providers", "list", code=1)
    assert "internal words" not in ended.err
    assert "--verbose" in ended.err
    assert "internal words" in recapito("providers", "list", "--verbose", code=1).err


def test_an_interruption_ends_with_130(recapito: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recapito.plugins.Plugins.load", interrupted)
    ended = recapito("providers", "list", "--json", code=130)
    assert ended.json["problem"]["code"] == "CLI-INTERRUPTED"
