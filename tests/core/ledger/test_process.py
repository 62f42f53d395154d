"""Whether the process that began a send is still there to finish it."""

import os
import subprocess
import sys

import pytest

from recapito.ledger.process import has_gone, this_process


def test_this_process_is_here() -> None:
    assert not has_gone(this_process())


def test_a_process_that_ended_is_gone() -> None:
    script = "from recapito.ledger.process import this_process; print(this_process())"
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert has_gone(told)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="start times come from /proc")  # noqa: PTH112
def test_a_number_that_is_used_again_is_another_process() -> None:
    machine, pid, started = this_process().split("/")
    assert has_gone(f"{machine}/{pid}/{int(started) - 1}")


@pytest.mark.parametrize("told", ["", "x", "elsewhere/1/2", f"{this_process().split('/')[0]}/x/y"])
def test_nothing_is_claimed_about_what_cannot_be_seen(told: str) -> None:
    assert not has_gone(told)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_that_nobody_waited_for_is_gone() -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, this_process().encode())
        os._exit(0)
    told = os.read(read, 1000).decode()
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # a zombie from here on
    try:
        assert has_gone(told)
    finally:
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)
