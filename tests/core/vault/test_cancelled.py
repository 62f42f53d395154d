"""Whoever waits for a token may go, and a loop may end: what the vendor gave meanwhile is kept."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from rotating_vendor import ANNA, RotatingVendor

from recapito.oauth.vault import Holder, Vault
from recapito.store import GrantRow, Store


@pytest.fixture
def is_kept(store: Store, vendor: RotatingVendor) -> Callable[[], bool]:
    """Whether what renews Anna's grant is what the vendor gave last, and nobody holds its lease."""

    def is_kept() -> bool:
        found = store.open_grant(ANNA)
        assert found is not None
        return vendor.is_good(found.secret) and found.row.lease_until is None and "mail" in found.tokens

    return is_kept


@pytest.mark.anyio
async def test_a_caller_who_goes_loses_no_rotated_grant(
    vault: Vault, vendor: RotatingVendor, signed_in: Any, holder: Any, is_kept: Callable[[], bool]
) -> None:
    who = holder(signed_in())
    vendor.may_answer.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await vault.token(who, "mail")
    assert vendor.arrived.acquire(timeout=20)
    vendor.may_answer.set()
    assert (await vault.token(who, "mail")).value.reveal() == "token-1"  # the same refresh
    assert is_kept()


@pytest.mark.anyio
async def test_the_others_get_what_the_one_who_went_had_asked_for(
    vault: Vault, vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    who = holder(signed_in())
    vendor.may_answer.clear()
    first, second = (asyncio.create_task(vault.token(who, "mail")) for _ in range(2))
    assert await asyncio.to_thread(vendor.arrived.acquire, timeout=20)
    first.cancel()
    vendor.may_answer.set()
    assert (await second).value.reveal() == "token-1"
    assert first.cancelled()
    assert len(vendor.asked) == 1


@pytest.mark.anyio
async def test_closing_lets_a_refresh_end_and_waits_for_nobody_elses(
    vault: Vault,
    make_vault: Callable[..., Vault],
    vendor: RotatingVendor,
    signed_in: Any,
    holder: Any,
    is_kept: Callable[[], bool],
) -> None:
    who = holder(signed_in())
    vendor.may_answer.clear()
    asking = asyncio.create_task(vault.token(who, "mail"))
    assert await asyncio.to_thread(vendor.arrived.acquire, timeout=20)
    elsewhere = make_vault()
    waiting = asyncio.create_task(elsewhere.token(who, "mail"))
    await asyncio.sleep(0.2)
    await elsewhere.close(30)
    assert not vendor.may_answer.is_set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    asking.cancel()
    threading.Timer(0.2, vendor.may_answer.set).start()
    await vault.close(30)
    assert is_kept()


@pytest.mark.anyio
async def test_who_is_cancelled_while_the_lease_is_taken_does_not_keep_it(
    store: Store, signed_in: Any, holder: Any
) -> None:
    who = holder(signed_in())
    begun, go_on, taken = asyncio.Event(), threading.Event(), []

    async def in_thread(function: Any, /, *args: Any, **kwargs: Any) -> Any:
        if function.__name__ == "lease_grant":
            begun.set()

            def slowly() -> bool:
                go_on.wait(20)
                taken.append(function(*args, **kwargs))
                return taken[0]

            return await asyncio.to_thread(slowly)
        return await asyncio.to_thread(function, *args, **kwargs)

    vault = Vault(store, in_thread)
    asking = asyncio.create_task(vault.token(who, "mail"))
    await begun.wait()
    closing = asyncio.create_task(vault.close(30))
    await asyncio.sleep(0.1)
    go_on.set()
    await closing
    with pytest.raises(asyncio.CancelledError):
        await asking
    row = store.grant(ANNA)
    assert row is not None
    assert (taken, row.lease_until) == ([True], None)


@pytest.mark.anyio
async def test_closing_is_bounded(
    vault: Vault, store: Store, vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    who = holder(signed_in())
    vendor.may_answer.clear()
    asking = asyncio.create_task(vault.token(who, "mail"))
    assert await asyncio.to_thread(vendor.arrived.acquire, timeout=20)
    await vault.close(0.3)
    with pytest.raises(asyncio.CancelledError):
        await asking
    row = store.grant(ANNA)
    assert row is not None
    assert row.lease_until is None  # others need not wait for it
    vendor.may_answer.set()  # and the thread that asked may go


def test_a_loop_that_ends_while_it_saves_loses_nothing(
    store: Store,
    vendor: RotatingVendor,
    signed_in: Callable[..., GrantRow],
    holder: Callable[..., Holder],
    is_kept: Callable[[], bool],
) -> None:
    who = holder(signed_in())

    async def ends_too_early() -> None:
        saving = asyncio.Event()
        first = True

        async def in_thread(function: Any, /, *args: Any, **kwargs: Any) -> Any:
            nonlocal first
            if getattr(function, "func", function).__name__ == "_save" and first:
                first = False
                saving.set()
                await asyncio.sleep(30)  # every thread is busy
            return await asyncio.to_thread(function, *args, **kwargs)

        asking = asyncio.ensure_future(Vault(store, in_thread).token(who, "mail"))
        await saving.wait()
        asking.cancel()

    asyncio.run(ends_too_early())
    assert is_kept()
    assert len(vendor.asked) == 1
