"""The figures of the comparison as docs/speed.md shows them."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

__all__ = ["markdown"]

PEERS = ("recapito", "nodemailer", "Django", "aiosmtplib", "smtplib", "smtp-source")
Figures = Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]


def markdown(figures: Figures, machine: str) -> Iterator[str]:
    """The table of rates, and the sentences on CPU and memory; ``figures`` as ``--json`` has them."""
    yield f"{machine}.\n"
    yield f"| | {' | '.join(PEERS[:-1])} | smtp-source (C) |"
    yield "| --- " * (len(PEERS) + 1) + "|"
    for scenario, rows in figures.items():
        if not scenario.endswith("memory"):
            cells = [_cell(rows[peer]["rate"]) if peer in rows else "–" for peer in PEERS]
            yield f"| {scenario} | {' | '.join(cells)} |"
    yield "\nMessages a second: the median of the rounds, with the lowest and the highest."
    for scenario, digits in (("1 KB", 3), ("10 MB file", 0)):
        costs = [
            f"{peer} {median(row['cpu']) * 1000:.{digits}f}"
            for peer, row in figures.get(scenario, {}).items()
        ]
        if costs:
            yield f"CPU of a message, {scenario}, in ms: {', '.join(costs)}."
    for scenario, rows in figures.items():
        if scenario.endswith("memory"):
            grown = [f"{peer} {median(row['rss']):.1f}" for peer, row in rows.items()]
            yield f"Growth of memory while 25 MB are sent, in MB: {', '.join(grown)}."


def _cell(rates: Sequence[float]) -> str:
    return f"{_number(median(rates))} ({_number(min(rates))}–{_number(max(rates))})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
