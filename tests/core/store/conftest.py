"""Shorthands for the tests of the store."""

import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection

from recapito.catalogue import problem
from recapito.ledger.journal import JournalEntry
from recapito.problem import Problem
from recapito.profile import Profile, ProfileKey
from recapito.secret import Secret, Secrets
from recapito.store import GrantRow, NewAttempt, Store, StoredToken, schema


@pytest.fixture
def anna() -> Profile:
    return Profile.of(
        "anna", sender="anna@example.it", transport="memory", settings={"host": "mail.example.it"}
    )


@pytest.fixture
def save() -> Callable[..., str]:
    """Saves a profile with secrets: ``save(store, profile, password="…")``."""

    def saved(
        store: Store, profile: Profile, *, expect_revision: str | None = None, **secrets: str | None
    ) -> str:
        wrapped = {name: None if text is None else Secret(text) for name, text in secrets.items()}
        fields = [f"secrets.{name}" for name in secrets]
        return store.save(
            profile, wrapped, by="test", action="edited", fields=fields, expect_revision=expect_revision
        )

    return saved


@pytest.fixture
def in_processes() -> Callable[..., list[str]]:
    """Runs a script in several new processes at once, with these arguments each; what each printed.

    New ones, not forks: each is a process of its own, as a host's are.
    """

    def run(script: str, *arguments: tuple[str, ...]) -> list[str]:
        started = [
            subprocess.Popen(
                [sys.executable, "-c", script, *each],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for each in arguments
        ]
        ended = [(process, *process.communicate(timeout=50)) for process in started]
        for process, _, complaints in ended:
            assert process.returncode == 0, complaints
        return [printed for _, printed, _ in ended]

    return run


@pytest.fixture
def forked() -> Callable[[Callable[[], None]], int]:
    """Runs a function in a forked child that then ends at once; its exit status, 0 where nothing was raised."""

    def run(function: Callable[[], None]) -> int:
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # a child that waits for the parent's locks must not outlive the test
            try:
                function()
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    return run


@pytest.fixture
def at_once() -> Callable[[int, Callable[[], str]], list[str]]:
    """Runs a function in so many forked children, all let go at the same moment; what it returned in each."""

    def child(gate: int, ours: int, result: int, function: Callable[[], str]) -> None:
        signal.alarm(20)
        try:
            os.close(ours)
            os.read(gate, 1)  # the end of the pipe, once nobody holds it open any more
            os.write(result, function().encode())
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    def run(count: int, function: Callable[[], str]) -> list[str]:
        gate, ours = os.pipe()
        children = []
        for _ in range(count):
            read, write = os.pipe()
            process = os.fork()
            if process == 0:
                child(gate, ours, write, function)
            os.close(write)
            children.append((process, read))
        os.close(ours)
        os.close(gate)
        told = []
        for process, read in children:
            with os.fdopen(read) as file:
                told.append(file.read())
            assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
        return told

    return run


@pytest.fixture
def in_threads() -> Callable[[int, Callable[[int], object]], list[object]]:
    """Runs a function in so many threads at once, each with its number; what they returned, in any order."""

    def run(count: int, function: Callable[[int], object]) -> list[object]:
        gate, told = threading.Barrier(count), list[object]()

        def work(number: int) -> None:
            gate.wait()
            told.append(function(number))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(told) == count
        return told

    return run


@pytest.fixture
def sign_in() -> Callable[..., GrantRow]:
    """Saves what a sign-in left: ``sign_in(store, "anna", "refresh token", profile=…)``."""

    def signed_in(store: Store, operator: str = "anna", secret: str = "refresh", **more: Any) -> GrantRow:
        given: dict[str, Any] = {
            "transport": "memory",
            "sign_in": "browser",
            "client": "google",
            "account": f"{operator}@example.it",
            "scopes": {"mail.send", "openid"},
            "idle_until": None,
            "by": operator,
        } | more
        return store.save_grant(ProfileKey("", operator), secret=Secret(secret), **given)

    return signed_in


@pytest.fixture
def token() -> Callable[..., StoredToken]:
    """An access token that is good for an hour."""

    def made(value: str = "access") -> StoredToken:
        return StoredToken(Secret(value), datetime.now(UTC) + timedelta(hours=1))

    return made


@pytest.fixture
def attempt() -> Callable[..., NewAttempt]:
    """A sign-in that begins now and may end within ten minutes."""

    def made(operator: str = "anna", **more: Any) -> NewAttempt:
        given: dict[str, Any] = {
            "key": ProfileKey("", operator),
            "transport": "memory",
            "sign_in": "browser",
            "client": "google",
            "kind": "code",
            "redirect_uri": "https://erp.example.it/back",
            "hint": f"{operator}@example.it",
            "session": "browser-1",
            "by": operator,
            "expires": datetime.now(UTC) + timedelta(minutes=10),
            "secrets": Secrets({"verifier": "v" * 43, "private nonce": "n0nce"}),
        } | more
        return NewAttempt(**given)

    return made


@pytest.fixture
def contents() -> Callable[[Store], str]:
    """All that a store's tables hold, as text: what must not be in any of them is looked for here."""

    def read(store: Store) -> str:
        def work(connection: Connection) -> str:
            rows = [connection.execute(table.select()).all() for table in schema.metadata.sorted_tables]
            return repr(rows)

        return store.database.read(work)

    return read


@pytest.fixture
def paused() -> Problem:
    """A problem that pauses a profile."""
    return problem("AUTH-FAILED", host="mail.example.it", reply="535 5.7.8 no", user="anna")


@pytest.fixture
def entry() -> Callable[[], JournalEntry]:
    """A send for the journal."""

    def made() -> JournalEntry:
        now = datetime.now(UTC)
        key = ProfileKey("", "anna")
        until = now + timedelta(minutes=1)
        return JournalEntry(uuid4().hex, key, "memory", None, "<1@example.it>", ("a@x.it",), 1, now, until)

    return made
