"""recapito through its whole public path (store, ``send_many``, receipts, journal), asked by lines of JSON.

``python recapito_peer.py async|blocking|hooks``: AsyncMailer, Mailer, or AsyncMailer with a host's two hooks.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Any

from recapito import (
    AsyncMailer,
    Attachment,
    Mailer,
    Message,
    Outcome,
    ProfileKey,
    Receipt,
    Secrets,
    Store,
    hookimpl,
)
from recapito.message import AnyMessage
from recapito.operators import Changes, Operators
from recapito.plugins import Plugins

Task = dict[str, Any]


class Hooks:
    """A host that looks at every message and every receipt, and changes nothing."""

    receipts = 0

    @hookimpl
    def recapito_prepare_message(self, message: AnyMessage) -> AnyMessage:
        """Leave it."""
        return message

    @hookimpl
    def recapito_record_receipt(self, receipt: Receipt) -> None:
        """Count it."""
        self.receipts += receipt.outcome is Outcome.ACCEPTED


def messages(task: Task) -> Iterator[Message]:
    files = (Attachment(task["file"], filename="invoice.pdf"),) if task["file"] else ()
    name = task["recipient_name"]
    for number in range(task["messages"]):
        address = f"c{number}@example.com"
        to = f"{name} <{address}>" if name else address
        yield Message(to=[to], subject=task["subject"], text=task["text"], attachments=files)


def profile(store: Store, plugins: Plugins, task: Task) -> str:
    """An operator with a mailbox at that port; made at first use."""
    operator = f"{task['port']}-{'named' if task['sender_name'] else 'plain'}"
    if store.get(ProfileKey("", operator)) is None:
        security = "ssl" if task["tls"] else "plain"
        settings = {"host": "127.0.0.1", "port": task["port"], "security": security, "username": "anna"}
        settings |= {"ca": task["ca"]} if task["tls"] else {}
        given = Changes(
            sender="anna@example.it",
            sender_name=task["sender_name"],
            transport="smtp_basic",
            settings=settings,
            secrets=Secrets({"password": "segreto"}),
        )
        Operators(store, plugins).save(ProfileKey("", operator), given, by="benchmark")
    return operator


class Sender:
    """Sends a task in one of the ways."""

    def __init__(self, store: Store, way: str) -> None:
        self.store, self.way = store, way
        self.plugins = Plugins.load()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Sender"]:
        """A mailer for as long as the block runs."""
        if self.way == "blocking":
            with Mailer(self.store) as self.blocking:
                yield self
        else:
            hooks = [Hooks()] if self.way == "hooks" else []
            async with AsyncMailer(self.store, hooks=hooks) as self.mailer:
                yield self

    async def send(self, task: Task) -> None:
        """All of its messages; each must be accepted."""
        operator = profile(self.store, self.plugins, task)
        if self.way == "blocking":
            for receipt in self.blocking.send_many(operator, messages(task), connections=task["connections"]):
                assert receipt.outcome is Outcome.ACCEPTED, receipt
            return
        async for receipt in self.mailer.send_many(operator, messages(task), connections=task["connections"]):
            assert receipt.outcome is Outcome.ACCEPTED, receipt


async def main(way: str) -> None:
    loop = asyncio.get_running_loop()
    with TemporaryDirectory() as folder:
        os.environ["RECAPITO_HOME"] = folder
        with Store.create(f"sqlite:///{folder}/store.db") as store:
            async with Sender(store, way).running() as sender:
                while line := await loop.run_in_executor(None, sys.stdin.readline):
                    asked = json.loads(line)
                    task = asked["task"]
                    if asked.get("warm"):
                        await sender.send(task | {"messages": min(50, task["messages"])})
                    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                    wall, cpu = time.perf_counter(), time.process_time()
                    await sender.send(task)
                    told = {"messages": task["messages"], "wall": time.perf_counter() - wall}
                    told |= {"cpu": time.process_time() - cpu}
                    told |= {"rss": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}
                    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "async"))
