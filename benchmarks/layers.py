"""Where the time of a small message goes: 1 KB to a receiver on this machine, five sessions, CHUNKING.

    python benchmarks/layers.py [--rounds 5] [--messages 5000] [--json]

line       ``SmtpSession.deliver`` of a content that is ready: the socket, and what every reply means. The kernel's part
           of it (send, receive, wait) is what no Python client can be quicker than.
rendering  ``render`` of the message.
no store   ``AsyncMailer.send_many`` with a dict of profiles: line, rendering, permits, pool, receipts.
whole      the same on an SQLite store: the journal besides, an intent before and an outcome after each message.

CPU of this process, in µs a message, all its threads together; medians.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from receiver import Kind, Receiver, receiver
from workloads import WORKLOADS

from recapito import AsyncMailer, Found, Message, Outcome, Profile, ProfileKey, Secrets, Store
from recapito.operators import Changes, Operators
from recapito.plugins import Plugins
from recapito.rendering import render
from recapito.smtp import Password, SmtpSettings, open_session
from recapito.testing import TestContext

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["main"]

WORK = WORKLOADS["1 KB"]
LINES = 5


def message(number: int) -> Message:
    """One of them."""
    return Message(to=[f"c{number}@example.com"], subject=WORK.subject, text=WORK.text)


async def line(to: Receiver, found: Found, count: int) -> None:
    """The lines alone."""
    context = TestContext(found, trust=to.ca)
    password = Password("anna", found.secrets["password"])
    settings = SmtpSettings("127.0.0.1", to.port, "plain")
    sessions = [await open_session(settings, password, found.profile, context) for _ in range(LINES)]
    ready = render(message(0), found.profile)

    async def one(place: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(count // LINES):
            await sessions[place].deliver(ready.envelope, ready.content, deadline=loop.time() + 600)

    await asyncio.gather(*map(one, range(LINES)))
    for session in sessions:
        await session.close()


async def through(mailer: AsyncMailer, count: int) -> None:
    """A whole batch."""
    async for receipt in mailer.send_many("anna", map(message, range(count))):
        assert receipt.outcome is Outcome.ACCEPTED, receipt


async def measure(to: Receiver, store: Store, rounds: int, count: int) -> dict[str, float]:
    """Medians of each; the first round warms up."""
    settings = {"host": "127.0.0.1", "port": to.port, "security": "plain", "username": "anna"}
    secrets = Secrets({"password": "segreto"})
    profile = Profile.of("anna", sender="anna@example.it", transport="smtp_basic", settings=settings)
    found = Found(profile, secrets, "1")
    changes = Changes(sender="anna@example.it", transport="smtp_basic", settings=settings, secrets=secrets)
    Operators(store, Plugins.load()).save(ProfileKey("", "anna"), changes, by="benchmark")
    async with AsyncMailer({"anna": found}) as storeless, AsyncMailer(store) as whole:

        async def rendering(count: int) -> None:
            for number in range(count):
                render(message(number), profile)

        ways: dict[str, Callable[[int], Awaitable[None]]] = {
            "line": lambda count: line(to, found, count),
            "rendering": rendering,
            "no store": lambda count: through(storeless, count),
            "whole": lambda count: through(whole, count),
        }
        costs: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(rounds + 1):
            for way, send in ways.items():
                begun = time.process_time()
                await send(count)
                if number:
                    costs[way].append((time.process_time() - begun) / count * 1e6)
    return {way: statistics.median(each) for way, each in costs.items()}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, receiver(Kind()) as to:
        os.environ["RECAPITO_HOME"] = folder
        with Store.create(f"sqlite:///{folder}/store.db") as store:
            found = asyncio.run(measure(to, store, options.rounds, options.messages))
    if options.json:
        print(json.dumps(found))
    else:
        print("\n".join(f"{way:<10}{cost:8.0f} µs CPU a message" for way, cost in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
