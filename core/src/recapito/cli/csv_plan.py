"""From a table to a plan: what each row would do, and every error by row and column. Nothing is saved here."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recapito.cli.csv_columns import columns_of, security_of
from recapito.cli.csv_file import Row, Table
from recapito.cli.words import _, language, ngettext
from recapito.errors import Misconfigured, RecapitoError
from recapito.operators import Changes, Operators
from recapito.profile import Found, ProfileKey
from recapito.proposal import fitting_transport
from recapito.secret import Secrets
from recapito.settings import secret_fields

if TYPE_CHECKING:
    from recapito.plugins import Plugins
    from recapito.store import Opened, Store

__all__ = ["Mistake", "Plan", "Planned", "make_plan"]

_OWN = ("company", "operator", "profile", "sender", "sender_name", "aliases", "reply_to", "transport")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
# An apostrophe before what a spreadsheet would take for a formula: our export writes it, so it goes again.
_GUARDED = re.compile(r"\A'(?='*[=+\-@\t\r])")


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong where: the line in the file, the column's heading as it stands there."""

    line: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Planned:
    """What one row would do: ``action`` is ``create``, ``change`` or ``unchanged``."""

    line: int
    key: ProfileKey
    changes: Changes
    found: Found
    action: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All rows: what they would do, and what is wrong with them."""

    rows: list[Planned] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)

    def count(self, action: str) -> int:
        """How many rows would do that."""
        return sum(row.action == action for row in self.rows)


def make_plan(
    table: Table,
    *,
    store: "Store",
    operators: Operators,
    plugins: "Plugins",
    company: str,
    step: Callable[[int, int], None],
) -> Plan:
    """The plan of ``table``; ``company`` stands where a row names none."""
    plan = Plan()
    columns = columns_of(table.header, plugins)
    plan.mistakes.extend(_header_mistakes(table, columns))
    if plan.mistakes:
        return plan
    names = {name: table.header[place] for place, name in columns.items() if name}
    secret = {name for info in plugins.transports.values() for name in secret_fields(info.settings)}
    taken: dict[ProfileKey, int] = {}
    for done, row in enumerate(table.rows, 1):
        reader = _RowReader(row, columns, names, secret, company, plugins)
        key, changes = reader.read()
        if key in taken:
            reader.wrong("operator", _("is the same profile as on line {line}").format(line=taken[key]))
        taken.setdefault(key, row.line)
        if not reader.mistakes:
            planned = reader.draft(key, changes, store, operators)
            plan.rows.extend([planned] if planned else [])
        plan.mistakes.extend(reader.mistakes)
        step(done, len(table.rows))
    return plan


def _header_mistakes(table: Table, columns: Mapping[int, str | None]) -> Iterator[Mistake]:
    for place, name in columns.items():
        title = table.header[place]
        if name is None and title:
            yield Mistake(1, title, _("is not a column that is known"))
        elif name is not None and list(columns.values()).index(name) != place:
            yield Mistake(1, title, _("stands there twice"))
    if "operator" not in columns.values():
        yield Mistake(1, "operatore / operator", _("is missing"))


class _RowReader:
    """One row on its way from cells to a draft, and what is wrong with it."""

    def __init__(
        self,
        row: Row,
        columns: Mapping[int, str | None],
        names: Mapping[str, str],
        secret: set[str],
        company: str,
        plugins: "Plugins",
    ) -> None:
        self._row = row
        self._columns = columns
        self._names = names
        self._secret = secret
        self._company = company
        self._plugins = plugins
        self.mistakes: list[Mistake] = []

    def wrong(self, name: str, reason: str) -> None:
        """Note a mistake in the column that ``name`` came from."""
        self.mistakes.append(Mistake(self._row.line, self._names.get(name, name), reason))

    def read(self) -> tuple[ProfileKey, Changes]:
        """The profile's key and what the row says about it; empty cells say nothing."""
        cells = self._cells()
        for name in ("company", "operator", "profile"):
            if _CONTROL.search(cells.get(name, "")):
                self.wrong(name, _("has a control character"))
        if not cells.get("operator"):
            self.wrong("operator", _("is empty"))
        key = ProfileKey(
            cells.get("company") or self._company,
            cells.get("operator", ""),
            cells.get("profile") or "default",
        )
        if "security" in cells:
            cells["security"] = security_of(cells["security"], cells.get("port", ""))
        rest = {name: value for name, value in cells.items() if name not in _OWN}
        sender = cells.get("sender")
        transport = cells.get("transport")
        if transport is None and rest and sender:
            has_password = not self._secret.isdisjoint(rest)
            transport = fitting_transport(rest, sender, self._plugins, has_password=has_password)
        aliases = cells.get("aliases")
        changes = Changes(
            sender=sender,
            sender_name=cells.get("sender_name"),
            aliases=tuple(filter(None, re.split(r"[\s,;]+", aliases))) if aliases else None,
            reply_to=cells.get("reply_to"),
            transport=transport,
            settings={name: value for name, value in rest.items() if name not in self._secret},
            secrets=Secrets({name: value for name, value in rest.items() if name in self._secret}),
        )
        return key, changes

    def draft(
        self, key: ProfileKey, changes: Changes, store: "Store", operators: Operators
    ) -> Planned | None:
        """What saving would make of it; None where it would not be saved, and the mistakes say why."""
        try:
            before = store.opened(key)
            found = operators.draft(key, changes)
        except Misconfigured as exc:
            for name, reason in exc.fields.items():
                self.wrong(name, _(reason))
            if not exc.fields:
                self._explain(exc)
            return None
        except RecapitoError as exc:
            self._explain(exc)
            return None
        return Planned(self._row.line, key, changes, found, _action(before, found))

    def _explain(self, exc: RecapitoError) -> None:
        texts = exc.problem.explain(language())
        column = "transport" if "transport" in self._names else "sender"
        self.wrong(column, f"{texts.what} {texts.do}".strip())

    def _cells(self) -> dict[str, str]:
        if len(self._row.cells) > len(self._columns):
            more = len(self._row.cells) - len(self._columns)
            self.wrong(
                "",
                ngettext(
                    "has {more} cell more than the header", "has {more} cells more than the header", more
                ).format(more=more),
            )
        found = {}
        for place, cell in enumerate(self._row.cells):
            name = self._columns.get(place)
            # Blanks around a password may belong to it; around anything else they are the spreadsheet's.
            text = cell if name in self._secret else _GUARDED.sub("", cell.strip(), count=1) if name else ""
            if name and text:
                found[name] = text
        return found


def _action(opened: "Opened | None", after: Found) -> str:
    if opened is None:
        return "create"
    before = opened.found
    same = before.profile == after.profile and dict(before.secrets) == dict(after.secrets) and not opened.lost
    return "unchanged" if same else "change"
