"""Shorthands for the tests of the store."""

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from recapito.catalogue import problem
from recapito.ledger.journal import JournalEntry
from recapito.problem import Problem
from recapito.profile import Profile, ProfileKey
from recapito.secret import Secret
from recapito.store import Store


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
