from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recapito.profile import ProfileKey
from recapito.secret import Secret
from recapito.store import Store

Run = Callable[..., Any]

ITALIAN = """operatore;email;nome;server;porta;sicurezza;utente;password
anna;anna@ditta.example;Anna Verdi;mail.ditta.example;465;SSL;anna;pl4nted-1
bruno;bruno@ditta.example;Niccolò Però;mail.ditta.example;587;STARTTLS;;pl4nted-2
carla;carla@libero.it;Carla;;;;;pl4nted-3
"""


def _write(text: str, name: str = "operatori.csv", encoding: str = "utf-8") -> str:
    Path(name).write_bytes(text.encode(encoding))
    return name


def test_it_shows_first_what_it_would_do_and_saves_nothing(recapito: Run) -> None:
    ended = recapito("profile", "import", _write(ITALIAN))
    assert "--apply" in ended.err
    assert "mail.ditta.example:465" in ended.out
    assert "smtp.libero.it" in ended.out
    assert recapito("profile", "list", "--json").out == ""


def test_applied_it_saves_all_of_them_with_what_the_catalogue_knows(recapito: Run) -> None:
    ended = recapito("profile", "import", _write(ITALIAN, encoding="cp1252"), "--apply", "--json").json
    assert (ended["applied"], ended["create"], ended["encoding"], ended["separator"]) == (
        True,
        3,
        "cp1252",
        ";",
    )
    rows = {row["operator"]: row for row in recapito("profile", "list", "--json").lines}
    assert rows["bruno"]["name"] == "Niccolò Però"
    with Store.open() as store:
        carla = store.get(ProfileKey("", "carla"))
        assert carla is not None
        assert carla.profile.settings["host"] == "smtp.libero.it"
        assert carla.secrets["password"] == Secret("pl4nted-3")


def test_no_secret_is_shown_whatever_happens(recapito: Run) -> None:
    for how in ([], ["--apply"], ["--json"], ["--verbose", "--json"]):
        ended = recapito("profile", "import", _write(ITALIAN), *how)
        assert "pl4nted" not in ended.out + ended.err
    broken = recapito("profile", "import", _write(ITALIAN.replace("465", "x")), "--json", "--verbose", code=1)
    assert "pl4nted" not in broken.out + broken.err


def test_every_error_is_named_by_row_and_column_and_nothing_is_saved(recapito: Run) -> None:
    text = (
        ITALIAN
        + "dario;no address;;mail.x.example;port;SSL;;x\n"
        + ";e@ditta.example;;mail.x.example;;;;x\nanna;a@x.it;;h.x.it;;;;x\n"
    )
    ended = recapito("profile", "import", _write(text), "--apply", "--json", code=1)
    errors = [(error["line"], error["column"]) for error in ended.json["errors"]]
    assert (5, "email") in errors
    assert (6, "operatore") in errors
    assert (7, "operatore") in errors
    assert ended.json["applied"] is False
    human = recapito("profile", "import", _write(text), "--apply", "--lang", "it", code=1)
    assert "riga 5, email" in human.err
    assert recapito("profile", "list", "--json").out == ""


def test_all_settings_of_one_row_that_are_wrong_are_named(recapito: Run) -> None:
    text = "operator,email,server,port,security,password\nanna,a@ditta.example,mail x,70000,maybe,x\n"
    errors = recapito("profile", "import", _write(text), "--json", code=1).json["errors"]
    assert {"server", "port", "security"} <= {error["column"] for error in errors}


def test_unknown_double_and_missing_columns_are_named(recapito: Run) -> None:
    ended = recapito(
        "profile", "import", _write("email;colore;e-mail\na@x.it;rosso;b@x.it\n"), "--json", code=1
    )
    reasons = {error["column"]: error["reason"] for error in ended.json["errors"]}
    assert "colore" in reasons
    assert "e-mail" in reasons
    assert "operatore / operator" in reasons


def test_imported_again_nothing_changes_and_empty_cells_stay_as_they_are(recapito: Run) -> None:
    recapito("profile", "import", _write(ITALIAN), "--apply")
    again = recapito("profile", "import", _write(ITALIAN), "--apply", "--json").json
    assert (again["create"], again["change"], again["unchanged"]) == (0, 0, 3)
    changed = recapito(
        "profile", "import", _write("operator,name,password\nanna,Anna V.,\n"), "--apply", "--json"
    ).json
    assert changed["change"] == 1
    with Store.open() as store:
        anna = store.get(ProfileKey("", "anna"))
        assert anna is not None
        assert (anna.profile.sender_name, anna.secrets["password"]) == ("Anna V.", Secret("pl4nted-1"))


def test_companies_and_profile_names_come_from_the_file(recapito: Run) -> None:
    text = "azienda;operatore;profilo;email;password\nrossi;anna;pec;anna@libero.it;x\n;anna;;anna@virgilio.it;y\n"
    recapito("profile", "import", _write(text), "--company", "bianchi", "--yes")
    rows = recapito("profile", "list", "--json").lines
    assert {(row["company"], row["profile"]) for row in rows} == {("rossi", "pec"), ("bianchi", "default")}


def test_on_a_terminal_it_asks_before_it_saves(recapito: Run, as_terminal: Run) -> None:
    as_terminal("profile", "import", _write(ITALIAN), stdin="n\n")
    assert recapito("profile", "list", "--json").out == ""
    as_terminal("profile", "import", _write(ITALIAN), stdin="y\n")
    assert len(recapito("profile", "list", "--json").lines) == 3


def test_a_dry_run_saves_nothing_even_with_yes(recapito: Run) -> None:
    recapito("profile", "import", _write(ITALIAN), "--dry-run", "--yes")
    assert recapito("profile", "list", "--json").out == ""


def test_it_reads_standard_input(recapito: Run) -> None:
    assert recapito("profile", "import", "-", "--apply", "--json", stdin=ITALIAN).json["create"] == 3


@pytest.mark.parametrize("name", ["missing.csv", "image.csv"])
def test_a_file_that_is_none_is_a_usage_error(recapito: Run, name: str) -> None:
    Path("image.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00")
    assert name in recapito("profile", "import", name, code=2).err


def test_progress_is_plain_lines_away_from_a_terminal_and_silent_with_quiet(recapito: Run) -> None:
    many = "operator;email;password\n" + "".join(f"op{n};op{n}@libero.it;x\n" for n in range(30))
    told = recapito("profile", "import", _write(many)).err
    assert "30/30" in told
    assert "\x1b" not in told
    assert told.count("/30") <= 11
    assert recapito("profile", "import", _write(many), "--quiet").err == ""


def test_an_export_has_no_secret_and_comes_back_the_same(recapito: Run, home: Path) -> None:
    recapito("profile", "import", _write(ITALIAN), "--apply")
    recapito("profile", "set", "anna", "--name", '=HYPERLINK("x")', "--alias", "info@ditta.example")
    before = recapito("profile", "show", "anna", "--json").json
    recapito("profile", "export", "out.csv", "--lang", "it")
    written = Path("out.csv").read_bytes()
    assert written.startswith(b"\xef\xbb\xbfazienda;operatore;profilo;email")
    assert b"pl4nted" not in written
    assert b"\"'=HYPERLINK" in written
    again = recapito("profile", "import", "out.csv", "--apply", "--json").json
    assert (again["unchanged"], again["change"], again["errors"]) == (3, 0, [])
    assert recapito("profile", "show", "anna", "--json").json == before


def test_no_cell_of_an_export_begins_like_a_formula(recapito: Run) -> None:
    for operator, name in (("a", "=1+1"), ("b", "+39 045"), ("c", "-x"), ("d", "@sum"), ("e", "'=x")):
        recapito(
            "profile",
            "set",
            operator,
            "--sender",
            f"{operator}@libero.it",
            "--name",
            name,
            "--password-stdin",
            stdin="x",
        )
    out = recapito("profile", "export").out
    assert not [cell for line in out.splitlines() for cell in line.split(";") if cell[:1] in "=+-@" and cell]
    recapito("profile", "export", "out.csv")
    assert recapito("profile", "import", "out.csv", "--json").json["unchanged"] == 5


def test_an_export_as_json_has_the_same_names_without_secrets(recapito: Run) -> None:
    recapito("profile", "import", _write(ITALIAN), "--apply")
    ended = recapito("profile", "export", "--json")
    assert [row["operator"] for row in ended.lines] == ["anna", "bruno", "carla"]
    assert "pl4nted" not in ended.out


@pytest.mark.parametrize(
    ("columns", "cells"),
    [
        ("password", "abcdabcdabcdabcd"),
        ("utente;password", "anna@gmail.com;abcdabcdabcdabcd"),
    ],
)
def test_an_import_chooses_the_transport_that_profile_set_chooses(
    recapito: Run, columns: str, cells: str
) -> None:
    recapito(
        *("profile", "set", "anna", "--sender", "anna@gmail.com", "--password-stdin"),
        stdin="abcdabcdabcdabcd",
    )
    text = f"operatore;email;{columns}\nbruno;bruno@gmail.com;{cells}\n"
    recapito("profile", "import", _write(text), "--apply")
    anna, bruno = recapito("profile", "list", "--json").lines
    assert anna["transport"] == bruno["transport"]
