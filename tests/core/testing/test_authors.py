"""What an author of a transport meets: plain pytest, a class, and failures that say what is wrong."""

import subprocess
import sys

import pytest

from recapito.testing import Bench, TransportConformance

SUITE = """
from contextlib import contextmanager

from recapito.testing import Bench, MemoryBench, MemoryTransport, TransportConformance


class Clumsy(MemoryBench):
    refuse_sender = Bench.refuse_sender

    def throttle(self):
        raise KeyError("a mistake in the bench")


class TestGood(TransportConformance):
    def make_bench(self):
        return MemoryBench.of()


class TestUndeclared(TransportConformance):
    @contextmanager
    def make_bench(self):
        yield Clumsy(MemoryTransport())


class TestDeclared(TestUndeclared):
    unsupported = {
        "test_refused_sender_is_told": "the far side takes every sender",
        "test_throttled_says_when_to_try_again": "it is never throttled",
    }


class TestNothing(TransportConformance):
    pass


class TestWrong(TransportConformance):
    @contextmanager
    def make_bench(self):
        bench = MemoryBench(MemoryTransport())
        bench.account = lambda found: "the same for all"
        yield bench
"""

#: The checks that are run: quick ones, and those that Clumsy cannot arrange.
CHOSEN = "accepted_message or refused_sender or throttled or two_operators"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("author")
    (folder / "test_mine.py").write_text(SUITE)
    # -I: nothing of this checkout, neither its conftest nor its settings, is near.
    command = [sys.executable, "-I", "-m", "pytest", "-q", "-rsf", "-W", "error", "-p", "no:randomly"]
    command += ["-p", "no:anyio", "-p", "no:cacheprovider", "-k", CHOSEN, "test_mine.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def test_a_good_transport_passes_without_any_plugin_of_pytest(report: str) -> None:
    assert "TestGood" not in report, report


def test_what_a_bench_cannot_do_fails_unless_it_is_declared(report: str) -> None:
    assert "FAILED test_mine.py::TestUndeclared::test_refused_sender_is_told" in report, report
    assert "the bench cannot refuse the sender: override it, or declare the check in `unsupported`" in report
    assert "TestDeclared::test_refused" not in report


def test_what_is_declared_is_shown_with_its_reason(report: str) -> None:
    assert "declared unsupported by TestDeclared: the far side takes every sender" in report, report
    assert "declared unsupported by TestDeclared: it is never throttled" in report


def test_a_mistake_in_the_bench_is_no_skip(report: str) -> None:
    assert "KeyError: 'a mistake in the bench'" in report, report


def test_a_class_without_a_bench_is_told_what_is_missing(report: str) -> None:
    assert "TestNothing must have make_bench(), a context manager that gives a Bench" in report, report


def test_a_failed_check_shows_the_values(report: str) -> None:
    assert "'the same for all' != 'the same for all'" in report, report


def test_a_declaration_that_names_no_check_is_refused() -> None:
    with pytest.raises(TypeError, match="names no check: test_nothing_of_the_kind"):
        type("TestMine", (TransportConformance,), {"unsupported": {"test_nothing_of_the_kind": "why"}})


def test_a_declaration_without_a_reason_is_refused() -> None:
    with pytest.raises(TypeError, match="needs a reason"):
        type("TestMine", (TransportConformance,), {"unsupported": {"test_too_big_is_refused": ""}})


def test_every_ability_that_is_not_overridden_says_so() -> None:
    abilities = set(dir(Bench)) - set(dir(object)) - {"info", "recipients"}
    assert {"refuse_sender", "throttle", "drop_idle", "hold", "stall"} <= abilities
