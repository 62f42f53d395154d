import json
from collections.abc import Callable
from typing import Any

import pytest

from recapito.cli.output import Output, table, wants_colour
from recapito.secret import Secret

Run = Callable[..., Any]


class _Terminal:
    def isatty(self) -> bool:
        return True


class _Pipe:
    def isatty(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("choice", "environment", "terminal", "colour"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"CLICOLOR": "0"}, True, False),
        ("auto", {"CLICOLOR_FORCE": "1"}, False, True),
        ("auto", {"CLICOLOR_FORCE": "0"}, False, False),
        ("auto", {"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"CLICOLOR_FORCE": "1"}, True, False),
    ],
)
def test_colour_is_used_only_where_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, choice: str, environment: dict[str, str], terminal: bool, colour: bool
) -> None:
    for name in ("NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wants_colour(choice, _Terminal() if terminal else _Pipe()) is colour  # type: ignore[arg-type]


def test_a_mark_never_stands_without_a_word_and_has_an_ascii_form(recapito: Run) -> None:
    utf8 = recapito("explain", "NO-SUCH-CODE", code=3)
    ascii_ = recapito("explain", "NO-SUCH-CODE", code=3, encoding="ascii")
    assert utf8.err.startswith("✗ There is no")
    assert ascii_.err.startswith("x There is no")


def test_texts_are_written_plainly_where_the_encoding_lacks_their_characters(recapito: Run) -> None:
    shown = recapito("explain", "AUTH-FAILED", "--lang", "it", encoding="ascii").out
    assert "->" in shown
    assert "\\u" not in shown
    assert "\\x" not in shown


def test_json_is_ascii_where_the_encoding_is_not_utf_8(recapito: Run) -> None:
    shown = recapito("providers", "show", "gmail", "--json", encoding="cp1252")
    assert shown.out.isascii()
    assert json.loads(shown.out)["id"] == "gmail"


def test_help_is_coloured_by_nobody_and_errors_only_on_a_terminal(recapito: Run) -> None:
    assert "\x1b[" not in recapito("explain", "NO-SUCH-CODE", code=3).err
    assert "\x1b[31m" in recapito("explain", "NO-SUCH-CODE", "--color", "always", code=3).err


def test_messages_never_show_a_secret_that_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=False, quiet=False, verbose=True, color="never")
    output.keep_out(Secret("h0ppla!"))
    output.complain("it was h0ppla!")
    output.note("again: h0ppla!")
    output.detail("base64: aDBwcGxhIQ==")
    shown = capsys.readouterr().err
    assert "h0ppla" not in shown
    assert "aDBwcGxhIQ" not in shown


def test_quiet_leaves_data_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=False, quiet=True, verbose=False, color="never")
    output.note("message")
    output.detail("detail")
    output.data({}, "data")
    output.complain("error")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("data\n", "error\n")


def test_a_table_is_as_wide_as_its_widest_cells() -> None:
    assert table([["id", "title"], ["longer", "x"]]) == ["id      title", "longer  x"]
