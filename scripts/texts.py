"""Keep the texts: codes with their explanations, and the strings of the faces, in English and Italian.

    python scripts/texts.py add CODE --outcome held --who operator --scope profile \
        --en-what … [--en-why …] --en-do … --it-what … [--it-why …] --it-do …
    python scripts/texts.py merge FILE.toml      the same for many codes ([CODE] tables with en={…} and it={…})
    python scripts/texts.py say "English" "Italiano" [--plural "English n" "Italiano n"] [--package NAME]
    python scripts/texts.py update               collect _("…") from the sources of core and every plugin
    python scripts/texts.py compile              write the .mo files
    python scripts/texts.py check                name what is missing, fuzzy or stale; exit 1 if anything is

A code's texts have the code as context and what, why, do (and do-outbox: the wording for mail that the outbox
keeps) as message. A code without a known cause has no why at all. An optional part of a text stands in [[…]]:
it is left out where one of its placeholders has no value.
"""

import argparse
import fcntl
import io
import re
import struct
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babel.messages.extract import extract
from babel.messages.pofile import normalize, read_po

ROOT = Path(__file__).resolve().parent.parent
CODES = ROOT / "core/src/recapito/catalogue/codes.toml"
LANGUAGES = ("en", "it")
PARTS = ("what", "why", "do", "do-outbox")
CHOICES = {
    "outcome": ("refused", "not_sent", "held", "unknown"),
    "who": ("operator", "administrator", "recipient", "nobody"),
    "scope": ("message", "profile", "client"),
}
KEYWORDS: dict[str, Any] = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2), "Phrase": None}
PLACEHOLDER = re.compile(r"\{(\w*)[^{}]*\}|%\((\w+)\)|%[sd]")
CODE = re.compile(r"^[A-Z][A-Z0-9]*(-[A-Z0-9]+)*$")
HEADER = "Language: {}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
PLURALS = "Plural-Forms: nplurals=2; plural=(n != 1);\n"


@dataclass(frozen=True, slots=True)
class Text:
    """One entry: its context (a code, "who", or none), message, plural, and what it is in one language."""

    context: str
    message: str
    plural: str = ""
    said: tuple[str, ...] = ("",)
    fuzzy: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.context, self.message


Texts = dict[tuple[str, str], Text]


def packages(root: Path = ROOT) -> dict[str, Path]:
    """Every import package that may have texts, by name, and where its source lies."""
    sources = [root / "core/src", *sorted((root / "plugins").glob("*/src"))]
    return {
        folder.name: folder for source in sources for folder in source.glob("recapito*") if folder.is_dir()
    }


def po_path(folder: Path, language: str) -> Path:
    """Where the texts of the package in ``folder`` lie."""
    return folder / "locale" / language / "LC_MESSAGES" / f"{folder.name}.po"


def load(path: Path) -> Texts:
    """The texts of a .po file; none where it does not exist."""
    if not path.exists():
        return {}
    with path.open("rb") as stream:
        catalog = read_po(stream)
    texts = {}
    for message in catalog:
        if not message.id:
            continue
        ids = message.id if isinstance(message.id, (tuple, list)) else (message.id, "")
        said = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
        text = Text(
            message.context or "", ids[0], ids[1], tuple(str(each or "") for each in said), message.fuzzy
        )
        texts[text.key] = text
    return texts


def store(path: Path, language: str, texts: Texts) -> None:
    """Write a .po file, ordered by context, and its .mo beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [_header(language), *map(_entry, sorted(texts.values(), key=_order))]
    path.write_text("\n".join(entries), encoding="utf-8")
    path.with_suffix(".mo").write_bytes(mo_bytes(language, texts))


def mo_bytes(language: str, texts: Texts) -> bytes:
    """What the .mo file of these texts must be: the same bytes whenever the texts are the same."""
    pairs = {b"": (HEADER.format(language) + PLURALS).encode()}
    for text in texts.values():
        if not text.fuzzy and all(text.said):
            key = (f"{text.context}\x04" if text.context else "") + text.message
            pairs["\0".join([key, text.plural] if text.plural else [key]).encode()] = "\0".join(
                text.said
            ).encode()
    keys = sorted(pairs)
    start = 28 + 16 * len(keys)
    tables, data = b"", b""
    for rows in (keys, [pairs[key] for key in keys]):
        for row in rows:
            tables += struct.pack("<II", len(row), start + len(data))
            data += row + b"\0"
    return struct.pack("<7I", 0x950412DE, 0, len(keys), 28, 28 + 8 * len(keys), 0, start) + tables + data


def _order(text: Text) -> tuple[str, int, str]:
    return text.context, PARTS.index(text.message) if text.message in PARTS else -1, text.message


def _header(language: str) -> str:
    lines = (HEADER.format(language) + PLURALS).splitlines()
    return 'msgid ""\nmsgstr ""\n' + "".join(f'"{line}\\n"\n' for line in lines)


def _entry(text: Text) -> str:
    lines = ["#, fuzzy"] if text.fuzzy else []
    if text.context:
        lines.append(f"msgctxt {normalize(text.context, width=110)}")
    lines.append(f"msgid {normalize(text.message, width=110)}")
    if text.plural:
        lines.append(f"msgid_plural {normalize(text.plural, width=110)}")
        said = (*text.said, "", "")[:2]
        lines += [f"msgstr[{index}] {normalize(each, width=110)}" for index, each in enumerate(said)]
    else:
        lines.append(f"msgstr {normalize(text.said[0], width=110)}")
    return "\n".join(lines) + "\n"


@contextmanager
def locked() -> Iterator[None]:
    """One writer at a time, however many processes."""
    with CODES.open("r+", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def merge(rows: Mapping[str, Mapping[str, Any]], *, replace: bool = False) -> None:
    """Add codes with their texts. A code that exists keeps what it has, unless ``replace``."""
    with locked():
        known = read_codes()
        for code, row in rows.items():
            _require(code, row)
            if code in known and not replace:
                print(f"{code}: exists already, left as it is")
                continue
            known[code] = {name: row[name] for name in (*CHOICES, "unconfirmed") if name in row}
            for language in LANGUAGES:
                path = po_path(packages()["recapito"], language)
                texts = {key: text for key, text in load(path).items() if text.context != code}
                for part, said in row[language].items():
                    if said:
                        texts[code, part] = Text(code, part, said=(said,))
                store(path, language, texts)
        write_codes(known)


def read_codes() -> dict[str, dict[str, Any]]:
    """The codes of ``codes.toml``: outcome, who and scope of each, in one short string."""
    known = tomllib.loads(CODES.read_text(encoding="utf-8"))
    return {
        code: dict(zip((*CHOICES, "unconfirmed"), said.split(), strict=False)) for code, said in known.items()
    }


def write_codes(known: Mapping[str, Mapping[str, Any]]) -> None:
    """Write ``codes.toml`` in order, under the comment that stands first in it."""
    lines = CODES.read_text(encoding="utf-8").splitlines(keepends=True)
    comment = "".join(line for line in lines if line.startswith("#"))
    rows = []
    for code, row in sorted(known.items()):
        said = [row[name] for name in CHOICES] + (["unconfirmed"] if row.get("unconfirmed") else [])
        rows.append(f'{code} = "{" ".join(said)}"\n')
    CODES.write_text(comment + "\n" + "".join(rows), encoding="utf-8")


def _require(code: str, row: Mapping[str, Any]) -> None:
    if not CODE.match(code):
        raise SystemExit(f"{code}: a code is capitals, digits and hyphens")
    for name, allowed in CHOICES.items():
        if row.get(name) not in allowed:
            raise SystemExit(f"{code}: {name} must be one of {', '.join(allowed)}")
    for language in LANGUAGES:
        missing = [part for part in ("what", "do") if not row.get(language, {}).get(part)]
        unknown = set(row.get(language, {})) - set(PARTS)
        if missing or unknown:
            raise SystemExit(f"{code}: {language} lacks {missing}, does not know {sorted(unknown)}")


def say(package: str, english: tuple[str, ...], italian: tuple[str, ...], context: str = "") -> None:
    """Add or replace one string of a face."""
    with locked():
        for language, said in zip(LANGUAGES, (english, italian), strict=True):
            path = po_path(packages()[package], language)
            texts = load(path)
            text = Text(context, english[0], english[1] if len(english) > 1 else "", said)
            store(path, language, {**texts, text.key: text})


def found_strings(folder: Path) -> Texts:
    """The strings that the sources in ``folder`` mark with ``_()`` and its like."""
    texts: Texts = {}
    for source in sorted(folder.rglob("*.py")):
        # Babel warns about every _(variable), which is how a string marked with N_ is shown.
        with source.open("rb") as stream, redirect_stderr(io.StringIO()):
            for _, message, _, _ in extract("python", stream, KEYWORDS):
                ids = message if isinstance(message, tuple) else (message, "")
                if ids[0]:
                    texts["", ids[0]] = Text("", ids[0], ids[1], ids if ids[1] else (ids[0],))
    return texts


def update() -> None:
    """Bring the plain strings of every package in line with its sources; Italian ones still to be said are empty."""
    with locked():
        for folder in packages().values():
            found = found_strings(folder)
            for language in LANGUAGES:
                path = po_path(folder, language)
                known = load(path)
                kept = {key: text for key, text in known.items() if text.context}
                for key, text in found.items():
                    empty = ("",) * len(text.said)
                    new = text if language == "en" else Text("", text.message, text.plural, empty)
                    old = known.get(key)
                    kept[key] = old if old and old.plural == text.plural else new
                if kept:
                    store(path, language, kept)


def compile_all() -> None:
    """Write every .mo file anew."""
    with locked():
        for folder in packages().values():
            for language in LANGUAGES:
                path = po_path(folder, language)
                if path.exists():
                    path.with_suffix(".mo").write_bytes(mo_bytes(language, load(path)))


def complaints(root: Path = ROOT) -> list[str]:
    """What is wrong with the texts of every package under ``root``, a line each."""
    return [line for folder in packages(root).values() for line in _complaints_of(folder)]


def _complaints_of(folder: Path) -> Iterator[str]:
    by_language = {language: load(po_path(folder, language)) for language in LANGUAGES}
    for language, texts in by_language.items():
        path = po_path(folder, language)
        where = f"{folder.name} ({language})"
        yield from (f"{where}: fuzzy: {_name(text)}" for text in texts.values() if text.fuzzy)
        yield from (f"{where}: not said: {_name(text)}" for text in texts.values() if not all(text.said))
        if path.exists():
            compiled = path.with_suffix(".mo")
            if not compiled.exists() or compiled.read_bytes() != mo_bytes(language, texts):
                yield f'{where}: stale {compiled.name}: run "python scripts/texts.py compile"'
    english, italian = by_language["en"], by_language["it"]
    for key in sorted(english.keys() ^ italian.keys()):
        yield f"{folder.name}: only in {'en' if key in english else 'it'}: {_name((english | italian)[key])}"
    for key in english.keys() & italian.keys():
        if all(italian[key].said) and _holes(english[key].said) != _holes(italian[key].said):
            yield f"{folder.name}: placeholders differ: {_name(english[key])}"
    for key, text in found_strings(folder).items():
        if key not in english:
            yield f'{folder.name}: not collected: {_name(text)}: run "python scripts/texts.py update"'


def _name(text: Text) -> str:
    return " ".join(part for part in (text.context, text.message) if part)


def _holes(said: Iterable[str]) -> list[set[str]]:
    return [{match[1] or match[2] or match[0] for match in PLACEHOLDER.finditer(each)} for each in said]


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    adding = verbs.add_parser("add")
    adding.add_argument("code")
    for name, allowed in CHOICES.items():
        adding.add_argument(f"--{name}", choices=allowed, required=True)
    for language in LANGUAGES:
        for part in PARTS:
            adding.add_argument(f"--{language}-{part}", default="", required=part in ("what", "do"))
    merging = verbs.add_parser("merge")
    merging.add_argument("file", type=Path, nargs="+")
    for each in (adding, merging):
        each.add_argument("--replace", action="store_true", help="write over a code that exists")
    saying = verbs.add_parser("say")
    saying.add_argument("english")
    saying.add_argument("italian")
    saying.add_argument("--plural", nargs=2, metavar=("ENGLISH", "ITALIAN"), default=())
    saying.add_argument("--package", default="recapito")
    saying.add_argument("--context", default="")
    for verb in ("update", "compile", "check"):
        verbs.add_parser(verb)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """The exit code."""
    given = _arguments().parse_args(arguments)
    if given.verb == "add":
        row: dict[str, Any] = {name: getattr(given, name) for name in CHOICES}
        for language in LANGUAGES:
            row[language] = {part: getattr(given, f"{language}_{part.replace('-', '_')}") for part in PARTS}
        merge({given.code: row}, replace=given.replace)
    elif given.verb == "merge":
        for file in given.file:
            merge(tomllib.loads(file.read_text(encoding="utf-8")), replace=given.replace)
    elif given.verb == "say":
        plurals = given.plural or ((), ())
        english, italian = (
            (one, *([more] if more else []))
            for one, more in zip((given.english, given.italian), plurals, strict=True)
        )
        say(given.package, english, italian, given.context)
    elif given.verb == "update":
        update()
    elif given.verb == "compile":
        compile_all()
    else:
        wrong = complaints()
        print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
        return 1 if wrong else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
