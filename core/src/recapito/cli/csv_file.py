"""Reading the CSV files that administrators have: whatever separator and encoding their spreadsheet chose."""

import codecs
import csv
import io
from dataclasses import dataclass, field

from recapito.cli.words import _

__all__ = ["CsvProblem", "Row", "Table", "read_table"]

#: Bytes. A thousand profiles with a company's CA in each have some 3 MB.
LARGEST = 20_000_000

_SEPARATORS = ";,\t|"


class CsvProblem(Exception):
    """A file that is no table; the text says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line it starts on, as an editor counts them, and its cells."""

    line: int
    cells: list[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file as it was understood."""

    header: list[str]
    rows: list[Row]
    encoding: str
    separator: str


def read_table(content: bytes, *, largest: int = LARGEST) -> Table:
    """The table in ``content``, of ``largest`` bytes at most; rows without any text are left out. Raises CsvProblem."""
    if len(content) > largest:
        raise CsvProblem(_("larger than {size} MB").format(size=largest // 1_000_000))
    text, encoding = _decoded(content)
    if "\0" in text:
        raise CsvProblem(_("is no text file"))
    skipped = 0
    first, _newline, rest = text.partition("\n")
    # Excel's own way of naming the separator, which it does not count as a row.
    if first.lower().startswith("sep=") and len(first.strip()) == 5:
        separator, text, skipped = first[4], rest, 1
    else:
        separator = _separator(first)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[Row] = []
    begins = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(Row(begins + skipped, cells))
            begins = reader.line_num + 1
    except csv.Error as exc:
        raise CsvProblem(_("line {line}: {reason}").format(line=begins + skipped, reason=exc)) from None
    if not rows:
        raise CsvProblem(_("is empty"))
    return Table([cell.strip() for cell in rows[0].cells], rows[1:], encoding, separator)


def _decoded(content: bytes) -> tuple[str, str]:
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if content.startswith(mark):
            return _strictly(content, encoding), encoding
    # Without a mark, UTF-16 shows by every other byte of the header, which is ASCII, being zero.
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(content) > 3 and not any(content[start:40:2]) and all(content[1 - start : 40 : 2]):
            return _strictly(content, encoding), encoding
    try:
        return content.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        # What Excel writes in Western Europe. Five bytes mean nothing in it: then it is no text at all.
        return _strictly(content, "cp1252"), "cp1252"


def _strictly(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise CsvProblem(_("is no text file")) from None


def _separator(header: str) -> str:
    """The separator that the header has most of, outside quotes."""
    outside = "".join(header.split('"')[::2])
    return max(_SEPARATORS, key=outside.count)
