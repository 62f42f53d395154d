from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recapito.profile import ProfileKey
from recapito.secret import Secret
from recapito.store import Store
from recapito.testing import CertificateAuthority

Run = Callable[..., Any]
HOST = ["--transport", "smtp_basic", "--set", "host=mail.example.it"]


def _stored_secret() -> Secret | None:
    with Store.open() as store:
        found = store.get(ProfileKey("", "anna"))
        assert found is not None
        return found.secrets.get("password")


def _make(recapito: Run, operator: str = "anna", *more: str) -> Any:
    return recapito(
        "profile",
        "set",
        operator,
        "--sender",
        f"{operator}@example.it",
        *HOST,
        "--password-stdin",
        *more,
        "--json",
        stdin="pl4nted\n",
    )


def test_an_address_of_a_known_domain_needs_nothing_but_a_password(recapito: Run) -> None:
    saved = recapito(
        "profile", "set", "anna", "--sender", "anna@libero.it", "--password-stdin", "--json", stdin="x1"
    )
    assert saved.json["transport"] == "smtp_basic"
    assert saved.json["settings"]["host"] == "smtp.libero.it"
    assert saved.json["provider"] == "libero"
    assert saved.json["source"]
    shown = recapito(
        "profile", "set", "bruno", "--sender", "bruno@libero.it", "--password-stdin", stdin="x2"
    ).out
    assert "Libero" in shown
    assert "smtp.libero.it" in shown


@pytest.mark.parametrize("typed", ["pl4nted", "pl4nted\n", "pl4nted\r\n"])
def test_one_newline_after_the_password_does_not_belong_to_it(recapito: Run, typed: str) -> None:
    recapito("profile", "set", "anna", "--sender", "a@example.it", *HOST, "--password-stdin", stdin=typed)
    assert _stored_secret() == Secret("pl4nted")


def test_only_one_newline_is_taken_away(recapito: Run) -> None:
    ended = recapito(
        "profile",
        "set",
        "anna",
        "--sender",
        "a@example.it",
        *HOST,
        "--password-stdin",
        "--json",
        stdin="pl4nted\n\n",
        code=3,
    )
    assert "control" in ended.json["problem"]["what"]
    assert "pl4nted" not in ended.out + ended.err


def test_blanks_around_a_password_are_kept_and_told(recapito: Run) -> None:
    ended = recapito(
        "profile", "set", "anna", "--sender", "a@example.it", *HOST, "--password-stdin", stdin=" pl4nted "
    )
    kept = _stored_secret()
    assert kept in (Secret(" pl4nted "), Secret("pl4nted"))
    assert "blank" in ended.err


def test_an_empty_password_leaves_the_stored_one(recapito: Run) -> None:
    _make(recapito)
    ended = recapito("profile", "set", "anna", "--name", "Anna Verdi", "--password-stdin", stdin="\n")
    assert _stored_secret() == Secret("pl4nted")
    assert "stays" in ended.err
    assert "sender_name" in ended.out


def test_a_secret_as_an_argument_is_refused_and_the_right_option_named(recapito: Run) -> None:
    ended = recapito(
        "profile",
        "set",
        "anna",
        "--sender",
        "a@example.it",
        *HOST,
        "--set",
        "password=pl4nted",
        "--json",
        code=2,
    )
    assert "--password-stdin" in ended.err
    assert "pl4nted" not in ended.out + ended.err
    assert recapito("profile", "list", "--json").out == ""


def test_a_ca_file_is_read_at_once_and_kept_as_pem(recapito: Run) -> None:
    pem = CertificateAuthority().pem
    Path("ca.pem").write_text(pem, encoding="ascii")
    _make(recapito, "anna", "--set", "ca_file=ca.pem")
    Path("ca.pem").unlink()
    assert recapito("profile", "show", "anna", "--json").json["settings"]["ca"].strip() == pem.strip()


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"no certificate"])
def test_a_ca_file_that_is_none_is_refused(recapito: Run, content: bytes | None) -> None:
    if content is not None:
        Path("ca.pem").write_bytes(content)
    ended = recapito(
        "profile",
        "set",
        "anna",
        "--sender",
        "a@example.it",
        *HOST,
        "--set",
        "ca_file=ca.pem",
        "--password-stdin",
        stdin="x",
        code=None,
    )
    assert ended.code in (2, 3)
    assert "ca" in ended.err


def test_what_changed_is_said_and_the_rest_stays(recapito: Run) -> None:
    created = _make(recapito, "anna", "--alias", "info@example.it").json
    assert created["created"] is True
    changed = recapito(
        "profile",
        "set",
        "anna",
        "--set",
        "port=587",
        "--set",
        "security=starttls",
        "--alias",
        "ordini@example.it",
        "--json",
    ).json
    assert (changed["created"], changed["changed"]) == (
        False,
        ["aliases", "settings.port", "settings.security"],
    )
    shown = recapito("profile", "show", "anna", "--json").json
    assert shown["aliases"] == ["info@example.it", "ordini@example.it"]
    assert shown["settings"]["host"] == "mail.example.it"
    assert shown["secrets"] == ["password"]
    again = recapito("profile", "set", "anna", "--set", "port=587", "--json").json
    assert again["changed"] == []


def test_an_alias_and_a_setting_can_be_taken_out(recapito: Run) -> None:
    _make(recapito, "anna", "--alias", "info@example.it", "--set", "username=anna")
    recapito(
        "profile",
        "set",
        "anna",
        "--remove-alias",
        "INFO@example.it",
        "--set",
        "username=",
        "--reply-to",
        "r@x.it",
    )
    shown = recapito("profile", "show", "anna", "--json").json
    assert shown["aliases"] == []
    assert "username" not in shown["settings"]
    assert shown["reply_to"] == "r@x.it"


def test_every_wrong_field_is_named_at_once(recapito: Run) -> None:
    ended = recapito(
        "profile",
        "set",
        "anna",
        "--sender",
        "no address",
        *HOST,
        "--set",
        "port=x",
        "--set",
        "nonsense=1",
        "--password-stdin",
        "--json",
        stdin="pl4nted",
        code=3,
    )
    assert "sender" in ended.json["problem"]["what"]
    ended = recapito(
        "profile",
        "set",
        "anna",
        "--sender",
        "a@example.it",
        *HOST,
        "--set",
        "port=x",
        "--set",
        "nonsense=1",
        "--password-stdin",
        "--json",
        stdin="pl4nted",
        code=3,
    )
    for name in ("port", "nonsense"):
        assert name in ended.json["problem"]["what"]
    assert "pl4nted" not in ended.out + ended.err


def test_limits_are_set_shown_and_cleared(recapito: Run) -> None:
    _make(
        recapito,
        "anna",
        "--limit",
        "200/20m",
        "--limit",
        "500r/1d",
        "--limit",
        "connections=2",
        "--limit",
        "size=10MB",
    )
    shown = recapito("profile", "show", "anna", "--json").json["limits"]
    assert shown == {
        "concurrency": 2,
        "rates": [[200, 1200.0, "messages"], [500, 86400.0, "recipients"]],
        "size": 10_000_000,
    }
    assert "200/20m, 500r/1d, connections=2, size=10000000" in recapito("profile", "show", "anna").out
    recapito("profile", "set", "anna", "--limit", "none")
    assert recapito("profile", "show", "anna", "--json").json["limits"] == {}
    assert "fast" in recapito("profile", "set", "anna", "--limit", "fast", code=2).err


def test_companies_and_names_tell_profiles_apart(recapito: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _make(recapito, "anna", "--company", "rossi")
    _make(recapito, "anna", "--company", "bianchi", "--profile", "pec")
    rows = recapito("profile", "list", "--json").lines
    assert [(row["company"], row["operator"], row["profile"]) for row in rows] == [
        ("bianchi", "anna", "pec"),
        ("rossi", "anna", "default"),
    ]
    assert len(recapito("profile", "list", "--company", "rossi", "--json").lines) == 1
    assert recapito("profile", "show", "anna", code=3)
    monkeypatch.setenv("RECAPITO_COMPANY", "rossi")
    assert recapito("profile", "show", "anna", "--json").json["company"] == "rossi"


def test_pause_and_resume_say_what_they_did(recapito: Run) -> None:
    _make(recapito)
    assert "is paused" in recapito("profile", "pause", "anna").out
    assert "paused already" in recapito("profile", "pause", "anna").out
    paused = recapito("profile", "show", "anna", "--json").json
    assert paused["state"] == "paused"
    assert paused["problem"]["code"] == "PROFILE-PAUSED"
    assert recapito("profile", "list", "--json").json["problem"] == "PROFILE-PAUSED"
    assert recapito("profile", "resume", "anna", "--json").json["state"] == "active"
    assert "was not paused" in recapito("profile", "resume", "anna").out


def test_remove_asks_and_without_a_terminal_names_yes(recapito: Run, as_terminal: Run) -> None:
    _make(recapito)
    assert "--yes" in recapito("profile", "remove", "anna", code=2).err
    assert "--yes" in as_terminal("profile", "remove", "anna", "--no-input", code=2).err
    assert "Nothing was changed" in as_terminal("profile", "remove", "anna", stdin="n\n", code=1).err
    assert len(recapito("profile", "list", "--json").lines) == 1
    as_terminal("profile", "remove", "anna", stdin="y\n")
    assert recapito("profile", "list", "--json").out == ""
    assert recapito("profile", "remove", "anna", "--yes", code=3)


@pytest.mark.parametrize("answer", ["y", "Yes", "s", "si", "Sì", "what\nsì"])
@pytest.mark.parametrize("language", ["it", "en"])
def test_a_question_takes_the_yes_of_either_language(
    recapito: Run, as_terminal: Run, answer: str, language: str
) -> None:
    _make(recapito)
    asked = as_terminal("profile", "remove", "anna", "--lang", language, stdin=f"{answer}\n")
    assert {"it": "[s/N]", "en": "[y/N]"}[language] in asked.err
    assert recapito("profile", "list", "--json").out == ""


@pytest.mark.parametrize("answer", ["", "n", "No"])
def test_a_question_takes_anything_else_known_for_no(recapito: Run, as_terminal: Run, answer: str) -> None:
    _make(recapito)
    as_terminal("profile", "remove", "anna", stdin=f"{answer}\n", code=1)
    assert recapito("profile", "list", "--json").out


def test_a_password_is_asked_for_on_a_terminal_only(
    recapito: Run, as_terminal: Run, monkeypatch: Any
) -> None:
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _prompt: "pl4nted")
    ended = as_terminal("profile", "set", "anna", "--sender", "anna@libero.it")
    assert _stored_secret() == Secret("pl4nted")
    assert "pl4nted" not in ended.out + ended.err


def test_a_password_that_nobody_can_be_asked_for_names_the_flag_that_gives_it(recapito: Run) -> None:
    ended = recapito("profile", "set", "anna", "--sender", "anna@libero.it", "--json", code=2)
    assert "--password-stdin" in ended.json["problem"]["what"]
    assert recapito("profile", "list", "--json").out == ""


def test_changing_a_profile_asks_for_nothing(recapito: Run, as_terminal: Run) -> None:
    _make(recapito)
    as_terminal("profile", "set", "anna", "--name", "Anna")
    assert _stored_secret() == Secret("pl4nted")


def test_both_readers_of_standard_input_together_are_refused(recapito: Run) -> None:
    ended = recapito(
        "profile", "set", "anna", "--password-stdin", "--secret-stdin", "password", stdin="x", code=2
    )
    assert "--secret-stdin" in ended.err


def test_the_audit_names_who_what_and_which_fields_and_no_value(
    recapito: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECAPITO_BY", "mario")
    _make(recapito)
    recapito("profile", "pause", "anna")
    rows = recapito("audit", "--json").lines
    assert [(row["by"], row["action"]) for row in rows] == [("mario", "created"), ("mario", "paused")]
    assert "secrets.password" in rows[0]["fields"]
    assert len(recapito("audit", "anna", "--limit", "1", "--json").lines) == 1
    assert recapito("audit", "nobody", "--json").out == ""
    assert "pl4nted" not in recapito("audit").out


def test_a_key_is_added_and_rotated_and_the_secrets_stay(recapito: Run, home: Path) -> None:
    _make(recapito)
    added = recapito("keys", "new", "--json").json["key"]
    assert recapito("keys", "rotate", "--json").json["rewritten"] == 1
    assert added in (home / "config" / "keys").read_text(encoding="ascii")
    assert _stored_secret() == Secret("pl4nted")


def test_a_rotation_that_has_nothing_to_do_says_so(recapito: Run) -> None:
    _make(recapito)
    ended = recapito("keys", "rotate", "--json").json
    assert (ended["rewritten"], ended["changed"], ended["lost"]) == (0, False, 0)
    assert f"{ended['key']} is the newest key and writes already" in recapito("keys", "rotate").out


def test_a_lost_key_is_no_dead_end(recapito: Run, home: Path) -> None:
    _make(recapito)
    (home / "config" / "keys").unlink()
    assert recapito("profile", "show", "anna", "--json").json["secrets"] == ["password"]
    recapito("profile", "pause", "anna")
    for operator in ("anna", "bruno"):
        with pytest.raises(AssertionError, match="KEY-UNKNOWN"):
            _make(recapito, operator)
    recapito("keys", "new")
    assert "1 secret cannot be read" in recapito("keys", "rotate", "--leave-lost").out
    for operator in ("anna", "bruno"):
        _make(recapito, operator)
    assert _stored_secret() == Secret("pl4nted")
    assert recapito("keys", "rotate", "--json").json["lost"] == 0
    recapito("profile", "remove", "anna", "--yes")


def test_a_new_key_for_the_environment_goes_to_a_private_file_and_nowhere_else(
    recapito: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECAPITO_KEYS", "k1:" + "A" * 43 + "=")
    assert "--to" in recapito("keys", "new", code=2).err
    ended = recapito("keys", "new", "--to", "new-keys")
    written = Path("new-keys").read_text(encoding="ascii").strip()
    assert written.endswith("k1:" + "A" * 43 + "=")
    assert Path("new-keys").stat().st_mode & 0o777 == 0o600
    assert written.partition(":")[2][:43] not in ended.out + ended.err
    assert recapito("keys", "new", "--to", "new-keys", code=2)


def test_db_upgrade_makes_the_store_and_is_safe_to_repeat(recapito: Run) -> None:
    first = recapito("db", "upgrade", "--json").json
    assert first["database"].startswith("sqlite:///")
    assert recapito("db", "upgrade", "--json").json == first
    assert "no profile yet" in recapito("profile", "list").err


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ([], "anna"),
        (["--profile", "pec"], "anna --profile pec"),
        (["--company", "acme"], "anna --company acme"),
        (["--company", "a b", "--profile", "pec"], "anna --profile pec --company 'a b'"),
    ],
)
def test_a_remedy_names_the_profile_that_it_is_about(
    recapito: Run, options: list[str], arguments: str
) -> None:
    _make(recapito)
    if options:
        ended = recapito("profile", "show", "anna", *options, code=3)
        assert f"recapito profile set {arguments} --sender" in ended.err
        recapito(
            *("profile", "set", "anna", "--sender", "anna@libero.it", "--password-stdin", *options), stdin="x"
        )
    ended = recapito("send", "anna", "--to", "a@x.it", "--from", "b@x.it", "--text", "x", *options, code=6)
    assert f"recapito profile set {arguments} --alias b@x.it" in ended.err + ended.out
    recapito("profile", "pause", "anna", *options)
    held = recapito("send", "anna", "--to", "a@x.it", "--text", "x", "--json", *options, code=4)
    assert f"recapito profile resume {arguments}" in held.json["problem"]["do"]


def test_the_configured_company_is_the_one_that_is_listed(
    recapito: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make(recapito)
    _make(recapito, "anna", "--company", "acme")
    assert len(recapito("profile", "list", "--json").lines) == 2
    monkeypatch.setenv("RECAPITO_COMPANY", "acme")
    assert [row["company"] for row in recapito("profile", "list", "--json").lines] == ["acme"]


def test_control_characters_in_names_are_written_as_escapes(recapito: Run, as_terminal: Run) -> None:
    _make(recapito, "anna", "--name", "Anna\u202e Verdi")
    for call in (recapito, as_terminal):
        for command in (["show", "an\x1b[31m\nna"], ["pause", "an\x1b[31m\nna"]):
            shown = call("profile", *command, "--color", "always", code=3).err
            assert "\x1b[31m\nna" not in shown
            assert "\\x1b[31m\\nna" in shown
    assert "Anna\\u202e Verdi" in recapito("profile", "show", "anna").out


def test_keys_in_the_environment_change_with_two_deployments(
    recapito: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = "old:" + "A" * 43 + "="
    monkeypatch.setenv("RECAPITO_KEYS", old)
    _make(recapito)
    recapito("keys", "new", "--to", "new-keys")
    both = Path("new-keys").read_text(encoding="ascii").strip()
    monkeypatch.setenv("RECAPITO_KEYS", both)
    _make(recapito, "bruno")
    monkeypatch.setenv("RECAPITO_KEYS", old)  # a process that was not started again yet
    assert len(_opened_passwords("anna", "bruno")) == 2
    monkeypatch.setenv("RECAPITO_KEYS", both)
    assert recapito("keys", "rotate", "--json").json["rewritten"] == 2
    monkeypatch.setenv("RECAPITO_KEYS", both.partition(",")[0])
    assert len(_opened_passwords("anna", "bruno")) == 2


def _opened_passwords(*operators: str) -> list[Secret]:
    with Store.open() as store:
        found = [store.get(ProfileKey("", operator)) for operator in operators]
        return [each.secrets["password"] for each in found if each]
