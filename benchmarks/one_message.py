"""What one ``recapito send`` costs, beside the same job by the bare libraries (bare_send.py), in one run.

    python benchmarks/one_message.py [--rounds 10] [--json]

Each is a process of its own: start, imports, profile, secret, TLS, sign-in, one message. CPU is that of the
process, user and system; rounds take turns, and medians are compared. Exit 1 where recapito needs more than
1.25 times as much.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from sink import Sink, sink

__all__ = ["main"]

BAR = 1.25
HERE = Path(__file__).parent
MESSAGE = ("--to", "cliente@example.com", "--subject", "Invoice 12", "--text", "Attached.")


def cpu(*command: str) -> float:
    """Seconds of CPU of one run, which must succeed."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | {"RECAPITO_LANG": "en"})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    assert not status, f"{command} ended with {status}"
    return usage.ru_utime + usage.ru_stime


def prepare(folder: Path, server: Sink) -> None:
    """A profile for each of both."""
    ca = folder / "ca.pem"
    ca.write_text(server.ca)
    bare = (
        sys.executable,
        str(HERE / "bare_send.py"),
        "--prepare",
        str(folder),
        "127.0.0.1",
        str(server.port),
        str(ca),
    )
    subprocess.run(bare, check=True)
    settings = ["host=127.0.0.1", f"port={server.port}", "security=ssl", "username=anna", f"ca_file={ca}"]
    command = [sys.executable, "-m", "recapito", "profile", "set", "anna", "--sender", "anna@example.it"]
    command += ["--transport", "smtp_basic", "--password-stdin", "--quiet"]
    command += [part for each in settings for part in ("--set", each)]
    subprocess.run(command, input=b"segreto\n", check=True)


def main() -> int:
    """Measure and print; 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with TemporaryDirectory() as name, sink() as server:
        os.environ["RECAPITO_HOME"] = name
        prepare(Path(name), server)
        ways = {
            "bare": (sys.executable, str(HERE / "bare_send.py"), name, "anna", *MESSAGE),
            "recapito": (sys.executable, "-m", "recapito", "send", "anna", *MESSAGE),
        }
        costs: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(options.rounds + 1):
            for way, command in ways.items():
                spent = cpu(*command)
                if number:  # the first of each fills the caches of the disk
                    costs[way].append(spent)
    median = {way: statistics.median(each) for way, each in costs.items()}
    ratio = median["recapito"] / median["bare"]
    if options.json:
        print(json.dumps({"seconds": median, "ratio": ratio, "bar": BAR}))
    else:
        for way, each in costs.items():
            print(
                f"{way:<10}{median[way] * 1000:7.0f} ms CPU  ({min(each) * 1000:.0f}, {max(each) * 1000:.0f})"
            )
        print(f"ratio {ratio:.2f} (bar {BAR})")
    return int(ratio > BAR)


if __name__ == "__main__":
    sys.exit(main())
