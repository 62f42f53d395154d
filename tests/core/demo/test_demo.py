import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from recapito.cli.main import run
from recapito.demo.cast import CAST
from recapito.demo.invoice import make_invoice
from recapito.demo.stage import Performance, perform


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Performance:
    return perform(lambda _act: None, tmp_path_factory.mktemp("demo"))


def test_everybody_with_the_right_password_is_accepted_and_the_other_one_held(show: Performance) -> None:
    assert {each.actor.id: each.receipt.outcome.value for each in show.played} == {
        "anna": "accepted",
        "bruno": "accepted",
        "carla": "accepted",
        "dario": "held",
    }
    (dario,) = [each for each in show.played if each.actor.id == "dario"]
    assert dario.receipt.problem is not None
    assert dario.receipt.problem.code == "AUTH-FAILED"
    assert show.as_expected


def test_both_kinds_of_encryption_and_two_companies_are_shown(show: Performance) -> None:
    assert set(show.servers) == {"ssl", "starttls"}
    assert {each.actor.security for each in show.arrived} == {"ssl", "starttls"}
    assert len({each.actor.company.id for each in show.played}) == 2


def test_what_arrived_is_octet_by_octet_what_was_sent_and_lies_where_it_says(show: Performance) -> None:
    assert len(show.arrived) == 3
    for each in show.arrived:
        assert each.same_bytes
        assert each.same_pdf
        assert each.file is not None
        assert each.actor.address.encode() in each.file.read_bytes()


def test_a_difference_would_be_seen(show: Performance) -> None:
    first = show.arrived[0]
    first.same_bytes = False
    try:
        assert not show.as_expected
    finally:
        first.same_bytes = True


@pytest.mark.parametrize("actor", CAST, ids=lambda actor: actor.id)
def test_the_invoice_is_one_page_of_pdf_with_the_right_total(actor: Any) -> None:
    content = make_invoice(actor, date(2026, 11, 25))
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    assert content.count(b"/Type /Page\n") == 1
    assert all(item.amount == item.quantity * item.price for item in actor.items)


def test_the_demo_touches_nothing_of_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("RECAPITO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert run(["demo", "--json", "--folder", str(tmp_path / "out"), "--lang", "it"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["ok"] is True
    assert [send["outcome"] for send in shown["sends"]] == ["accepted", "accepted", "accepted", "held"]
    assert "password" in shown["sends"][3]["problem"]["what"]
    assert not (tmp_path / "home").exists()
    assert all(Path(send["file"]).is_file() for send in shown["sends"][:3])


def test_the_command_shows_a_table_the_problem_and_where_the_messages_lie(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "recapito", "demo", "--lang", "it", "--folder", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for words in ("✓ accettato", "✗ trattenuto", "AUTH-FAILED", "byte per byte", str(tmp_path / "out")):
        assert words in done.stdout
    assert "parola-" not in done.stdout + done.stderr
    assert re.search(r"Fatto in \d+,\d s\. Niente è uscito da questo computer\.", done.stdout)


@pytest.mark.parametrize("folder", ["/proc/x", "/proc", "a file/x"])
def test_a_folder_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a file").touch()
    assert run(["demo", "--folder", folder]) == 2
    assert "--folder" in capsys.readouterr().err


def _without(monkeypatch: pytest.MonkeyPatch, module: str) -> Callable[..., int]:
    for name in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    return lambda *arguments: run(list(arguments))


def test_without_rich_the_table_is_plain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    call = _without(monkeypatch, "rich")
    assert call("demo", "--folder", str(tmp_path), "--lang", "en") == 0
    assert "anna (rossi)" in capsys.readouterr().out


def test_without_the_pdf_library_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    call = _without(monkeypatch, "fpdf")
    assert call("demo", "--folder", str(tmp_path)) == 3
    assert "[demo]" in capsys.readouterr().err
