"""The peers of the comparison, each a process that is asked by lines of JSON, and how they are installed."""

import json
import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Driver", "Figures", "NotHere", "Process", "SmtpSource", "install"]

HERE = Path(__file__).parent
#: Versions are exact: a figure is of a version.
NODEMAILER, AIOSMTPLIB, DJANGO = "10.6.1", "5.1.3", "5.2.19"

Figures = dict[str, float]


class NotHere(Exception):
    """A peer that cannot be run on this machine; the text says why."""


class Driver(Protocol):
    """Runs a task and tells messages, wall and cpu (seconds), and rss (growth of memory in MB)."""

    def run(self, task: dict[str, Any]) -> Figures:
        """One task."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Process:
    """A peer in a process that stays: its connections stay open, and V8 stays warm."""

    def __init__(self, *command: str, warm: float = 0.0, **environment: str) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | environment
        )
        self.warm = warm
        self._ports: set[int] = set()

    def run(self, task: dict[str, Any]) -> Figures:
        """One task; the first at each port opens the connections beforehand."""
        assert self._process.stdin
        assert self._process.stdout
        warm = 0.0
        if (place := task["port"] * 100 + task["connections"]) not in self._ports:
            self._ports.add(place)
            warm, self.warm = self.warm or 0.01, 0.0
        if task.get("cold"):
            warm = 0.0
        print(json.dumps({"task": task, "warm": warm}), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()}")
        told: Figures = json.loads(line)
        return told

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()


class SmtpSource:
    """Postfix's own load generator, in C: it sends ready octets, one command after the other."""

    def __init__(self) -> None:
        found = shutil.which("smtp-source", path=f"{os.environ['PATH']}:/usr/sbin")
        if found is None:
            raise NotHere("smtp-source comes with Postfix, which is not installed")
        self._program = found

    def run(self, task: dict[str, Any]) -> Figures:
        """One task; its CPU is that of the whole process."""
        size = task["file_size"] * 137 // 100 or 1400
        command = [
            self._program,
            "-s",
            str(task["connections"]),
            "-m",
            str(task["messages"]),
            "-l",
            str(size),
        ]
        command += ["-f", "anna@example.it", "-t", "c@example.com", f"127.0.0.1:{task['port']}"]
        wall = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        if status:
            raise RuntimeError(f"smtp-source ended with {status}")
        cpu = usage.ru_utime + usage.ru_stime
        return {"messages": task["messages"], "wall": time.perf_counter() - wall, "cpu": cpu, "rss": 0.0}

    def close(self) -> None:
        """Nothing stays."""


def install(cache: Path) -> dict[str, Any]:
    """Make each peer ready; what makes its driver, by name, or NotHere. Downloads only what is not there yet."""
    cache.mkdir(parents=True, exist_ok=True)
    recapito = str(HERE / "peers/recapito_peer.py")
    makers: dict[str, Any] = {
        "recapito": lambda: Process(sys.executable, recapito, "async", warm=1),
        "recapito, blocking": lambda: Process(sys.executable, recapito, "blocking", warm=1),
        "recapito, 2 hooks": lambda: Process(sys.executable, recapito, "hooks", warm=1),
        "smtp-source": SmtpSource,
    }
    try:
        modules = _nodemailer(cache)
        makers["nodemailer"] = lambda: Process(
            "node", str(HERE / "peers/nodemailer.js"), warm=3.5, PEER_MODULES=str(modules)
        )
    except NotHere as exc:
        makers["nodemailer"] = exc
    try:
        python = _python(cache)
        script = str(HERE / "peers/python_peers.py")
        for name in ("smtplib", "aiosmtplib", "Django"):
            makers[name] = partial(Process, str(python), script, name, warm=1)
    except NotHere as exc:
        makers |= dict.fromkeys(("smtplib", "aiosmtplib", "Django"), exc)
    return makers


def _nodemailer(cache: Path) -> Path:
    folder = cache / f"nodemailer-{NODEMAILER}"
    if shutil.which("npm") is None:
        raise NotHere("nodemailer needs node and npm")
    if not (folder / "node_modules/nodemailer").exists():
        _do("npm", "install", "--silent", "--no-audit", "--prefix", str(folder), f"nodemailer@{NODEMAILER}")
    return folder / "node_modules"


def _python(cache: Path) -> Path:
    folder = cache / f"python-{sys.version_info[0]}.{sys.version_info[1]}-{AIOSMTPLIB}-{DJANGO}"
    python = folder / "bin/python"
    if not (folder / "ready").exists():
        _do(sys.executable, "-m", "venv", str(folder)) if shutil.which("uv") is None else _do(
            "uv", "venv", "--quiet", "--python", sys.executable, str(folder)
        )
        wanted = (f"aiosmtplib=={AIOSMTPLIB}", f"django=={DJANGO}")
        if shutil.which("uv") is None:
            _do(str(python), "-m", "pip", "install", "--quiet", *wanted)
        else:
            _do("uv", "pip", "install", "--quiet", "--python", str(python), *wanted)
        (folder / "ready").touch()
    return python


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotHere(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-300:]}")
