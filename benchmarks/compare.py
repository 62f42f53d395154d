"""recapito beside the mail clients that one would use instead, on the same machine in the same minutes.

    uv run benchmarks/compare.py [--quick] [--json] [--picture FILE] [--markdown FILE] [--only TEXT] [--strict]

Peers are installed by the first run, in the user's cache: nodemailer, aiosmtplib, smtplib, Django's backend; Postfix's
smtp-source is the reference in C. Everybody signs in and sends the same texts and files to the same receiver, which is
another process (receiver.py), and what arrives is compared: subject, text and every octet of the file. Rounds are
interleaved; medians are printed, with the lowest and the highest. nodemailer is warm: it has run for 3.5 s before.

recapito runs through its whole public path: ``send_many`` on an SQLite store, profile, receipts, journal (intent
before, outcome after, synchronous=FULL).
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from binascii import b2a_base64
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chart import COLOURS, picture
from drivers import AIOSMTPLIB, DJANGO, NODEMAILER, Driver, Figures, NotHere, install
from receiver import Kind, Receiver, receiver
from scenarios import BARS, PACE, SCENARIOS, Bar, Scenario
from table import markdown
from workloads import WORKLOADS, file_of

STARTED = time.perf_counter()
Rounds = dict[str, dict[str, list[Figures]]]


def cache() -> Path:
    """Where peers and files are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "recapito-benchmarks"


class Comparison:
    """All the runs."""

    def __init__(self, *, quick: bool, only: str, stack: ExitStack) -> None:
        self.quick = quick
        self.scenarios = [each for each in SCENARIOS if only in each.name]
        self.stack = stack
        self.makers = install(cache())
        self.drivers: dict[str, Driver] = {}
        self.receivers: dict[Kind, Receiver] = {}
        self.missing: dict[str, str] = {}
        self.figures: Rounds = {}

    def driver(self, peer: str) -> Driver | None:
        """The peer's process, started at first use; None where it cannot run, which is told once."""
        if peer not in self.drivers and peer not in self.missing:
            maker = self.makers[peer]
            try:
                if isinstance(maker, NotHere):
                    raise maker
                self.drivers[peer] = maker()
                self.stack.callback(self.drivers[peer].close)
            except NotHere as exc:
                self.missing[peer] = str(exc)
                print(f"left out: {peer}: {exc}", file=sys.stderr)
        return self.drivers.get(peer)

    def receiver(self, kind: Kind) -> Receiver:
        """One of each kind for the whole comparison."""
        if kind not in self.receivers:
            self.receivers[kind] = self.stack.enter_context(receiver(kind))
        return self.receivers[kind]

    def task(self, scenario: Scenario, peer: str, messages: int | None = None) -> dict[str, Any]:
        """What a peer is asked."""
        work, to = WORKLOADS[scenario.workload], self.receiver(scenario.kind)
        pace = PACE[peer] * scenario.share * (0.35 if self.quick else 1.0)
        return {
            "port": to.port, "ca": to.ca, "tls": scenario.kind.tls,
            "connections": 1 if peer in ("Django", "smtplib") else scenario.connections,
            "messages": messages or max(scenario.least, int(pace)),
            "sender_name": work.sender_name, "recipient_name": work.recipient_name,
            "subject": work.subject, "text": work.text, "file_size": work.file,
            "file": str(file_of(work.file, cache())) if work.file else "",
        }  # fmt: skip

    def look(self, scenario: Scenario) -> None:
        """Everybody's messages arrive, and say the same; raises AssertionError otherwise. It warms up as well."""
        to, seen = self.receiver(scenario.kind), {}
        for peer in scenario.peers:
            if peer == "smtp-source" or (driver := self.driver(peer)) is None:
                continue
            to.counts(look=True)
            large = WORKLOADS[scenario.workload].file > 1_000_000  # to parse one takes seconds
            driver.run(self.task(scenario, peer, 1 if large else scenario.connections * 2))
            told = to.counts()["seen"]
            assert len(told) == 1, f"{peer}: {told}"
            seen[peer] = next(iter(told))
        assert len(set(seen.values())) <= 1, f"{scenario.name}: not everybody sent the same: {seen}"

    def run(self, rounds: int) -> None:
        """Every scenario, round by round; the peers take turns."""
        for scenario in self.scenarios:
            self.look(scenario)
            told = self.figures.setdefault(scenario.name, {})
            for _ in range(rounds):
                for peer in scenario.peers:
                    if driver := self.driver(peer):
                        told.setdefault(peer, []).append(self.once(scenario, peer, driver))
            progress(f"{scenario.name}: done")

    def once(self, scenario: Scenario, peer: str, driver: Driver) -> Figures:
        """One run; the receiver must have got every message."""
        task, to = self.task(scenario, peer), self.receiver(scenario.kind)
        to.counts()
        figures = driver.run(task)
        arrived = to.counts()["messages"]
        assert arrived == task["messages"], f"{peer}: {arrived} of {task['messages']} arrived"
        return figures

    def memory(self) -> None:
        """Growth of memory while 25 MB are sent, by processes that have sent a small message before."""
        told = self.figures.setdefault("25 MB file, memory", {})
        scenario = Scenario("25 MB", Kind(), "25 MB", 1, ("recapito", "nodemailer", "Django", "aiosmtplib"))
        small = Scenario("small", Kind(), "1 KB", 1, ())
        for peer in scenario.peers:
            if self.driver(peer) is None:
                continue
            for _ in range(1 if self.quick else 3):
                fresh = self.makers[peer]()
                fresh.warm = 0.0
                fresh.run(self.task(small, peer, 20))
                told.setdefault(peer, []).append(fresh.run(self.task(scenario, peer, 2) | {"cold": True}))
                fresh.close()


def progress(text: str) -> None:
    """What was done, for who waits."""
    print(f"{time.perf_counter() - STARTED:6.1f} s  {text}", file=sys.stderr)


def middle(figures: list[Figures], name: str) -> float:
    """The median of a figure: rate (messages a second), cpu (seconds a message) or rss (MB)."""
    return statistics.median(values(figures, name))


def values(figures: list[Figures], name: str) -> list[float]:
    """A figure of every round."""
    if name == "rate":
        return [each["messages"] / each["wall"] for each in figures]
    return [each["cpu"] / each["messages"] if name == "cpu" else each["rss"] for each in figures]


def bare_base64() -> float:
    """Seconds of CPU for 10 MB by the standard library's own function, and nothing else."""
    data = file_of(10_000_000, cache()).read_bytes()
    times = []
    for _ in range(5):
        begun = time.process_time()
        b2a_base64(data)
        times.append(time.process_time() - begun)
    return statistics.median(times)


def reached(bar: Bar, figures: Rounds) -> float | None:
    """What recapito reached of a bar; None where a peer is missing."""
    rows = figures.get(bar.scenario, {})
    if "recapito" not in rows:
        return None
    name = "rss" if bar.what == "MB" else bar.what
    own = middle(rows["recapito"], name)
    scenario = next((each for each in SCENARIOS if each.name == bar.scenario), None)
    if bar.against == "round trips" and scenario is not None:
        return own / (scenario.connections / scenario.kind.delay)
    if bar.against == "b2a_base64":
        return own / bare_base64()
    if bar.against == "5 MB":
        return own / 5
    least = 0.1 if name == "rss" else 0.0  # MB: less cannot be told from nothing
    return own / max(middle(rows[bar.against], name), least) if bar.against in rows else None


def judged(figures: Rounds) -> Iterator[dict[str, Any]]:
    """Every bar with what was reached."""
    for bar in BARS:
        found = reached(bar, figures)
        if found is not None:
            good = found >= bar.bar if bar.what == "rate" else found <= bar.bar
            yield {
                "scenario": bar.scenario, "what": bar.what, "against": bar.against,
                "bar": round(bar.bar, 3), "reached": round(found, 3), "passed": good,
            }  # fmt: skip


def shown(figures: Rounds) -> Iterator[str]:
    """The tables."""
    for scenario, rows in figures.items():
        yield f"\n{scenario}"
        if scenario.endswith("memory"):
            for peer, each in rows.items():
                yield f"  {peer:<20}{middle(each, 'rss'):>9.1f} MB more"
            continue
        yield f"  {'':<20}{'messages/s':>12}{'(lowest, highest)':>22}{'CPU ms':>10}{'× nodemailer':>14}"
        beside = middle(rows["nodemailer"], "rate") if "nodemailer" in rows else None
        for peer, each in rows.items():
            rates = values(each, "rate")
            ratio = f"{middle(each, 'rate') / beside:.2f}" if beside else "-"
            spread = f"({min(rates):,.1f}, {max(rates):,.1f})"
            yield (
                f"  {peer:<20}{middle(each, 'rate'):>12,.1f}{spread:>22}"
                f"{middle(each, 'cpu') * 1000:>10.3f}{ratio:>14}"
            )


def plain(figures: Rounds) -> dict[str, dict[str, dict[str, list[float]]]]:
    """The figures of every round, as ``--json`` has them."""
    names = ("rate", "cpu", "rss")
    return {
        scenario: {
            peer: {name: [round(value, 6) for value in values(each, name)] for name in names}
            for peer, each in rows.items()
        }
        for scenario, rows in figures.items()
    }


def machine() -> str:
    """What it ran on, and when."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    peers = f"nodemailer {NODEMAILER} (node {node}), aiosmtplib {AIOSMTPLIB}, Django {DJANGO}"
    own = f"recapito {version('recapito')}"
    return f"{datetime.now(UTC):%Y-%m-%d}; {system}; Python {platform.python_version()}; {own}, {peers}"


def drawn(figures: Rounds, where: str) -> None:
    """Write the picture."""
    groups: dict[str, dict[str, tuple[float, float]]] = {}
    for scenario, rows in figures.items():
        if "nodemailer" in rows and not scenario.endswith("memory"):
            beside = middle(rows["nodemailer"], "rate")
            groups[scenario] = {
                peer: (middle(each, "rate"), middle(each, "rate") / beside)
                for peer, each in rows.items()
                if peer in COLOURS
            }
    Path(where).write_text(picture(groups, machine()), encoding="utf-8")


def main() -> int:
    """Run, and print; 1 with ``--strict`` where a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two rounds of fewer messages, under a minute")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    parser.add_argument("--picture", metavar="FILE", help="write a bar chart (SVG)")
    parser.add_argument("--only", metavar="TEXT", default="", help="scenarios whose name has this text")
    parser.add_argument("--markdown", metavar="FILE", help="write the figures as docs/speed.md has them")
    parser.add_argument("--strict", action="store_true", help="exit 1 where a bar is missed")
    options = parser.parse_args()
    with ExitStack() as stack:
        comparison = Comparison(quick=options.quick, only=options.only, stack=stack)
        comparison.run(2 if options.quick else 5)
        if options.only in "25 MB file, memory":
            comparison.memory()
    bars = list(judged(comparison.figures))
    if options.picture:
        drawn(comparison.figures, options.picture)
    if options.markdown:
        text = "\n".join(markdown(plain(comparison.figures), machine()))
        Path(options.markdown).write_text(f"{text}\n", encoding="utf-8")
    if options.json:
        print(json.dumps({
            "machine": machine(), "quick": options.quick, "missing": comparison.missing,
            "figures": plain(comparison.figures),
                    "bars": bars,
        }))  # fmt: skip
    else:
        print(machine())
        print("\n".join(shown(comparison.figures)))
        print(f"\n{'bar':<62}{'reached':>9}{'bar':>9}")
        for each in bars:
            name = f"{each['scenario']}: {each['what']} beside {each['against']}"
            sign = "≥" if each["what"] == "rate" else "≤"
            print(
                f"{name:<62}{each['reached']:>9.2f}{sign:>3}{each['bar']:>6.3g}  {'ok' if each['passed'] else 'MISSED'}"
            )
    return int(options.strict and not all(each["passed"] for each in bars))


if __name__ == "__main__":
    sys.exit(main())
