"""What recapito's own layer costs, beside the same message sent by bare aiosmtplib, in one run.

    python benchmarks/overhead.py [--rounds 7] [--messages 200] [--json]

All send a text of 1 KB to one recipient, one message after the other, on a TLS connection to loopback that stays
open; the server is another process and does next to nothing. Rounds are interleaved, and medians compared.

bare      what one writes with aiosmtplib: an ``EmailMessage`` from the text, and ``SMTP.send_message``. The yardstick.
wire      ``SMTP.sendmail`` alone, of bytes that were built beforehand.
same      ``AsyncMailer.send`` on an SQLite store, through a transport whose session calls that very ``sendmail``
          with the content as rendered, and with a host's two hooks.
rendering ``render`` of the message, and reading its bytes.
layer     same - wire - rendering: selecting the transport, checking the profile's version, two hooks, the journal
          (intent written before, outcome after), permit, and the receipt. The bar: less than 30 % of bare.
no hooks  the layer where nobody implements a hook, so that none is called.
no store  the layer with a dict of profiles: no version to check, no journal, no hooks.
own       ``AsyncMailer.send`` through smtp_basic, recapito's own SMTP, with hooks: what users really get.
blocking  ``Mailer.send`` through the same transport as ``same``: ``hop`` to the mailer's own thread is the difference.

CPU is this process's, all its threads together; wall is the time that passed.
"""

import argparse
import asyncio
import json
import os
import platform
import ssl
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from importlib.metadata import version
from tempfile import TemporaryDirectory
from typing import NamedTuple

import aiosmtplib
from pydantic import BaseModel
from sink import Sink, sink

from recapito import (
    AsyncMailer,
    Mailer,
    Message,
    Outcome,
    Profile,
    ProfileKey,
    Receipt,
    Secret,
    Store,
    hookimpl,
)
from recapito.content import Content
from recapito.envelope import Envelope
from recapito.message import AnyMessage
from recapito.operators import Changes, Operators
from recapito.plugins import Plugins
from recapito.profile import Found
from recapito.rendering import render
from recapito.secret import Secrets
from recapito.transport import CheckStep, Context, TransportInfo

__all__ = ["main"]

BAR = 0.30
MESSAGE = Message(
    to=["cliente@example.com"],
    subject="Invoice 12",
    text=("A line of sixty characters, so that it is like a real text.\n" * 17)[:1000],
)


class Cost(NamedTuple):
    """Microseconds a message."""

    cpu: float
    wall: float


class Settings(BaseModel):
    """The yardstick's own transport needs none."""


class BareSession:
    """A session that does what bare does, so that the difference is the layer alone."""

    depth, usable_until, usable = 1, None, True

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self.client = client

    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:  # noqa: ARG002
        """``sendmail`` of the content."""
        data = b"".join([chunk async for chunk in content.chunks()])
        _, reply = await self.client.sendmail(envelope.sender, list(envelope.recipients), data)
        return Receipt.for_all(envelope.recipients, Outcome.ACCEPTED, reply=reply)

    async def close(self) -> None:
        """Say goodbye."""
        await self.client.quit()


class BareTransport:
    """Opens what bare opens."""

    def __init__(self, server: Sink) -> None:
        self.server = server

    async def open(self, profile: Profile, context: Context) -> BareSession:  # noqa: ARG002
        """A connection."""
        return BareSession(await connect(self.server))

    async def check(
        self,
        profile: Profile,  # noqa: ARG002
        context: Context,  # noqa: ARG002
        send_to: str | None = None,  # noqa: ARG002
    ) -> AsyncGenerator[CheckStep, None]:
        """Nothing to check."""
        yield CheckStep("port")


class Hooks:
    """A host that changes nothing, and counts."""

    receipts = 0

    @hookimpl
    def recapito_prepare_message(self, message: AnyMessage) -> AnyMessage:
        """Leave it."""
        return message

    @hookimpl
    def recapito_record_receipt(self, receipt: Receipt) -> None:
        """Count it."""
        self.receipts += receipt.outcome is Outcome.ACCEPTED


async def connect(server: Sink) -> aiosmtplib.SMTP:
    """A kept-open TLS connection by aiosmtplib."""
    context = ssl.create_default_context(cadata=server.ca)
    client = aiosmtplib.SMTP(
        hostname="127.0.0.1", port=server.port, use_tls=True, tls_context=context, local_hostname="localhost"
    )
    await client.connect()
    return client


def prepare(url: str, server: Sink, plugins: Plugins) -> Store:
    """A store with a profile for each way."""
    store = Store.create(url)
    operators = Operators(store, plugins)
    settings = {"host": "127.0.0.1", "port": server.port, "security": "ssl", "ca": server.ca}
    own = Changes(
        sender="anna@example.it",
        transport="smtp_basic",
        settings=settings,
        secrets=Secrets({"password": Secret("segreto")}),
    )
    operators.save(ProfileKey("", "own"), own, by="benchmark")
    operators.save(
        ProfileKey("", "same"), Changes(sender="anna@example.it", transport="bare"), by="benchmark"
    )
    return store


async def cost(send: Callable[[], Awaitable[object]], messages: int) -> Cost:
    """The cost of one of ``messages`` sends, one after the other."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(messages):
        await send()
    return Cost((time.process_time() - cpu) / messages * 1e6, (time.perf_counter() - wall) / messages * 1e6)


def cost_blocking(send: Callable[[], object], messages: int) -> Cost:
    """The same for a call that blocks."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(messages):
        send()
    return Cost((time.process_time() - cpu) / messages * 1e6, (time.perf_counter() - wall) / messages * 1e6)


async def read(found: Found) -> bytes:
    """Render the message and read it whole."""
    rendered = render(MESSAGE, found.profile)
    return b"".join([chunk async for chunk in rendered.content.chunks()])


def compose() -> EmailMessage:
    """The message as a user of aiosmtplib builds it, with the headers that a mail must have."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "anna@example.it", MESSAGE.to[0], MESSAGE.subject
    message["Date"], message["Message-ID"] = (
        format_datetime(datetime.now(UTC)),
        make_msgid(domain="example.it"),
    )
    message.set_content(MESSAGE.text)
    return message


async def measure(server: Sink, url: str, rounds: int, messages: int) -> dict[str, list[Cost]]:
    """Every way, in turn, in every round; the first round warms up and is left out."""
    info = TransportInfo("bare", "Bare", Settings, factory=lambda: BareTransport(server))
    hooks = Hooks()
    store = prepare(url, server, Plugins.load(transports=[info]))
    found = store.get(ProfileKey("", "same"))
    assert found is not None
    async with (
        AsyncMailer(store, hooks=[hooks], transports=[info]) as hooked,
        AsyncMailer(store, transports=[info]) as plain,
        AsyncMailer({"same": found.profile}, transports=[info]) as storeless,
    ):
        client, ready = await connect(server), await read(found)
        ways: dict[str, Callable[[], Awaitable[object]]] = {
            "bare": lambda: client.send_message(compose()),
            "wire": lambda: client.sendmail("anna@example.it", ["cliente@example.com"], ready),
            "same": lambda: hooked.send("same", MESSAGE),
            "no hooks": lambda: plain.send("same", MESSAGE),
            "no store": lambda: storeless.send("same", MESSAGE),
            "rendering": lambda: read(found),
            "own": lambda: hooked.send("own", MESSAGE),
        }
        costs: dict[str, list[Cost]] = {name: [] for name in (*ways, "blocking")}
        with Mailer(store, hooks=[hooks], transports=[info]) as blocking:
            for _ in range(rounds + 1):
                for name, send in ways.items():
                    costs[name].append(await cost(send, messages))
                costs["blocking"].append(
                    await asyncio.to_thread(cost_blocking, lambda: blocking.send("same", MESSAGE), messages)
                )
        await client.quit()
    store.close()
    assert hooks.receipts == 3 * messages * (rounds + 1), (
        "somebody was not accepted, or a hook was not called"
    )
    return {name: each[1:] for name, each in costs.items()}


def summary(costs: dict[str, list[Cost]]) -> dict[str, dict[str, float]]:
    """Medians in µs a message, and the layer as a share of bare, for CPU and wall."""
    result = {}
    for field in Cost._fields:
        median = {
            name: statistics.median(getattr(each, field) for each in rows) for name, rows in costs.items()
        }
        beside = median["wire"] + median["rendering"]
        row = {name: median[name] for name in ("bare", "wire", "rendering", "own")}
        row |= {"layer": median["same"] - beside, "hop": median["blocking"] - median["same"]}
        row |= {name: median[name] - beside for name in ("no hooks", "no store")}
        result[field] = row | {"ratio": row["layer"] / row["bare"]}
    return result


def machine() -> str:
    """What it ran on, and when."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("recapito", "aiosmtplib", "sqlalchemy"))
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return f"{datetime.now(UTC):%Y-%m-%d}; Python {platform.python_version()}; {system}; {libraries}"


def main() -> int:
    """Measure and print; exit 1 where the layer is over the bar."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--messages", type=int, default=200, help="sends of each way in a round")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, sink() as server:
        os.environ["RECAPITO_HOME"] = folder
        costs = asyncio.run(measure(server, f"sqlite:///{folder}/store.db", options.rounds, options.messages))
    found = summary(costs)
    if options.json:
        print(json.dumps({"machine": machine(), "us_per_message": found}))
    else:
        print(machine())
        print(f"{'µs a message':<14}" + "".join(f"{name:>11}" for name in found["cpu"]))
        for field, row in found.items():
            print(
                f"{field:<14}"
                + "".join(
                    f"{value:>11.0%}" if name == "ratio" else f"{value:>11.0f}" for name, value in row.items()
                )
            )
    return 0 if found["cpu"]["ratio"] < BAR else 1


if __name__ == "__main__":
    sys.exit(main())
