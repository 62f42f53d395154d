"""The limits of a mailbox in this process are exact."""

import asyncio
from datetime import UTC, datetime, timedelta
from threading import Barrier, Lock, Thread
from time import monotonic

import pytest

from recapito.limits import Limits, Rate
from recapito.permits import NoPermit, Permit, Permits

pytestmark = pytest.mark.anyio


async def take(permits: Permits, limits: Limits, *, recipients: int = 1, wait: float = 5) -> Permit:
    return await permits.take(
        "anna@example.it", limits, messages=1, recipients=recipients, until=monotonic() + wait
    )


async def test_no_more_sends_are_under_way_than_the_concurrency() -> None:
    permits, limits = Permits(), Limits(concurrency=3)
    under_way = most = 0

    async def send() -> None:
        nonlocal under_way, most
        permit = await take(permits, limits)
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        permit.end()

    await asyncio.gather(*(send() for _ in range(40)))
    assert most == 3


async def test_permits_are_given_first_come_first_served() -> None:
    permits, limits = Permits(), Limits(concurrency=1)
    order: list[int] = []

    async def send(number: int) -> None:
        permit = await take(permits, limits)
        order.append(number)
        await asyncio.sleep(0)
        permit.end()

    await asyncio.gather(*(send(number) for number in range(10)))
    assert order == list(range(10))


async def test_a_newcomer_does_not_overtake_the_queue() -> None:
    permits, limits = Permits(), Limits(concurrency=1)
    first = await take(permits, limits)
    order: list[str] = []

    async def send(name: str) -> None:
        permit = await take(permits, limits)
        order.append(name)
        permit.end()

    waiting = asyncio.create_task(send("waiting"))
    await asyncio.sleep(0)
    first.end()
    # The place is free, and the one who waits for it has not run yet.
    await asyncio.gather(send("newcomer"), waiting)
    assert order == ["waiting", "newcomer"]


async def test_a_window_counts_from_the_end_of_an_attempt() -> None:
    permits, limits = Permits(), Limits(rates=(Rate(1, 0.2),))
    first = await take(permits, limits)
    await asyncio.sleep(0.1)
    first.end()
    ended = monotonic()
    (await take(permits, limits)).end()
    assert monotonic() >= ended + 0.2


async def test_no_window_ever_holds_more_than_its_maximum() -> None:
    permits, limits = Permits(), Limits(rates=(Rate(3, 0.15),))
    times: list[tuple[float, float]] = []

    async def send() -> None:
        permit = await take(permits, limits)
        began = monotonic()
        await asyncio.sleep(0.01)
        permit.end()
        times.append((began, monotonic()))

    await asyncio.gather(*(send() for _ in range(9)))
    # Wherever in [begin, end] the server counted each, any window of 0.15 s has at most 3: the fourth begins
    # 0.15 s after the first ended.
    times.sort()
    assert all(late[0] >= early[1] + 0.15 - 1e-3 for early, late in zip(times, times[3:], strict=False))


async def test_recipients_are_counted_apart_from_messages() -> None:
    permits, limits = Permits(), Limits(rates=(Rate(10, 60, "recipients"),))
    (await take(permits, limits, recipients=8)).end()
    (await take(permits, limits, recipients=2)).end()
    with pytest.raises(NoPermit):
        await take(permits, limits, recipients=1, wait=0.05)


async def test_a_message_that_alone_exceeds_a_rate_is_told_at_once() -> None:
    rate = Rate(10, 60, "recipients")
    with pytest.raises(NoPermit) as caught:
        await take(Permits(), Limits(rates=(rate,)), recipients=11)
    assert caught.value.never == rate


async def test_a_wait_that_is_surely_too_long_is_not_waited_for() -> None:
    permits, limits = Permits(), Limits(rates=(Rate(1, 3600),))
    (await take(permits, limits)).end()
    asked = datetime.now(UTC)
    async with asyncio.timeout(2):
        with pytest.raises(NoPermit) as caught:
            await take(permits, limits, wait=30)
    assert abs(caught.value.retry_at - asked - timedelta(hours=1)) < timedelta(seconds=5)


async def test_a_refund_gives_the_place_back() -> None:
    permits, limits = Permits(), Limits(rates=(Rate(1, 3600),))
    (await take(permits, limits)).end(counted=False)
    (await take(permits, limits, wait=0)).end()
    with pytest.raises(NoPermit):
        await take(permits, limits, wait=0)


async def test_ending_a_permit_twice_frees_one_place_only() -> None:
    permits, limits = Permits(), Limits(concurrency=1)
    first = await take(permits, limits)
    first.end()
    first.end()
    await take(permits, limits)
    with pytest.raises(NoPermit):
        await take(permits, limits, wait=0.01)


async def test_a_blocked_mailbox_waits_and_others_do_not() -> None:
    permits = Permits()
    permits.block("anna@example.it", datetime.now(UTC) + timedelta(seconds=60))
    with pytest.raises(NoPermit) as caught:
        await take(permits, Limits(), wait=30)
    assert caught.value.retry_at > datetime.now(UTC) + timedelta(seconds=50)
    await permits.take("bruno@example.it", Limits(), messages=1, recipients=1, until=monotonic())


async def test_a_short_block_is_waited_out() -> None:
    permits = Permits()
    until = monotonic() + 0.15
    permits.block("anna@example.it", datetime.now(UTC) + timedelta(seconds=0.15))
    await take(permits, Limits())
    assert monotonic() >= until - 0.01


async def test_a_cancelled_wait_leaves_the_queue_and_the_next_goes_on() -> None:
    permits, limits = Permits(), Limits(concurrency=1)
    first = await take(permits, limits)
    waiting = [asyncio.create_task(take(permits, limits)) for _ in range(3)]
    await asyncio.sleep(0.01)
    waiting[0].cancel()
    await asyncio.sleep(0)
    first.end()
    (await waiting[1]).end()
    (await waiting[2]).end()


async def test_two_rates_over_the_same_window_charge_it_once() -> None:
    permits, limits = Permits(), Limits(rates=(Rate(4, 60), Rate(2, 60)))
    for _ in range(2):
        (await take(permits, limits, wait=0)).end()
    with pytest.raises(NoPermit):
        await take(permits, limits, wait=0)


def test_loops_in_several_threads_share_the_limit() -> None:
    permits, limits, lock = Permits(), Limits(concurrency=2), Lock()
    under_way = 0
    seen: list[int] = []

    async def send() -> None:
        nonlocal under_way
        permit = await take(permits, limits)
        with lock:
            under_way += 1
            seen.append(under_way)
        await asyncio.sleep(0.001)
        with lock:
            under_way -= 1
        permit.end()

    async def main() -> None:
        await asyncio.gather(*(send() for _ in range(20)))

    threads = [Thread(target=lambda: asyncio.run(main())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 60
    assert max(seen) <= 2


async def test_mailers_of_one_store_share_their_permits() -> None:
    mine, other = Permits.of_store("store-1"), Permits.of_store("store-1")
    assert mine is other
    assert Permits.of_store("store-2") is not mine


async def test_a_loop_that_closes_at_that_moment_is_not_woken() -> None:
    class Closing:
        """Open when one looks, and closed when one calls."""

        def is_closed(self) -> bool:
            return False

        def call_soon_threadsafe(self, *_args: object) -> None:
            raise RuntimeError("Event loop is closed")

    permits, limits = Permits(), Limits(concurrency=1)
    permit = await take(permits, limits)
    waiting = asyncio.create_task(take(permits, limits))
    await asyncio.sleep(0)
    (waiter,) = permits._mailboxes["anna@example.it"].queue
    loop, waiter.loop = waiter.loop, Closing()  # type: ignore[assignment]
    permit.end()
    waiter.loop = loop
    waiter.wake()
    (await waiting).end()


async def test_whoever_asks_at_once_gets_the_same_permits() -> None:
    found = set[int]()
    start = Barrier(8)

    def ask() -> None:
        start.wait()
        for number in range(200):
            found.add(id(Permits.of_store(f"raced-{number % 3}")))

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3


async def test_a_child_does_not_wait_for_a_lock_that_its_parent_held() -> None:
    with Permits._sharing:
        lock = Permits._sharing
        Permits.after_fork()
        assert Permits._sharing is not lock
        Permits.of_store("in the child")


@pytest.mark.parametrize("expected", [1, 2])
async def test_what_the_server_saw_is_counted_though_less_was_expected(expected: int) -> None:
    permits, limits = Permits(), Limits(rates=(Rate(4, 3600), Rate(4, 3600, "recipients")))
    permit = await permits.take("m", limits, messages=expected, recipients=1, until=monotonic())
    permit.end(messages=3)
    (await permits.take("m", limits, messages=1, recipients=1, until=monotonic())).end()
    with pytest.raises(NoPermit):
        await permits.take("m", limits, messages=1, recipients=1, until=monotonic())


async def test_what_never_reached_the_server_is_not_counted_at_all() -> None:
    permits, limits = Permits(), Limits(rates=(Rate(1, 3600),))
    (await take(permits, limits)).end(counted=False, messages=3)
    await take(permits, limits)
