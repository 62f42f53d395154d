"""Anna's grant in a store, at a vendor whose refresh tokens are good once, and vaults that renew it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

SERVERS = Path(__file__).parents[2] / "servers"
sys.path.insert(0, str(SERVERS))

from rotating_vendor import ANNA, RotatingSignIn, RotatingVendor, holder_of  # noqa: E402

from recapito.oauth.vault import Holder, Vault  # noqa: E402
from recapito.store import GrantRow, Store  # noqa: E402


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def vendor() -> Iterator[RotatingVendor]:
    with RotatingVendor() as running:
        yield running


@dataclass
class Clock:
    """A clock that a test moves."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def signed_in(store: Store, vendor: RotatingVendor) -> Callable[..., GrantRow]:
    """Sign Anna in, in the place of what was there."""

    def signed_in(account: str = "anna@example.it", **more: Any) -> GrantRow:
        named = {"transport": "paper", "sign_in": "code", "client": "paper", "scopes": {"send"}} | more
        return store.save_grant(
            ANNA, account=account, secret=vendor.sign_in(account), idle_until=None, by="test", **named
        )

    return signed_in


@dataclass
class Thread:
    """Runs functions in threads, and counts them."""

    calls: list[str] = field(default_factory=list)

    async def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self.calls.append(getattr(function, "func", function).__name__)
        return await asyncio.to_thread(function, *args, **kwargs)


@pytest.fixture
def thread() -> Thread:
    return Thread()


@pytest.fixture
def make_vault(store: Store, thread: Thread, clock: Clock) -> Callable[..., Vault]:
    """A vault, as each process has one; the same store, unless a test says otherwise."""

    def make_vault(of: Store | None = None, **more: Any) -> Vault:
        return Vault(of or store, thread, now=clock, **more)

    return make_vault


@pytest.fixture
def vault(make_vault: Callable[..., Vault]) -> Vault:
    return make_vault()


@pytest.fixture
def holder(vendor: RotatingVendor, clock: Clock) -> Callable[..., Holder]:
    """Anna, as resolved with this grant."""

    def holder(row: GrantRow | None = None, *, sign_in: dict[str, Any] | None = None, **more: Any) -> Holder:
        made = RotatingSignIn(vendor.port, now=clock, **(sign_in or {}))
        return holder_of(made, row.id if row else "", account=row.account if row else "", **more)

    return holder


class Process:
    """Another process that needs Anna's token; it waits until it is told to begin."""

    def __init__(self, started: "subprocess.Popen[str]") -> None:
        self.process = started
        assert self.line() == "ready", self.complaints()

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def complaints(self) -> str:
        self.process.kill()
        return self.process.communicate()[1]


@pytest.fixture
def processes(
    database_url: str, vendor: RotatingVendor, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., list[Process]]]:
    """Starts so many processes; all are ready when it returns, and gone when the test ends."""
    monkeypatch.setenv("PYTHONPATH", str(SERVERS), prepend=os.pathsep)
    script = [sys.executable, str(SERVERS / "vault_process.py"), database_url, str(vendor.port)]
    with ExitStack() as ends:

        def start(number: int, grant_id: str = "", **how: object) -> list[Process]:
            options = [f"{name}={value}" for name, value in how.items()]
            started = []
            for _ in range(number):
                process = subprocess.Popen(
                    [*script, grant_id, *options],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                ends.callback(process.communicate)
                ends.callback(process.kill)
                started.append(process)
            return [Process(each) for each in started]

        yield start
