"""One timer for the time of many tasks."""

import asyncio

import pytest

from recapito.overdue import Overdue

pytestmark = pytest.mark.anyio


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_task_whose_time_is_over_gets_timeout_error() -> None:
    overdue = Overdue()
    with pytest.raises(TimeoutError), overdue.at(now() + 0.01):
        await asyncio.sleep(60)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_what_ends_in_time_is_left_alone() -> None:
    overdue = Overdue()
    with overdue.at(now() + 0.02):
        await asyncio.sleep(0)
    await asyncio.sleep(0.03)


async def test_each_has_its_own_time_whatever_the_order() -> None:
    overdue = Overdue()
    ended: list[int] = []

    async def work(number: int, seconds: float) -> None:
        with pytest.raises(TimeoutError), overdue.at(now() + seconds):
            await asyncio.sleep(60)
        ended.append(number)

    await asyncio.gather(work(1, 0.06), work(2, 0.02), work(3, 0.04))
    assert ended == [2, 3, 1]


async def test_who_is_cancelled_by_somebody_else_stays_cancelled() -> None:
    overdue = Overdue()

    async def work() -> None:
        with overdue.at(now() + 60):
            await asyncio.sleep(60)

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    overdue.stop()


async def test_what_is_raised_at_its_end_is_not_hidden() -> None:
    overdue = Overdue()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise LookupError from None

    with pytest.raises(LookupError), overdue.at(now() + 0.01):
        await work()


async def test_a_thousand_tasks_set_one_timer() -> None:
    loop = asyncio.get_running_loop()
    overdue, timers = Overdue(), []
    call_at = loop.call_at
    loop.call_at = lambda *given, **more: timers.append(given) or call_at(*given, **more)  # type: ignore[assignment,func-returns-value]
    try:
        for _ in range(1_000):
            with overdue.at(now() + 60):
                pass
    finally:
        del loop.call_at
        overdue.stop()
    assert len(timers) == 1
