import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from recapito.cli.main import run
from recapito.testing import CertificateAuthority, SmtpServer


@dataclass(frozen=True)
class Ended:
    """How a run of the command line ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on standard output."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The JSON lines on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


class CommandLine(Protocol):
    def __call__(self, *arguments: str, stdin: str | bytes = b"", code: int | None = 0) -> Ended: ...


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new RECAPITO_HOME, an empty current folder, and an environment without a say in language or colour."""
    for name in (
        "RECAPITO_LANG",
        "RECAPITO_DATABASE",
        "RECAPITO_KEYS",
        "RECAPITO_COMPANY",
        "NO_COLOR",
        "CLICOLOR",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("CLICOLOR_FORCE", raising=False)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("RECAPITO_HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


class _Stream(io.TextIOWrapper):
    """A text stream over bytes that can be read back; ``terminal`` says whether it claims to be one."""

    def __init__(self, content: bytes = b"", *, terminal: bool = False, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(content), encoding=encoding, write_through=True)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined,no-any-return]


@contextmanager
def streams(
    stdin: bytes, *, terminal: bool = False, encoding: str = "utf-8"
) -> Iterator[tuple[_Stream, _Stream]]:
    """The process's three streams replaced; yields output and error."""
    kept = sys.stdin, sys.stdout, sys.stderr
    out, err = (_Stream(terminal=terminal, encoding=encoding) for _ in range(2))
    sys.stdin, sys.stdout, sys.stderr = _Stream(stdin, terminal=terminal), out, err
    try:
        yield out, err
    finally:
        sys.stdin, sys.stdout, sys.stderr = kept


@pytest.fixture
def recapito(home: Path) -> CommandLine:
    """Runs the command line in this process; fails where it does not end with ``code`` (None: any)."""

    def call(*arguments: str, stdin: str | bytes = b"", code: int | None = 0, **how: Any) -> Ended:
        content = stdin.encode() if isinstance(stdin, str) else stdin
        with streams(content, **how) as (out, err):
            ended = Ended(run(arguments), out.text(), err.text())
        assert code is None or ended.code == code, ended
        return ended

    return call


@pytest.fixture
def as_terminal(recapito: Callable[..., Ended]) -> Callable[..., Ended]:
    """The same on a terminal, where questions may be asked."""
    return lambda *arguments, **how: recapito(*arguments, terminal=True, **how)


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return CertificateAuthority()


@pytest.fixture
def server(authority: CertificateAuthority) -> Iterator[SmtpServer]:
    with SmtpServer(tls="ssl", users={"anna": "pl4nted"}, authority=authority) as running:
        yield running


@pytest.fixture
def anna(recapito: CommandLine, server: SmtpServer) -> CommandLine:
    """The command line, with a profile ``anna`` at ``server`` made by the very command that scripts rely on."""
    Path("ca.pem").write_text(server.pem, encoding="ascii")
    recapito(
        *(
            "profile",
            "set",
            "anna",
            "--sender",
            "anna@example.it",
            "--name",
            "Anna Verdi",
            "--transport",
            "smtp_basic",
        ),
        *("--set", "host=localhost", "--set", f"port={server.port}", "--set", "security=ssl"),
        *("--set", "username=anna", "--set", "ca_file=ca.pem", "--password-stdin"),
        stdin="pl4nted\n",
    )
    return recapito
