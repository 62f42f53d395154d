"""``--limit``: what an administrator allows a mailbox, below what its provider does."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from recapito.cli.words import _

if TYPE_CHECKING:
    from recapito.limits import Limits

__all__ = ["limits_from", "limits_shown"]

_RATE = re.compile(r"(?P<maximum>\d+)(?P<of>r)?/(?P<number>\d*)(?P<unit>[smhd])")
_SIZE = re.compile(r"(?P<number>\d+)(?P<unit>kB|MB|GB)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {None: 1, "kB": 1000, "MB": 1_000_000, "GB": 1_000_000_000}


def limits_from(texts: Iterable[str], before: "Limits | None" = None) -> "Limits | None":
    """The limits that ``texts`` say, over ``before``; None where there are none, empty limits for ``none``."""
    from recapito.limits import Limits

    given = list(texts)
    if not given:
        return None
    stored = (before or Limits()).to_dict()
    rates = []
    for text in given:
        name, _equals, value = text.partition("=")
        if text == "none":
            stored = {}
        elif name in ("connections", "recipients") and value.isdigit() and int(value):
            stored[{"connections": "concurrency", "recipients": "recipients_per_message"}[name]] = int(value)
        elif name == "size" and (found := _SIZE.fullmatch(value)):
            stored["size"] = int(found["number"]) * _BYTES[found["unit"]]
        elif found := _RATE.fullmatch(text):
            window = int(found["number"] or 1) * _SECONDS[found["unit"]]
            rates.append([int(found["maximum"]), float(window), "recipients" if found["of"] else "messages"])
        else:
            raise click.BadParameter(_("{text!r} is not a limit").format(text=text), param_hint="--limit")
    return Limits.from_dict(stored | ({"rates": rates} if rates else {}))


def limits_shown(limits: "Limits") -> list[str]:
    """The limits as ``--limit`` takes them."""
    shown = []
    for rate in limits.rates:
        unit = next((unit for unit in "dhm" if rate.window % _SECONDS[unit] == 0), "s")
        number = int(rate.window // _SECONDS[unit])
        shown.append(f"{rate.maximum}{'r' if rate.of == 'recipients' else ''}/{number}{unit}")
    named = {
        "connections": limits.concurrency,
        "recipients": limits.recipients_per_message,
        "size": limits.size,
    }
    return shown + [f"{name}={value}" for name, value in named.items() if value is not None]
