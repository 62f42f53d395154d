"""Every code block of README.md and docs/ is run, page by page, in the order in which a reader meets it.

A page runs in an empty folder and an empty home, beside an SMTP server that stands for ``mail.example.it``.

- ``python``: executed; the page's blocks share their names. ``sh``: run by bash, must succeed.
- ``console``: each line that begins with ``$ `` is run, and what follows must be what it prints (``…`` stands for
  anything within a line, alone on its line for any number of lines).
- ``toml``: parsed. ``text``: not code.
- ``<!-- file: NAME -->`` before a block writes it to that file instead.
- ``<!-- run by .ci/run -->`` before a block: what it runs is in that script.
- ``<!-- test`` … ``-->`` is Python that a reader does not see: it prepares, and checks.
"""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recapito.testing import SmtpServer

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += sorted(ROOT.glob("docs/**/*.md")) + sorted(ROOT.glob("plugins/*/README.md"))
HOST, PORT, PASSWORD = "mail.example.it", "465", "segreto di Anna"

BLOCK = re.compile(
    r"^(?:<!-- (?P<note>(?:file: \S+|run by \S+)) -->\n)?^```(?P<language>\w+)\n(?P<body>.*?)^```$"
    r"|^<!-- test\n(?P<hidden>.*?)^-->$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    body: str
    note: str = ""

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for match in BLOCK.finditer(text):
        kind = "hidden" if match["hidden"] is not None else "body"
        line = text.count("\n", 0, match.start(kind)) + 1
        yield Block(page, line, match["language"] or "python", match[kind], match["note"] or "")


class Scene:
    """One reader: a folder, a home, a server, and what the page has said so far."""

    def __init__(self, folder: Path, server: SmtpServer) -> None:
        self.folder = folder
        self.server = server
        self.names: dict[str, Any] = {"__name__": "page", "server": server, "folder": folder}

    def run(self, block: Block) -> None:
        kind, _, detail = block.note.partition(" ")
        if kind == "file:":
            path = self.folder / detail
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.there(block.body), "utf-8")
            if path.suffix == ".py":
                compile(block.body, block.place, "exec")
        elif kind == "run":
            run_elsewhere(block, detail.removeprefix("by "))
        else:
            getattr(self, f"_{block.language}")(block)

    def _python(self, block: Block) -> None:
        source = "\n" * (block.line - 1) + self.there(block.body)
        exec(compile(source, str(block.page), "exec"), self.names)  # errors then name the page and its line

    def _sh(self, block: Block) -> None:
        done = self.shell(block.body)
        assert done.returncode == 0, f"{block.place} ended with {done.returncode}:\n{done.stdout}"

    def _console(self, block: Block) -> None:
        for command, expected in commands(block.body):
            done = self.shell(command)
            printed = self.here(done.stdout)
            assert matches(expected, printed), f"{block.place}: $ {command}\nprints:\n{printed}"

    def _toml(self, block: Block) -> None:
        tomllib.loads(block.body)

    def _text(self, block: Block) -> None:
        pass

    def shell(self, script: str) -> "subprocess.CompletedProcess[str]":
        command = ["bash", "-euo", "pipefail", "-c", self.there(script)]
        # One stream, as on a terminal.
        return subprocess.run(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=50,
        )

    def there(self, text: str) -> str:
        """The page's host and port as they are here."""
        text = text.replace(HOST, self.server.host)
        return re.sub(
            rf"\b(port(?:=|\": ?)|{re.escape(self.server.host)};){PORT}\b", rf"\g<1>{self.server.port}", text
        )

    def here(self, text: str) -> str:
        """What a command printed, with the page's host and port."""
        return text.replace(self.server.host, HOST).replace(str(self.server.port), PORT)


def commands(body: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines that it should print."""
    command, printed = "", list[str]()
    for line in body.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, printed
            command, printed = line[2:], []
        elif command.endswith("\\"):
            command = command[:-1] + line.strip()
        else:
            printed.append(line)
    if command:
        yield command, printed


def matches(expected: list[str], printed: str) -> bool:
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line.rstrip()).replace("…", ".*?") + r"[ ]*\n"
        for line in expected
    )
    lines = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
    return re.fullmatch(pattern, lines) is not None


def run_elsewhere(block: Block, script: str) -> None:
    """Each command of the block stands in the script."""
    known = (ROOT / script).read_text("utf-8")
    for line in block.body.splitlines():
        for command in filter(None, re.split(r"\s*&&\s*|\s+#.*$", line.strip())):
            assert command in known, f"{block.place}: {script} does not run {command!r}"


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    for name in [name for name in os.environ if name.startswith(("RECAPITO_", "LC_", "LANG"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    folder = tmp_path / "folder"
    home.mkdir()
    folder.mkdir()
    settings = {"RECAPITO_HOME": home, "HOME": home, "RECAPITO_LANG": "en", "NO_COLOR": "1", "COLUMNS": "100"}
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(folder)
    with SmtpServer(users={"anna": PASSWORD, "bruno": PASSWORD, "anna@example.it": PASSWORD}) as server:
        (folder / "ca.pem").write_text(server.pem)
        (folder / "secret").write_text(PASSWORD + "\n")
        (folder / "fattura-12.pdf").write_bytes(b"%PDF-1.4\n%%EOF\n")
        yield Scene(folder, server)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_page_is_true(page: Path, scene: Scene) -> None:
    before = set(sys.modules)
    try:
        for block in blocks(page):
            scene.run(block)
    finally:
        for name in set(sys.modules) - before:
            if str(scene.folder) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]  # another page may have a file of that name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_says_what_it_is(page: Path) -> None:
    """A fence without a language, or in a language that nobody runs, would be left out."""
    fences = re.findall(r"^\s*```.*$", page.read_text("utf-8"), re.MULTILINE)
    found = list(blocks(page))
    visible = [
        block
        for block in found
        if block.page.read_text("utf-8").splitlines()[block.line - 2].startswith("```")
    ]
    assert len(fences) == 2 * len(visible)
    known = {"python", "sh", "console", "toml", "text"}
    assert [block.place for block in found if block.language not in known and not block.note] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", prose)
    for link in (one or other for one, other in links):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_a_wrong_block_is_seen(tmp_path: Path, scene: Scene) -> None:
    page = ROOT / "docs/index.md"
    with pytest.raises(AssertionError, match="ended with 3"):
        scene.run(Block(page, 1, "sh", "exit 3\n"))
    with pytest.raises(AssertionError, match="prints"):
        scene.run(Block(page, 1, "console", "$ echo uno\ndue\n"))
    with pytest.raises(ZeroDivisionError):
        scene.run(Block(page, 1, "python", "1 / 0\n"))
    with pytest.raises(AssertionError, match="does not run"):
        scene.run(Block(page, 1, "sh", "uv run nothing-of-the-kind\n", "run by .ci/run"))
    scene.run(Block(page, 1, "console", "$ printf 'uno\\ndue\\ntre\\n'\nun…\n…\ntre\n"))
