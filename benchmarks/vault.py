# ruff: noqa: ARG002 - a sign-in is called with all that the contract names
"""What a token costs a send: a warm one, and one that has to be refreshed first.

    python benchmarks/vault.py [--calls 20000] [--sends 200] [--json]

The vault on an SQLite store, and a sign-in that answers at once, so that only recapito's own work is measured.

warm      microseconds of ``context.token`` while the token is good; the bar: under 1,000 (1 ms a send).
refresh   milliseconds of one refresh: a lease, the sign-in, and the result saved (two short transactions).
asked     how often the sign-in was asked in all of it: once for the warm calls, once for each forced refresh.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from pydantic import BaseModel

from recapito.oauth.vault import Holder, Vault
from recapito.profile import ProfileKey
from recapito.secret import Secret
from recapito.signin import Attempt, ClientInfo, Grant, Refreshed, SignIn, SignInContext, Step, Token
from recapito.store import Store

KEY = ProfileKey("", "anna")
BAR = 1000.0


class Instant:
    """A sign-in whose vendor answers at once."""

    kind, client, scopes, resource = "code", "bench", frozenset({"send"}), "mail"
    asked = 0

    async def begin(self, context: SignInContext, attempt: Attempt) -> Step:
        """Nobody is asked."""
        return Step()

    async def finish(self, context: SignInContext, attempt: Attempt, query: object) -> Grant:
        """It was granted beforehand."""
        return Grant(account="", scopes=self.scopes, secret=Secret("r"))

    async def refresh(self, context: SignInContext, grant: Grant, resource: str) -> Refreshed:
        """A new token, and a rotated grant."""
        Instant.asked += 1
        token = Token(Secret(f"token{Instant.asked}"), datetime.now(UTC) + timedelta(hours=1))
        return Refreshed(token, Grant(account="", scopes=self.scopes, secret=Secret(f"r{Instant.asked}")))

    async def revoke(self, context: SignInContext, grant: Grant) -> None:
        """Nothing is given back."""


async def measure(store: Store, calls: int, sends: int) -> dict[str, float]:
    """The figures."""
    store.save_grant(
        KEY,
        transport="bench",
        sign_in="code",
        client="bench",
        account="",
        scopes=Instant.scopes,
        secret=Secret("r"),
        idle_until=None,
        by="bench",
    )
    row = store.grant(KEY)
    assert row is not None
    vault = Vault(store, asyncio.to_thread)
    info = ClientInfo("bench", "Bench", BaseModel)
    context = cast("SignInContext", type("Context", (), {"client": type("Client", (), {"info": info})}))
    holder = Holder(
        key=KEY,
        transport="bench",
        sign_in="code",
        make=lambda: cast("SignIn", Instant()),
        context=lambda: context,
        grant_id=row.id,
    )
    token = await vault.token(holder, "mail")
    started = time.perf_counter()
    for _ in range(calls):
        await vault.token(holder, "mail")
    warm = (time.perf_counter() - started) / calls * 1e6
    took = []
    for _ in range(sends):
        started = time.perf_counter()
        token = await vault.token(holder, "mail", refused=token)
        took.append((time.perf_counter() - started) * 1e3)
    return {
        "warm_us": round(warm, 2),
        "refresh_ms": round(statistics.median(took), 2),
        "asked": Instant.asked,
    }


def main() -> int:
    """Measure and print; 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--sends", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RECAPITO_HOME"] = folder
        with Store.create(f"sqlite:///{folder}/bench.db") as store:
            found: dict[str, Any] = asyncio.run(measure(store, given.calls, given.sends))
    found["python"], found["machine"] = platform.python_version(), f"{os.cpu_count()} cores"
    if given.json:
        print(json.dumps(found))
    else:
        print(f"warm     {found['warm_us']:8.2f} µs a token (bar: {BAR:.0f})")
        print(f"refresh  {found['refresh_ms']:8.2f} ms, saved before it is used")
        print(f"asked    {found['asked']:8d} times, of {given.calls + 1 + given.sends} tokens")
        print(f"Python {found['python']}, {found['machine']}")
    return int(found["warm_us"] > BAR)


if __name__ == "__main__":
    raise SystemExit(main())
