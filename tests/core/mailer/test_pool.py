"""Sessions are kept for those they belong to, and for nobody else."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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
    def make(
        found: Found, *, mailbox: str = "", connections: int | None = None, depth: int = 1, **rest: Any
    ) -> Wanted:
        async def open_session() -> Any:
            await asyncio.sleep(0)
            opened.append(told_session(depth))
            return opened[-1]

        return Wanted(found, mailbox or found.profile.sender, open_session, connections, **rest)

    return make


async def test_a_session_is_used_again(opened: list[Any], wanted: Any, found_for: Any) -> None:
    pool, anna = Pool(), wanted(found_for("anna"))
    for _ in range(3):
        pool.give(await pool.take(anna))
    assert len(opened) == 1
    await pool.close(1)
    assert opened[0].closed == 1


async def test_two_operators_never_share_a_session(opened: list[Any], wanted: Any, found_for: Any) -> None:
    pool = Pool()
    first = await pool.take(wanted(found_for("anna")))
    pool.give(first)
    second = await pool.take(wanted(found_for("bruno")))
    assert first.session is not second.session


@pytest.mark.parametrize(
    "changed",
    [{"revision": "2"}, {"password": "other"}, {"sender_name": "Anna"}],
    ids=["revision", "secret without a revision", "profile without a revision"],
)
async def test_a_changed_profile_retires_its_sessions(
    changed: dict[str, Any], opened: list[Any], wanted: Any, found_for: Any
) -> None:
    pool = Pool()
    pool.give(await pool.take(wanted(found_for("anna", password="one"))))
    lease = await pool.take(wanted(found_for("anna", **({"password": "one"} | changed))))
    assert lease.session is opened[1]
    await asyncio.sleep(0.01)
    assert opened[0].closed == 1


async def test_a_new_grant_retires_its_sessions(opened: list[Any], wanted: Any, found_for: Any) -> None:
    pool, found = Pool(), found_for("anna")
    pool.give(await pool.take(wanted(found, generation="1")))
    assert (await pool.take(wanted(found, generation="2"))).session is opened[1]


async def test_a_busy_session_of_an_old_revision_finishes_and_is_then_closed(
    opened: list[Any], wanted: Any, found_for: Any
) -> None:
    pool = Pool()
    old = await pool.take(wanted(found_for("anna")))
    pool.give(await pool.take(wanted(found_for("anna", revision="2"))))
    assert opened[0].closed == 0
    pool.give(old)
    await asyncio.sleep(0.01)
    assert opened[0].closed == 1


async def test_idle_sessions_are_closed_by_a_timer(opened: list[Any], wanted: Any, found_for: Any) -> None:
    pool = Pool(idle=0.05)
    pool.give(await pool.take(wanted(found_for("anna"))))
    pool.give(await pool.take(wanted(found_for("bruno"))))
    async with asyncio.timeout(5):
        while not all(session.closed for session in opened):  # noqa: ASYNC110 - closing has no event
            await asyncio.sleep(0.01)
    assert list(pool.sessions()) == []


async def test_a_session_whose_token_expires_is_not_used(
    opened: list[Any], wanted: Any, found_for: Any
) -> None:
    pool, anna = Pool(), wanted(found_for("anna"))
    pool.give(await pool.take(anna))
    opened[0].usable_until = datetime.now(UTC) + timedelta(seconds=5)
    assert (await pool.take(anna)).session is opened[1]


async def test_a_session_that_ended_while_idle_is_not_lent_again(
    opened: list[Any], wanted: Any, found_for: Any
) -> None:
    pool, anna = Pool(), wanted(found_for("anna"))
    pool.give(await pool.take(anna))
    opened[0].usable = False
    assert (await pool.take(anna)).session is opened[1]


async def test_a_session_in_doubt_is_closed_and_not_lent_again(
    opened: list[Any], wanted: Any, found_for: Any
) -> None:
    pool, anna = Pool(), wanted(found_for("anna"))
    pool.give(await pool.take(anna), broken=True)
    assert (await pool.take(anna)).session is opened[1]
    await asyncio.sleep(0.01)
    assert opened[0].closed == 1


async def test_one_session_carries_as_many_deliveries_as_its_depth(
    opened: list[Any], wanted: Any, found_for: Any
) -> None:
    pool, anna = Pool(), wanted(found_for("anna"), depth=3)
    pool.give(await pool.take(anna))
    leases = [await pool.take(anna) for _ in range(4)]
    assert [lease.session for lease in leases] == [opened[0], opened[0], opened[0], opened[1]]


async def test_the_longest_idle_makes_room_when_too_many_are_open(
    opened: list[Any], wanted: Any, found_for: Any
) -> None:
    pool = Pool(maximum=2)
    for operator in ("anna", "bruno", "carla"):
        pool.give(await pool.take(wanted(found_for(operator))))
        await asyncio.sleep(0.001)
    assert [session.closed for session in opened] == [1, 0, 0]


async def test_when_all_are_busy_the_next_waits_for_one(
    opened: list[Any], wanted: Any, found_for: Any
) -> None:
    pool = Pool(maximum=1)
    first = await pool.take(wanted(found_for("anna")))
    waiting = asyncio.create_task(pool.take(wanted(found_for("bruno"))))
    await asyncio.sleep(0.01)
    assert len(opened) == 1
    pool.give(first)
    assert (await waiting).session is opened[1]
    assert opened[0].closed == 1


async def test_a_mailbox_never_has_more_connections_than_its_limit(
    opened: list[Any], wanted: Any, found_for: Any
) -> None:
    pool = Pool()
    shared = {"mailbox": "ufficio@example.it", "connections": 1}
    pool.give(await pool.take(wanted(found_for("anna"), **shared)))
    opened[0].slow_close = 0.05
    await pool.take(wanted(found_for("bruno"), **shared))
    assert opened[0].closed == 1, "the idle one was closed to its end before another was opened"


async def test_closing_is_bounded(opened: list[Any], wanted: Any, found_for: Any) -> None:
    pool = Pool()
    pool.give(await pool.take(wanted(found_for("anna"))))
    opened[0].slow_close = 60
    async with asyncio.timeout(5):
        await pool.close(0.05)
