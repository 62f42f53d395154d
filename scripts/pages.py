"""Write what the docs can take from the code: providers, codes, the command line's help, and the picture.

python scripts/pages.py            write it
python scripts/pages.py --check    name what is stale; exit 1 if anything is
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from picture import picture

from recapito.catalogue import Provider, Way, builtin, hint, problem
from recapito.cli.main import run

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
KINDS = {"mail": "Mail", "own-domain": "Mail of own domains", "pec": "Certified mail (PEC)"}


def main() -> int:
    """Write, or check, every page; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a page is stale")
    only_check = parser.parse_args().check
    stale = [path for path, text in pages() if not path.exists() or path.read_text("utf-8") != text]
    if not only_check:
        for path, text in pages():
            path.write_text(text, "utf-8")
    for path in stale:
        sys.stdout.write(f"{path.relative_to(ROOT)} {'is stale' if only_check else 'written'}\n")
    return 1 if stale and only_check else 0


def pages() -> Iterator[tuple[Path, str]]:
    """Each page, and what it should say."""
    os.environ |= {"RECAPITO_LANG": "en", "COLUMNS": "88", "NO_COLOR": "1"}
    yield DOCS / "profile-selects-transport.svg", picture()
    for name, made in (("providers.md", providers()), ("errors.md", codes()), ("cli.md", commands())):
        yield DOCS / name, between_marks(DOCS / name, made)


def between_marks(path: Path, made: str) -> str:
    """The page with ``made`` between its two marks; what a person wrote around them stays."""
    written = path.read_text("utf-8")
    mark = re.compile(r"(<!-- made by scripts/pages.py -->\n).*?(<!-- end -->)", re.DOTALL)
    if not mark.search(written):
        raise SystemExit(f"{path.name} has no marks to write between")
    return mark.sub(lambda match: f"{match[1]}\n{made}\n{match[2]}", written)


def providers() -> str:
    """A section for each kind of provider, a table row for each way."""
    lines = []
    for kind, title in KINDS.items():
        lines += [f"## {title}", "", "| provider | id | transport | servers, the best first | good to know |"]
        lines += ["| --- | --- | --- | --- | --- |"]
        for provider in builtin().providers:
            if provider.kind == kind:
                lines += list(provider_rows(provider))
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def provider_rows(provider: Provider) -> Iterator[str]:
    """A row for each way of a provider, or one that says to ask."""
    notes = " ".join(hint(name, "en") for name in provider.hints)
    if not provider.ways:
        yield row(provider.title, f"`{provider.id}`", "", "must be asked for", notes)
    for number, way in enumerate(provider.ways):
        title = provider.title if number == 0 else ""
        told = " ".join(
            text for text in ((hint(way.note, "en") if way.note else ""), notes if not number else "") if text
        )
        yield row(title, f"`{provider.id}`" if number == 0 else "", f"`{way.transport}`", servers(way), told)


def servers(way: Way) -> str:
    """The endpoints of a way, each with where it is known from."""
    return "<br>".join(
        f"{each.host} {each.port} {each.security}{' (not confirmed by the provider)' if each.weak else ''}"
        for each in way.endpoints
    )


def codes() -> str:
    """A table row for each code."""
    lines = ["| code | outcome | who acts | what it says, and what to do |", "| --- | --- | --- | --- |"]
    for name, code in sorted(builtin().codes.items()):
        told = problem(name, host="…", reply="…").explain("en")
        says = " ".join(part for part in (told.what, told.do) if part)
        lines.append(row(f"`{name}`", code.outcome.value.replace("_", " "), told.who, says))
    return "\n".join(lines) + "\n"


def row(*cells: str) -> str:
    """A table row; what would end a cell is written otherwise."""
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def commands() -> str:
    """The help of every command, as a terminal of 88 columns shows it."""
    general = screen()
    options = general.partition("Global options:")[2]
    parts = ["### recapito", "", "```text", general.rstrip(), "```", ""]
    for words in every_command(general, ()):
        shown = screen(*words).partition("Global options:")[0].rstrip()
        parts += [f"### recapito {' '.join(words)}", "", "```text", shown, "```", ""]
    if not options:
        raise SystemExit("the help names no global options any more: see commands() here")
    return "\n".join(parts)


def every_command(shown: str, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The commands that a help screen lists, and those under them."""
    listed = shown.partition("Commands:\n")[2].partition("\n\n")[0]
    for name in re.findall(r"^  (\S+)  ", listed, re.MULTILINE):
        below = (*words, name)
        yield below
        yield from every_command(screen(*below), below)


def screen(*words: str) -> str:
    """What ``recapito WORDS --help`` prints."""
    with redirect_stdout(StringIO()) as shown:
        code = run([*words, "--help", "--lang", "en"])
    assert code == 0, words
    return shown.getvalue()


if __name__ == "__main__":
    sys.exit(main())
