"""``recapito config``: settings, and where they come from."""

import re
from typing import Any

from recapito.cli.command import Group, option
from recapito.cli.config import NAMES
from recapito.cli.run import Run, pass_run
from recapito.cli.words import N_, _

__all__ = ["config"]

# Greedy: a password may hold an @ of its own; rather too much is hidden than too little.
_URL_PASSWORD = re.compile(r"(?<=://)([^:/@]*):.*@")
_QUERY_PASSWORD = re.compile(r"(?i)(password=)[^&]*")

config = Group("config", help=N_("Settings and where they come from."))


@config.command(help=N_("Every setting with its value. Passwords and keys show as asterisks."))
@option(
    "--origin", is_flag=True, text=N_("Also where each value comes from, and which files were looked at.")
)
@pass_run
def show(run: Run, origin: bool) -> None:
    """Print the settings."""
    rows: list[dict[str, Any]] = []
    for name, (text, _kind) in NAMES.items():
        found = run.config.value(name)
        row = {"name": name, "value": _masked(found.value), "meaning": _(text)}
        rows.append(row | ({"origin": found.origin, "place": found.place} if origin else {}))
    rows += [_keys(origin=origin)]
    columns = [("name", _("setting")), ("value", _("value"))]
    columns += [("origin", _("from")), ("place", _("where"))] if origin else [("meaning", _("meaning"))]
    run.output.rows(rows, columns)
    if origin:
        for kind, path, there in run.config.files():
            run.output.note(f"{kind}: {path}" + ("" if there else " " + _("(does not exist)")))


def _masked(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _QUERY_PASSWORD.sub(r"\1**********", _URL_PASSWORD.sub(r"\1:**********@", value))


def _keys(*, origin: bool) -> dict[str, Any]:
    """Where the keys come from; never a key, not even its id."""
    import os

    from recapito.store.location import key_file

    row: dict[str, Any] = {
        "name": "keys",
        "value": None,
        "meaning": _("keys that encrypt the stored secrets"),
    }
    file = key_file()
    if os.environ.get("RECAPITO_KEYS"):
        found: dict[str, Any] = {"value": "**********", "origin": "environment", "place": "RECAPITO_KEYS"}
    elif file.is_file():
        found = {"value": "**********", "origin": "file", "place": str(file)}
    else:
        found = {"value": None, "origin": "default", "place": str(file)}
    return row | (found if origin else {"value": found["value"]})
