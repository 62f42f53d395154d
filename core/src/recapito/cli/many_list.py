"""The messages of ``send-many``: rows of a CSV file, or a folder of ready messages; all of them checked first."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recapito.cli.csv_file import CsvProblem, Row, Table, read_table
from recapito.cli.words import _
from recapito.errors import InvalidMessage
from recapito.problem import Problem

if TYPE_CHECKING:
    from recapito.limits import Limits
    from recapito.message import AnyMessage
    from recapito.profile import Profile

__all__ = ["COLUMNS", "Fault", "Letter", "check", "read_list"]

#: The columns with their headings in English and Italian, and other names they go by.
COLUMNS: dict[str, tuple[str, ...]] = {
    "to": ("to", "a", "destinatario", "destinatari", "email"),
    "cc": ("cc",),
    "bcc": ("bcc", "ccn"),
    "subject": ("subject", "oggetto"),
    "text": ("text", "testo"),
    "html": ("html",),
    "attach": ("attach", "allegato", "allegati", "attachments"),
    "reference": ("reference", "riferimento"),
}
#: What divides several addresses or files in one cell.
_DIVIDER = re.compile(r"\s*;\s*|\s*\n\s*")
_MB = 1_000_000
#: Bytes of a list. Ten thousand messages with their text in HTML have some 100 MB.
_LARGEST = 200_000_000
#: Characters of the digest that names a row without a reference.
_DIGEST = 24


@dataclass(slots=True)
class Letter:
    """One message of the list. ``place`` is the line of the file, or the name of the message's own file."""

    place: str
    reference: str
    cells: dict[str, Any] = field(default_factory=dict, repr=False)
    file: Path | None = None
    #: Who it goes to in all; known once it was checked.
    recipients: tuple[str, ...] = ()

    def message(self) -> "AnyMessage":
        """The message, read or made anew: a list of ten thousand must not be in memory as a whole."""
        if self.file is not None:
            return self.file.read_bytes()
        from recapito.message import Message

        return Message(**self.cells)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one message of the list."""

    place: str
    problem: Problem


def read_list(path: Path) -> list[Letter]:
    """The messages in a folder's ``.eml`` files, by name, or in a CSV file's rows. Raises BadParameter."""
    try:
        letters = list(_folder(path) if path.is_dir() else _rows(path))
    except OSError as exc:
        raise click.BadParameter(f"{exc.filename or path}: {exc.strerror}", param_hint="LIST") from exc
    except CsvProblem as exc:
        raise click.BadParameter(f"{path}: {exc}", param_hint="LIST") from exc
    if not letters:
        empty = _("holds no .eml file") if path.is_dir() else _("is empty")
        raise click.BadParameter(f"{path}: {empty}", param_hint="LIST")
    _tell_apart(letters)
    return letters


def check(letters: "Sequence[Letter]", profile: "Profile", limits: "Limits") -> list[Fault]:
    """What cannot be sent, each with its place; of the others :attr:`Letter.recipients` is known then."""
    from recapito.catalogue import problem
    from recapito.rendering import render

    faults = []
    for letter in letters:
        try:
            rendered = render(letter.message(), profile)
        except InvalidMessage as exc:
            faults.append(Fault(letter.place, exc.problem))
        else:
            letter.recipients = rendered.envelope.recipients
            size = rendered.content.size
            rendered.content.close()
            if limits.size is not None and size > limits.size:
                big = problem("MSG-TOO-BIG", n=f"{size / _MB:.1f}", max=f"{limits.size / _MB:g}")
                faults.append(Fault(letter.place, big))
    return faults


def _folder(path: Path) -> Iterator[Letter]:
    for file in sorted(path.iterdir()):
        if file.suffix.lower() == ".eml" and file.is_file():
            digest = sha256(file.read_bytes()).hexdigest()
            yield Letter(file.name, f"eml:{digest[:_DIGEST]}", file=file)


def _rows(path: Path) -> Iterator[Letter]:
    with path.open("rb") as file:
        table = read_table(file.read(_LARGEST + 1), largest=_LARGEST)
    columns = _columns(table)
    for row in table.rows:
        cells = _cells(row, columns, path.parent)
        reference = str(cells.pop("reference", "") or f"row:{_digest(row)}")
        yield Letter(_("line {number}").format(number=row.line), reference, cells)


def _columns(table: Table) -> list[str]:
    """The field of each column. Raises CsvProblem, naming what nobody knows and what is missing."""
    known = {name: field for field, names in COLUMNS.items() for name in names}
    fields = [known.get(title.strip().lower(), "") for title in table.header]
    if strange := [title for title, field in zip(table.header, fields, strict=True) if not field]:
        expected = " ".join(COLUMNS)
        raise CsvProblem(
            _("no column is called {names}; the columns are {expected}").format(
                names=", ".join(map(repr, strange)), expected=expected
            )
        )
    if twice := sorted({field for field in fields if fields.count(field) > 1}):
        raise CsvProblem(_("column {name} is there twice").format(name=", ".join(twice)))
    if not {"to", "cc", "bcc"} & set(fields):
        raise CsvProblem(_("has no column {name}").format(name="to"))
    return fields


def _cells(row: Row, columns: Sequence[str], folder: Path) -> dict[str, Any]:
    if len(row.cells) > len(columns):
        raise CsvProblem(
            _("line {line}: {reason}").format(line=row.line, reason=_("has more cells than the header"))
        )
    cells: dict[str, Any] = {}
    for name, cell in zip(columns, row.cells, strict=False):
        if name in ("to", "cc", "bcc"):
            cells[name] = _several(cell)
        elif name == "attach":
            if files := _several(cell):
                cells["attachments"] = [folder / file for file in files]
        elif name == "reference":
            cells[name] = cell.strip()
        elif cell or name == "subject":
            cells[name] = cell
    return cells


def _several(cell: str) -> list[str]:
    return [part for part in _DIVIDER.split(cell.strip()) if part]


def _digest(row: Row) -> str:
    """The same for the same cells, wherever the row stands: a second run knows it again."""
    return sha256("\x1f".join(row.cells).encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]


def _tell_apart(letters: Sequence[Letter]) -> None:
    """The second of two that are alike is another message, and is called so."""
    taken = {letter.reference for letter in letters}
    seen: dict[str, int] = {}
    for letter in letters:
        name = letter.reference
        number = seen[name] = seen.get(name, 0) + 1
        if number > 1:
            while (numbered := f"{name}#{number}") in taken:
                number += 1
            seen[name] = number
            taken.add(numbered)
            letter.reference = numbered
