"""What is written where: data on standard output, messages on standard error, colour only where it is wanted."""

import codecs
import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from recapito.cli.words import _

if TYPE_CHECKING:
    from recapito.secret import Secret

__all__ = ["Output", "OutputLost", "table", "visible", "wants_colour"]

# A mark never stands alone: a word follows it. The second column is for encodings that lack the first.
#: Characters from which on a secret is no common word.
_TELLING = 6

_MARKS = {"good": ("✓", "+", "green"), "bad": ("✗", "x", "red"), "skip": ("→", ">", "yellow")}

_PLAIN = {"→": "->", "·": "|", "«": '"', "»": '"', "“": '"', "”": '"', "’": "'", "–": "-"}  # noqa: RUF001


# What moves the cursor, breaks a line or turns the writing around, with the sequences that only colour.
_CONTROL = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"
_UNSEEN = re.compile(rf"(?P<colour>\x1b\[[0-9;]*m)|{_CONTROL}")


class OutputLost(Exception):
    """Standard output takes no more: its reader has gone, or the disk is full; the cause is the OSError."""


def wants_colour(choice: str, stream: TextIO) -> bool:
    """Whether ``stream`` gets colour: ``always`` and ``never`` are obeyed, ``auto`` asks environment and terminal."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    if os.environ.get("TERM") == "dumb" or os.environ.get("CLICOLOR") == "0":
        return False
    return stream.isatty()


def visible(text: str, *, keep: str = "", colour: bool = False) -> str:
    """``text`` with its control characters written as escapes; ``colour`` leaves the sequences that colour it."""

    def shown(found: re.Match[str]) -> str:
        if (colour and found["colour"]) or found[0] in keep:
            return found[0]
        return found[0].encode("unicode_escape").decode()

    return _UNSEEN.sub(shown, text)


class Output:
    """The two streams of one run, and how much is said on them."""

    def __init__(self, *, as_json: bool, quiet: bool, verbose: bool, color: str) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose
        self.color = color
        self._secrets: list[Secret] = []

    def keep_out(self, secret: "Secret") -> None:
        """From now on ``secret`` shows as asterisks in messages and tracebacks; data never holds one."""
        if secret:
            self._secrets.append(secret)

    def data(self, value: Any, human: str | Iterable[str] = ()) -> None:
        """The answer: ``value`` as one line of JSON with ``--json``, else the lines of ``human``."""
        if self.as_json:
            self.json(value)
            return
        for line in [human] if isinstance(human, str) else human:
            self.say(line)

    def say(self, line: str) -> None:
        """A line of data for a person, as soon as it is known."""
        self._write(visible(line, colour=wants_colour(self.color, sys.stdout)), sys.stdout)

    def raw(self, text: str) -> None:
        """``text`` on standard output as it is, its line ends too."""
        self._write(text, sys.stdout, newline=False)

    def rows(self, rows: Sequence[dict[str, Any]], columns: Sequence[tuple[str, str]]) -> None:
        """A list: JSON lines with ``--json``, else a table of ``columns`` (key, heading)."""
        if self.as_json:
            for row in rows:
                self.json(row)
            return
        cells = [[visible(_shown(row.get(key))) for key, _heading in columns] for row in rows]
        headings = [heading for _key, heading in columns]
        if cells:
            for line in table([headings, *cells]):
                self._write(line, sys.stdout)

    def json(self, value: Any) -> None:
        """``value`` as one line of JSON on standard output; ASCII only where the encoding is not UTF-8."""
        utf8 = (sys.stdout.encoding or "ascii").lower().replace("-", "") in ("utf8", "utf8sig")
        self._write(json.dumps(value, ensure_ascii=not utf8, default=str), sys.stdout)

    def note(self, text: str) -> None:
        """A message for the person, on standard error; not with ``--quiet``."""
        if not self.quiet:
            self.complain(text)

    def detail(self, text: str) -> None:
        """A message that only ``--verbose`` shows."""
        if self.verbose:
            self.complain(text)

    def complain(self, text: str) -> None:
        """An error message: with ``--quiet`` too."""
        colour = wants_colour(self.color, sys.stderr)
        self._write(visible(self.redacted(text), keep="\n\t", colour=colour), sys.stderr)

    def mark(self, kind: str, text: str, *, on_error: bool = False) -> str:
        """``text`` after a mark (``good``, ``bad``, ``skip``), coloured where wanted."""
        stream = sys.stderr if on_error else sys.stdout
        return self.paint(f"{self.sign(kind, on_error=on_error)} {text}", _MARKS[kind][2], stream)

    def sign(self, kind: str, *, on_error: bool = False) -> str:
        """The mark alone: ``✓``, ``✗``, ``→``, or ASCII where the encoding lacks them."""
        sign, plain, _colour = _MARKS[kind]
        return sign if _encodes(sign, sys.stderr if on_error else sys.stdout) else plain

    def paint(self, text: str, colour: str, stream: TextIO) -> str:
        """``text`` in ``colour`` where ``stream`` gets colour."""
        return click.style(text, fg=colour) if wants_colour(self.color, stream) else text

    def redacted(self, text: str) -> str:
        """``text`` without the secrets that were typed in this run.

        A net behind the others: servers' words and logs are masked where they come in. It leaves out what is so
        short that it may be a word of ours: asterisks in the middle of a sentence would give it away.
        """
        secrets = [secret for secret in self._secrets if len(secret.reveal()) >= _TELLING]
        if not secrets:
            return text
        from recapito.redaction import redact

        return redact(text, secrets)

    def _write(self, text: str, stream: TextIO, *, newline: bool = True) -> None:
        encoding = stream.encoding or "utf-8"
        safe = text.encode(encoding, "recapito.plainly").decode(encoding)
        try:
            click.echo(safe, file=stream, nl=newline, color=True)
        except OSError as exc:
            # No message is worth a failure; for the answer it is one, and click would end the process for it.
            if stream is not sys.stderr:
                raise OutputLost from exc


def table(lines: Sequence[Sequence[str]]) -> list[str]:
    """``lines`` (the first are headings) in columns, as wide as their widest cell."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value) or "-"
    return str(value)


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """What to write for characters that the encoding lacks, undecodable arguments among them."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(map(_plain, lacking)), error.end


def _plain(char: str) -> str:
    letters = unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
    return _PLAIN.get(char) or letters or char.encode("ascii", "backslashreplace").decode()


codecs.register_error("recapito.plainly", _plainly)


def _encodes(sign: str, stream: TextIO) -> bool:
    try:
        sign.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
