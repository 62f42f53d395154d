"""A forked child starts afresh, and never writes a byte into its parent's conversations."""

import contextlib
import multiprocessing
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from recapito import AsyncMailer, Mailer, Message
from recapito.testing import MemoryTransport, SmtpServer, memory_info

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

USERS = {"anna@example.it": "segreto"}


@pytest.fixture(params=["ssl", "starttls", "plain"])
def server(request: pytest.FixtureRequest) -> Iterator[SmtpServer]:
    with SmtpServer(tls=request.param, users=USERS) as running:
        yield running


def in_child(work: Callable[[], object], *, seconds: float = 20) -> int:
    """Fork, run ``work`` there, and end without the test runner's own clean-up; its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.alarm(int(seconds))
            work()
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def connections_of(server: SmtpServer) -> dict[int, list[str]]:
    """The verbs that came on each connection."""
    found: dict[int, list[str]] = {}
    for command in server.commands:
        found.setdefault(command.connection, []).append(command.verb)
    return found


def test_parent_and_child_each_send_on_their_own_line(
    server: SmtpServer, smtp_info: Any, found_at: Any, message: Message
) -> None:
    with Mailer({"anna": found_at(server, "anna")}, transports=[smtp_info()]) as mailer:
        mailer.send("anna", message)
        before = connections_of(server)[1]

        def work() -> None:
            mailer.send("anna", message)
            mailer.close()

        assert in_child(work) == 0
        assert server.connections == 2
        assert connections_of(server)[1] == before, "the child said something on its parent's line"
        mailer.send("anna", message)
        assert server.connections == 2, "the parent's line was still good"
    assert len(server.messages) == 3


def test_a_child_that_only_exits_says_nothing_on_the_parents_line(
    server: SmtpServer, smtp_info: Any, found_at: Any, message: Message
) -> None:
    with Mailer({"anna": found_at(server, "anna")}, transports=[smtp_info()]) as mailer:
        mailer.send("anna", message)
        before = connections_of(server)[1]

        def work() -> None:
            import gc

            mailer.close()
            gc.collect()

        assert in_child(work) == 0
        mailer.send("anna", message)
        assert connections_of(server)[1][: len(before)] == before
        assert server.connections == 1


def lines_to(server: SmtpServer) -> int:
    """How many of this process's descriptors are lines to ``server``."""
    count = 0
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - it holds this listing's own descriptor too
        try:
            with socket.socket(fileno=os.dup(int(name))) as line:
                count += line.getpeername() == (server.host, server.port)
        except OSError:
            continue
    return count


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not list descriptors")
@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_a_child_holds_no_descriptor_of_the_parents_line(
    kind: str, server: SmtpServer, smtp_info: Any, found_at: Any, message: Message
) -> None:
    import asyncio

    held: list[int] = []

    def work() -> None:
        assert lines_to(server) == 0

    async def main() -> None:
        async with AsyncMailer({"anna": found_at(server, "anna")}, transports=[smtp_info()]) as mailer:
            await mailer.send("anna", message)
            held.append(lines_to(server))
            assert in_child(work) == 0
            await mailer.send("anna", message)

    if kind == "async":
        asyncio.run(main())
    else:
        with Mailer({"anna": found_at(server, "anna")}, transports=[smtp_info()]) as mailer:
            mailer.send("anna", message)
            held.append(lines_to(server))
            assert in_child(work) == 0
            mailer.send("anna", message)
    assert held == [1]
    assert server.connections == 1


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not list descriptors")
def test_a_session_that_cannot_be_abandoned_is_closed_by_the_loop_that_watched_it(
    told_session: Any, found_for: Any, message: Message
) -> None:
    import asyncio

    class Line(told_session):  # type: ignore[misc]
        async def close(self) -> None:
            self.writer.close()
            await self.writer.wait_closed()

    class Transport(MemoryTransport):
        async def open(self, profile: object, context: object) -> Any:
            line = Line()
            line.reader, line.writer = await asyncio.open_connection(running.host, running.port)
            return line

    running: SmtpServer

    def work() -> None:
        assert lines_to(running) == 0

    mailer = Mailer({"anna": found_for("anna")}, transports=[memory_info(Transport())])
    with SmtpServer(tls="plain") as running, mailer:
        mailer.send("anna", message)
        assert lines_to(running) == 1
        assert in_child(work) == 0


def test_not_a_byte_of_the_child_reaches_the_parents_peer(
    smtp_info: Any, found_at: Any, message: Message
) -> None:
    """Counted on the wire, so that a TLS goodbye, which is no command, would show."""
    with SmtpServer(tls="ssl", users=USERS) as server, Wire(server.host, server.port) as wire:
        found = found_at(server, "anna")
        behind = found.profile.with_(settings={**found.profile.settings, "port": wire.port})
        from recapito import Found

        with Mailer({"anna": Found(behind, found.secrets, "1")}, transports=[smtp_info()]) as mailer:
            mailer.send("anna", message)
            before = wire.quiet_count(0)
            assert in_child(mailer.close) == 0
            assert in_child(lambda: mailer.send("anna", message)) == 0
            assert wire.quiet_count(0) == before


def test_children_of_multiprocessing_send(server: SmtpServer, smtp_info: Any, found_at: Any) -> None:
    message = Message(to=["cliente@example.com"], subject="x", text="x")
    context = multiprocessing.get_context("fork")
    with Mailer({"anna": found_at(server, "anna")}, transports=[smtp_info()]) as mailer:
        mailer.send("anna", message)
        children = [context.Process(target=mailer.send, args=("anna", message)) for _ in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join(20)
        assert [child.exitcode for child in children] == [0, 0, 0]
    assert len(server.messages) == 4
    assert server.connections == 4


def test_a_fork_while_the_parent_is_sending_leaves_both_whole(
    smtp_info: Any, found_at: Any, message: Message
) -> None:
    with SmtpServer(tls="ssl", users=USERS) as server:
        with Mailer({"anna": found_at(server, "anna")}, transports=[smtp_info()]) as mailer:
            mailer.send("anna", message)
            with server.hold("content"):
                sending = threading.Thread(target=mailer.send, args=("anna", message))
                sending.start()
                while not server.waiting["content"]:
                    time.sleep(0.001)
                pid = os.fork()
                if pid == 0:
                    os._exit(0)
                os.waitpid(pid, 0)
            sending.join(20)
            assert not sending.is_alive()
        assert len(server.messages) == 2
        assert server.connections == 1


@pytest.mark.anyio
async def test_an_async_mailer_works_in_a_child_on_a_loop_of_its_own(
    server: SmtpServer, smtp_info: Any, found_at: Any, message: Message
) -> None:
    async with AsyncMailer({"anna": found_at(server, "anna")}, transports=[smtp_info()]) as mailer:
        await mailer.send("anna", message)
        before = connections_of(server)[1]

        def work() -> None:
            import asyncio

            asyncio.set_event_loop(None)
            asyncio._set_running_loop(None)
            asyncio.run(mailer.send("anna", message))

        assert in_child(work) == 0
        assert connections_of(server)[1] == before
        await mailer.send("anna", message)
        assert server.connections == 2


APP = """
import os
from recapito import Found, Mailer, Message, Profile, Secrets, Store
from recapito_smtp_basic.plugin import INFO

mailer = Mailer.open()
message = Message(to=["cliente@example.com"], subject="x", text="x")
mailer.send("anna", message)  # before the fork: there is something to inherit


def application(environ, start_response):
    receipt = mailer.send("anna", message)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {receipt.outcome}".encode()]
"""


def test_two_gunicorn_workers_of_a_preloaded_application_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from urllib.request import urlopen

    from recapito import Profile, Store
    from recapito.secret import Secret

    url = f"sqlite:///{tmp_path / 'recapito.db'}"
    monkeypatch.setenv("RECAPITO_HOME", str(tmp_path))
    monkeypatch.setenv("RECAPITO_DATABASE", url)
    (tmp_path / "erp.py").write_text(APP)
    with SmtpServer(tls="ssl", users=USERS) as server:
        settings = {"host": server.host, "port": server.port, "security": "ssl", "ca": server.pem}
        profile = Profile.of("anna", sender="anna@example.it", transport="smtp_basic", settings=settings)
        with Store.create(url) as store:
            store.save(profile, {"password": Secret("segreto")}, by="test", action="created", fields=())
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "gunicorn", "--preload", "-w", "2", "-b", f"127.0.0.1:{port}", "erp"]
        master = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        try:
            workers: set[str] = set()
            ends = time.monotonic() + 30
            while len(workers) < 2 and time.monotonic() < ends:
                try:
                    with urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                        pid, outcome = answer.read().decode().split()
                except OSError:
                    assert master.poll() is None, master.communicate()[1]
                    time.sleep(0.05)
                    continue
                assert outcome == "accepted"
                workers.add(pid)
            assert len(workers) == 2
        finally:
            master.terminate()
            _, log = master.communicate(timeout=20)
        assert "Traceback" not in log
        assert server.connections == 3
        users = {row.connection for row in server.messages}
        assert users == {1, 2, 3}


class Wire:
    """Carries bytes to a server and counts those of each client connection."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self.counts: list[int] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def quiet_count(self, number: int) -> int:
        """The bytes of a client connection, once they have stopped coming."""
        while True:
            before = self.counts[number]
            time.sleep(0.1)
            if self.counts[number] == before:
                return before

    def _carry(self) -> None:
        with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
            stack.enter_context(self._listener)
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._stop.is_set():
                for key, _ in selector.select(0.05):
                    if key.fileobj is self._listener:
                        client = stack.enter_context(self._listener.accept()[0])
                        server = stack.enter_context(socket.create_connection(self._to))
                        self.counts.append(0)
                        number = len(self.counts) - 1
                        selector.register(client, selectors.EVENT_READ, (server, number))
                        selector.register(server, selectors.EVENT_READ, (client, None))
                        continue
                    source: Any = key.fileobj
                    target, counted = key.data
                    try:
                        data = source.recv(65536)
                        if counted is not None:
                            self.counts[counted] += len(data)
                        target.sendall(data)
                    except OSError:
                        data = b""
                    if not data:
                        selector.unregister(source)
