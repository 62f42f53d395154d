"""A loop in a thread of its own answers, tells what went wrong in it, and ends."""

import asyncio
import threading

import pytest

from recapito.testing.serving import LoopThread


def test_work_runs_in_the_loops_thread_and_comes_back() -> None:
    async def where() -> str:
        return threading.current_thread().name

    with LoopThread("x") as thread:
        assert (
            thread.run(where())
            == thread.call(lambda: threading.current_thread().name)
            == "recapito-testing-x"
        )


def test_what_work_raises_comes_back() -> None:
    def fail() -> None:
        raise KeyError("here")

    with LoopThread("x") as thread, pytest.raises(KeyError, match="here"):
        thread.call(fail)


def test_what_nobody_waits_for_is_noted() -> None:
    with LoopThread("x") as thread:
        thread.call(lambda: thread.loop.call_soon(lambda: 1 / 0))
        thread.call(lambda: None)
    assert "ZeroDivisionError" in thread.faults[0]


def test_there_is_no_loop_outside_the_block() -> None:
    thread = LoopThread("x")
    with pytest.raises(RuntimeError, match="recapito-testing-x is not running"):
        _ = thread.loop
    with thread:
        running = thread.loop
    assert running.is_closed()
    with pytest.raises(RuntimeError, match="not running"):
        _ = thread.loop


def test_tasks_that_wait_for_ever_end_with_it() -> None:
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    with LoopThread("x") as thread:
        thread.call(lambda: thread.loop.create_task(wait()))
    assert ended == ["ended"]


def test_a_loop_can_be_used_again() -> None:
    thread = LoopThread("x")
    for _ in range(2):
        with thread:
            assert thread.call(lambda: 7) == 7
