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
from recapito.demo.performance import Performance
from recapito.demo.stage import perform


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Performance:
    return perform(lambda _act: None, tmp_path_factory.mktemp("demo"))


def test_whoever_has_the_right_password_or_signed_in_is_accepted_and_the_other_one_held(
    show: Performance,
) -> None:
    assert {each.actor.id: each.receipt.outcome.value for each in show.played} == {
        "anna": "accepted",
        "bruno": "accepted",
        "carla": "accepted",
        "elena": "accepted",
        "dario": "held",
    }
    (dario,) = [each for each in show.played if each.actor.id == "dario"]
    assert dario.receipt.problem is not None
    assert dario.receipt.problem.code == "AUTH-FAILED"
    assert show.as_expected


def test_all_three_transports_and_two_companies_are_shown(show: Performance) -> None:
    assert set(show.servers) == {"ssl", "starttls", "google", "microsoft"}
    assert {each.actor.way for each in show.arrived} == set(show.servers)
    assert len({each.receipt.transport for each in show.arrived}) == 3
    assert len({each.actor.company.id for each in show.played}) == 2


def test_who_signs_in_has_no_password_and_allows_sending_alone(show: Performance) -> None:
    assert [each.account for each in show.signed_in] == ["carla@bianchi.example", "elena@bianchi.example"]
    google, microsoft = (each.scopes for each in show.signed_in)
    assert "https://www.googleapis.com/auth/gmail.send" in google
    assert "https://mail.google.com/" not in google
    assert microsoft == {"Mail.Send"}


def test_a_revoked_grant_holds_asks_once_and_goes_on_after_a_new_sign_in(show: Performance) -> None:
    last = show.revoked
    assert last is not None
    outcomes = [each.receipt.outcome.value for each in (last.found, last.known, last.again)]
    assert outcomes == ["held", "held", "accepted"]
    assert last.found.receipt.problem is not None
    assert last.found.receipt.problem.code == "OAUTH-REVOKED"
    assert last.notices == 1, "nobody is told twice"
    assert last.requests == 0, "a dead grant is not asked for again"
    assert last.again.same_bytes
    assert last.again.same_pdf


def test_what_arrived_is_octet_by_octet_what_was_sent_and_lies_where_it_says(show: Performance) -> None:
    assert len(show.arrived) == 4
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


@pytest.mark.parametrize(("name", "value"), [("notices", 2), ("requests", 1)])
def test_a_second_notice_and_a_question_to_the_vendor_would_be_seen(
    show: Performance, name: str, value: int
) -> None:
    last = show.revoked
    assert last is not None
    before = getattr(last, name)
    setattr(last, name, value)
    try:
        assert not show.as_expected
    finally:
        setattr(last, name, before)
    assert show.as_expected


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
    assert [send["outcome"] for send in shown["sends"]] == ["accepted"] * 4 + ["held"]
    assert "password" in shown["sends"][4]["problem"]["what"]
    assert not (tmp_path / "home").exists()
    assert all(Path(send["file"]).is_file() for send in shown["sends"][:4])
    assert shown["revoked"]["outcomes"] == ["held", "held", "accepted"]


def test_the_command_shows_a_table_the_problem_and_where_the_messages_lie(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "recapito", "demo", "--lang", "it", "--folder", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = (
        "✓ accettato",
        "✗ trattenuto",
        "Google",
        "Microsoft",
        "AUTH-FAILED",
        "OAUTH-REVOKED",
        "byte per byte",
    )
    for words in (*said, "Avvisi a una persona finora: 1", str(tmp_path / "out")):
        assert words in done.stdout
    for secret in ("parola-", "GOCSPX", "s3cret", "ya29."):
        assert secret not in done.stdout + done.stderr
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


def test_without_a_plugin_the_demo_says_what_it_would_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for name, words in (("recapito-gmail-oauth", "Google"), ("recapito-smtp-basic", "password")):
        monkeypatch.setenv("RECAPITO_DISABLE_PLUGINS", name)
        assert run(["demo", "--lang", "en", "--folder", str(tmp_path / name)]) == 3
        assert words in capsys.readouterr().err


def test_without_the_pdf_library_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    call = _without(monkeypatch, "fpdf")
    assert call("demo", "--folder", str(tmp_path)) == 3
    assert "[demo]" in capsys.readouterr().err
