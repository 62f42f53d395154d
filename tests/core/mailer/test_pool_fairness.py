"""Nobody waits for a whole statement run, and no more is open than may be."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from recapito import Found
from recapito.pool import Pool, Wanted

pytestmark = pytest.mark.anyio


@pytest.fixture
def opened() -> list[Any]:
    return []


@pytest.fixture
def wanted(opened: list[Any], told_session: type[Any]) -> Callable[..., Wanted]:
    def make(found: Found, *, mailbox: str = "", connections: int | None = None, **session: Any) -> Wanted:
        async def open_session() -> Any:
            await asyncio.sleep(0)
            opened.append(told_session(session.get("depth", 1)))
            opened[-1].ordered = session.get("ordered", False)
            return opened[-1]

        return Wanted(found, mailbox or found.profile.sender, open_session, connections)

    return make


def still_open(opened: list[Any]) -> int:
    return sum(not session.closed for session in opened)


async def test_a_thousand_operators_never_have_more_sessions_than_may_be_open(
    opened, wanted, found_for
) -> None:
    pool, most = Pool(maximum=20), 0

    async def send(operator: str) -> None:
        nonlocal most
        mine = wanted(found_for(operator))
        lease = await pool.take(mine)
        most = max(most, still_open(opened))
        await asyncio.sleep(0)
        pool.give(lease)

    await asyncio.gather(*(send(f"o{number}") for number in range(1_000)))
    assert most <= 20
    assert len(opened) == 1_000
    await pool.close(1)


async def test_who_sends_all_the_time_makes_room_for_who_waits(opened, wanted, found_for) -> None:
    pool, stop = Pool(maximum=4), asyncio.Event()
    busy = wanted(found_for("anna"))

    async def statement_run() -> None:
        while not stop.is_set():
            lease = pool.ready(busy) or await pool.take(busy)
            await asyncio.sleep(0)
            pool.give(lease)

    runs = [asyncio.create_task(statement_run()) for _ in range(4)]
    await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        pool.give(await pool.take(wanted(found_for("bruno"))))
    stop.set()
    await asyncio.gather(*runs)
    assert still_open(opened) <= 4
    await pool.close(1)


async def test_first_come_is_first_served(opened, wanted, found_for) -> None:
    pool, served = Pool(maximum=1), []
    first = await pool.take(wanted(found_for("anna")))

    async def send(operator: str) -> None:
        lease = await pool.take(wanted(found_for(operator)))
        served.append(operator)
        pool.give(lease)

    names = [f"o{number}" for number in range(10)]
    tasks = [asyncio.create_task(send(name)) for name in names]
    await asyncio.sleep(0)
    pool.give(first)
    await asyncio.gather(*tasks)
    assert served == names


async def test_who_waits_and_gives_up_holds_up_nobody(wanted, found_for) -> None:
    pool = Pool(maximum=1)
    first = await pool.take(wanted(found_for("anna")))
    waiting = [asyncio.create_task(pool.take(wanted(found_for(name)))) for name in ("bruno", "carla")]
    await asyncio.sleep(0)
    waiting[0].cancel()
    pool.give(first)
    async with asyncio.timeout(5):
        pool.give(await waiting[1])


async def test_a_message_waits_on_an_ordered_line_only_where_there_is_no_room_for_another(
    opened, wanted, found_for
) -> None:
    pool = Pool()
    mine = wanted(found_for("anna"), connections=2, depth=2, ordered=True)
    leases = [await pool.take(mine) for _ in range(4)]
    assert len(opened) == 2
    assert sorted(lease.under_way for lease in leases) == [2, 2, 2, 2]


async def test_a_session_that_carries_several_at_once_is_shared_first(opened, wanted, found_for) -> None:
    pool = Pool()
    mine = wanted(found_for("anna"), connections=4, depth=4)
    for _ in range(4):
        await pool.take(mine)
    assert len(opened) == 1


async def test_a_failed_opening_leaves_its_room(opened, wanted, found_for) -> None:
    pool = Pool(maximum=1)

    async def fails() -> Any:
        raise ConnectionError("no")

    found = found_for("anna")
    with pytest.raises(ConnectionError, match="no"):
        await pool.take(Wanted(found, "anna@example.it", fails))
    assert await pool.take(wanted(found_for("bruno")))


async def test_who_waits_for_one_mailbox_holds_up_nobody_who_waits_for_another(wanted, found_for) -> None:
    pool = Pool()
    one, other = ({"mailbox": name, "connections": 1} for name in ("one@x.it", "other@x.it"))
    busy = [
        await pool.take(wanted(found_for("anna"), **one)),
        await pool.take(wanted(found_for("bruno"), **other)),
    ]
    waiting = [
        asyncio.create_task(pool.take(wanted(found_for("carla"), **one))),
        asyncio.create_task(pool.take(wanted(found_for("dario"), **other))),
    ]
    await asyncio.sleep(0)
    pool.give(busy[1])
    async with asyncio.timeout(5):
        await waiting[1]
    assert not waiting[0].done()
    waiting[0].cancel()


async def test_room_that_was_offered_to_one_who_has_gone_is_offered_to_the_next(wanted, found_for) -> None:
    pool = Pool(maximum=1)
    first = await pool.take(wanted(found_for("anna")))
    waiting = [asyncio.create_task(pool.take(wanted(found_for(name)))) for name in ("bruno", "carla")]
    await asyncio.sleep(0)
    offered = pool._waiters[0].turn
    pool.give(first)
    while not offered.done():  # noqa: ASYNC110 - the moment between the offer and its being taken
        await asyncio.sleep(0)
    waiting[0].cancel()
    async with asyncio.timeout(5):
        pool.give(await waiting[1])
    assert waiting[0].cancelled()


async def test_as_many_idle_sessions_go_as_are_in_the_way(opened, wanted, found_for) -> None:
    pool, mailbox = Pool(), "ufficio@example.it"
    many = wanted(found_for("anna"), mailbox=mailbox, connections=4)
    for lease in [await pool.take(many) for _ in range(4)]:
        pool.give(lease)
    async with asyncio.timeout(5):
        await pool.take(wanted(found_for("bruno"), mailbox=mailbox, connections=1))
    assert still_open(opened) == 1
