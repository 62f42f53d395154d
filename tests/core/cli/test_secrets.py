"""Planted passwords are looked for in everything that a person, a log or another process can see."""

import base64
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recapito.testing import SmtpServer

Run = Callable[..., Any]
PLANTED = "pl4nted-s3cret"


def _forms() -> list[str]:
    plain = base64.b64encode(PLANTED.encode()).decode().rstrip("=")
    both = base64.b64encode(f"\0anna\0{PLANTED}".encode()).decode().rstrip("=")
    return [PLANTED, plain, both]


def _seen(text: str) -> list[str]:
    return [form for form in _forms() if form in text]


@pytest.mark.parametrize("how", [["--json"], ["--verbose"], ["--json", "--verbose"], []])
def test_no_output_holds_the_password_whatever_goes_wrong(recapito: Run, how: list[str]) -> None:
    with SmtpServer(tls="ssl", users={"anna": PLANTED}) as server:
        Path("ca.pem").write_text(server.pem, encoding="ascii")
        anna = ["anna", "--sender", "anna@example.it", "--transport", "smtp_basic", "--set", "host=localhost"]
        anna += ["--set", f"port={server.port}", "--set", "security=ssl", "--set", "username=anna"]
        secret = ["--password-stdin", *how]
        said = [
            recapito("profile", "set", *anna, "--set", "ca_file=ca.pem", *secret, stdin=PLANTED),
            recapito("profile", "set", *anna, "--set", "port=nonsense", *secret, stdin=PLANTED, code=None),
            recapito("profile", "set", *anna, "--sender", "nonsense", *secret, stdin=PLANTED, code=None),
            recapito("profile", "set", "bruno", *anna[1:], "--set", f"password={PLANTED}", *how, code=2),
            recapito("profile", "set", "bruno", *secret, stdin=PLANTED + "\x01", code=None),
            recapito("profile", "show", "anna", *how),
            recapito("profile", "list", *how),
            recapito("profile", "export", *how),
            recapito("audit", *how),
            recapito("config", "show", "--origin", *how),
            recapito("check", "anna", *how),
            recapito("send", "anna", "--to", "a@x.it", "--text", "x", *how),
        ]
        server.refuse("auth", "535 5.7.8 Wrong")
        said.append(recapito("check", "anna", *how, code=4))
        server.refuse("auth", "454 4.7.0 Later")
        said.append(recapito("send", "anna", "--to", "a@x.it", "--text", "x", *how, code=None))
        server.drop("auth")
        said.append(recapito("check", "anna", *how, code=None))
        assert server.logins == ["anna"] * 2
    for ended in said:
        assert not _seen(ended.out + ended.err)


def test_a_password_given_to_password_stdin_is_in_no_argument_nor_environment(home: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "recapito",
            "profile",
            "set",
            "anna",
            "--sender",
            "anna@libero.it",
            "--password-stdin",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "RECAPITO_HOME": str(home)},
    )
    assert process.stdin is not None
    process.stdin.write(PLANTED.encode())
    process.stdin.flush()
    seen = b"".join(Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
    out, _err = process.communicate(timeout=50)
    assert process.returncode == 0, out
    assert not _seen(seen.decode(errors="replace"))
    assert not _seen(out.decode())


def test_a_traceback_shows_no_secret_that_was_typed(recapito: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"the driver repeats its parameters: {PLANTED!r}")

    monkeypatch.setattr("recapito.operators.Operators.save", broken)
    ended = recapito(
        *("profile", "set", "anna", "--sender", "anna@libero.it", "--password-stdin", "--verbose", "--json"),
        stdin=PLANTED,
        code=1,
    )
    assert "RuntimeError" in ended.err
    assert not _seen(ended.out + ended.err)


def test_nothing_of_the_store_or_the_keys_is_readable_by_others(recapito: Run, home: Path) -> None:
    recapito("profile", "set", "anna", "--sender", "anna@libero.it", "--password-stdin", stdin=PLANTED)
    for path in home.rglob("*"):
        if path.is_file():
            assert not path.stat().st_mode & 0o077, path
            assert not _seen(path.read_bytes().decode("latin-1")), path


@pytest.mark.parametrize("password", ["p", "mail", "port"])
def test_a_password_that_is_a_common_word_spoils_no_sentence_and_is_not_given_away(
    recapito: Run, password: str
) -> None:
    asked = ["otto", "--sender", "a@outlook.com", "--transport", "smtp_basic", "--password-stdin"]
    said = recapito("profile", "set", *asked, stdin=password, code=3)
    assert "**" not in said.err
    assert "does not take mail through smtp_basic" in said.err
