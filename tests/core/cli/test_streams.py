"""Streams that are missing, closed or full, and arguments in a locale that is not UTF-8."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recapito.testing import SmtpServer

Run = Callable[..., Any]
RECAPITO = f"'{sys.executable}' -m recapito"
SEND = f"{RECAPITO} send anna --to a@x.it --text x"


def _shell(line: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, **environment},
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("json_", ["", "--json"])
@pytest.mark.parametrize("refuse", [False, True])
def test_a_reader_that_has_gone_does_not_change_what_a_send_ends_with(
    anna: Run, server: SmtpServer, json_: str, refuse: bool
) -> None:
    if refuse:
        server.refuse("rcpt", "550 5.1.1 No such user")
    done = _shell(f"{SEND} {json_} | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (6 if refuse else 0, "")
    assert len(server.messages) == (0 if refuse else 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
@pytest.mark.parametrize("json_", ["", "--json"])
def test_a_full_disk_is_said_and_does_not_change_what_a_send_ends_with(
    anna: Run, server: SmtpServer, json_: str
) -> None:
    done = _shell(f"{SEND} {json_} > /dev/full", RECAPITO_LANG="en")
    assert done.returncode == 0
    assert "Standard output cannot be written" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert len(server.messages) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
def test_a_full_disk_fails_a_command_that_only_answers(home: Path) -> None:
    done = _shell(f"{RECAPITO} providers list > /dev/full", RECAPITO_LANG="en")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_messages_that_cannot_be_written_fail_nothing(anna: Run, server: SmtpServer) -> None:
    done = _shell(f"{SEND} --subject x --json --verbose 2>/dev/full")
    assert done.returncode == 0
    assert json.loads(done.stdout)["outcome"] == "accepted"


def test_a_pipe_that_breaks_before_the_outcome_is_known_leaves_it_unknown(
    anna: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recapito.cli.output import OutputLost

    def broken(*_: object, **__: object) -> None:
        raise OutputLost from BrokenPipeError()

    monkeypatch.setattr("recapito.blocking.Mailer.send", broken)
    assert anna("send", "anna", "--to", "a@x.it", "--json", code=8).err == ""


@pytest.mark.parametrize("close", ["<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("send anna --to a@x.it --text -", 0),
        ("send anna --to a@x.it --eml -", 6),
        ("profile set anna --password-stdin", 0),
        ("profile set anna --name A", 0),
        ("profile remove anna", 2),
        ("profile import -", 2),
        ("providers list", 0),
        ("--help", 0),
    ],
)
def test_streams_that_are_closed_are_empty_and_no_terminal(
    anna: Run, server: SmtpServer, line: str, code: int, close: str
) -> None:
    done = _shell(f"{RECAPITO} {line} {close}")
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    assert "CLI-UNEXPECTED" not in done.stderr
    assert anna("profile", "show", "anna", "--json").json["secrets"] == ["password"]


def test_arguments_are_utf_8_in_every_locale(anna: Run, server: SmtpServer) -> None:
    Path("perché.txt").write_bytes(b"x")
    done = _shell(
        f"{SEND} --subject 'è pronta' --attach perché.txt --json",
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
    )
    assert done.returncode == 0, done
    (arrived,) = server.messages
    assert arrived.message["Subject"] == "è pronta"
    (attached,) = arrived.message.iter_attachments()
    assert attached.get_filename() == "perché.txt"
