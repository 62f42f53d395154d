"""However many need a token at once, in threads or processes, the vendor is asked once, and nobody else waits."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from rotating_vendor import ANNA, RotatingVendor

from recapito.errors import Held, RecapitoError
from recapito.oauth.vault import Holder, Vault
from recapito.profile import Profile
from recapito.secret import Secret
from recapito.signin import Token
from recapito.store import GrantRow, Store

MANY = 50


def at_once(number: int, work: Callable[[], Any]) -> list[Any]:
    """What ``work`` gave, or its problem's code, in so many threads that begin together."""
    barrier = threading.Barrier(number)

    def begin(_: int) -> Any:
        barrier.wait(20)
        try:
            return work()
        except RecapitoError as exc:
            return exc.problem.code

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(begin, range(number)))


def in_a_loop_of_its_own(store: Store, holder: Holder) -> str:
    async def ask() -> Token:
        return await Vault(store, asyncio.to_thread).token(holder, "mail")

    return asyncio.run(ask()).value.reveal()


@pytest.fixture
def on_one_loop() -> Any:
    """Runs a coroutine on one loop from any thread, as a blocking mailer does."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)

    yield run
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_fifty_threads_with_a_loop_each_make_one_refresh(
    store: Store, vendor: RotatingVendor, signed_in: Callable[..., GrantRow], holder: Callable[..., Holder]
) -> None:
    who = holder(signed_in())
    tokens = at_once(MANY, lambda: in_a_loop_of_its_own(store, who))
    assert set(tokens) == {"token-1"}
    assert len(vendor.asked) == 1


def test_fifty_threads_on_one_blocking_loop_make_one_refresh_and_look_into_the_store_as_one(
    vault: Vault,
    vendor: RotatingVendor,
    signed_in: Callable[..., GrantRow],
    holder: Callable[..., Holder],
    on_one_loop: Any,
    thread: Any,
) -> None:
    who = holder(signed_in())
    vendor.may_answer.clear()

    def let_it_answer_when_all_wait() -> None:
        assert vendor.arrived.acquire(timeout=20)
        vendor.may_answer.set()

    letting = threading.Thread(target=let_it_answer_when_all_wait)
    letting.start()
    tokens = at_once(MANY, lambda: on_one_loop(vault.token(who, "mail")))
    letting.join()
    assert {each.value.reveal() for each in tokens} == {"token-1"}
    assert len(vendor.asked) == 1
    assert thread.calls == ["open_grant", "lease_grant", "grant", "_save"]


def test_two_resources_of_one_grant_are_renewed_one_after_the_other(
    vault: Vault, vendor: RotatingVendor, signed_in: Any, holder: Any, on_one_loop: Any, thread: Any
) -> None:
    who = holder(signed_in())

    async def both() -> list[Token]:
        return list(await asyncio.gather(vault.token(who, "mail"), vault.token(who, "smtp")))

    assert {each.value.reveal() for each in on_one_loop(both())} == {"token-1", "token-2"}
    assert thread.calls.count("lease_grant") == 2  # none of them in vain


def test_four_processes_make_one_refresh_while_others_save(
    store: Store, vendor: RotatingVendor, signed_in: Callable[..., GrantRow], processes: Any
) -> None:
    row = signed_in()
    started = processes(4, row.id)
    vendor.may_answer.clear()
    for each in started:
        each.begin()
    assert vendor.arrived.acquire(timeout=20)
    bruno = Profile.of("bruno", sender="bruno@example.it", transport="memory")
    for number in range(25):  # the refresh is under way, and nobody has to wait for it
        store.save(bruno, {"password": Secret(f"{number}")}, by="test", action="edited", fields=())
    assert not vendor.may_answer.is_set()
    vendor.may_answer.set()
    assert [each.line() for each in started] == ["token-1"] * 4
    assert len(vendor.asked) == 1
    found = store.open_grant(ANNA)
    assert found is not None
    assert vendor.is_good(found.secret)
    assert found.row.generation == 2
    saved = store.get(bruno.key)
    assert saved is not None
    assert saved.secrets["password"].reveal() == "24"


def test_a_grant_that_is_dead_is_asked_for_once_by_fifty(
    store: Store, vendor: RotatingVendor, signed_in: Callable[..., GrantRow], holder: Callable[..., Holder]
) -> None:
    who = holder(signed_in())
    vendor.dead.add("anna@example.it")
    assert set(at_once(MANY, lambda: in_a_loop_of_its_own(store, who))) == {"OAUTH-REVOKED"}
    assert len(vendor.asked) == 1


def test_an_app_is_asked_once_by_many_processes(store: Store, vendor: RotatingVendor, processes: Any) -> None:
    store.save_client("", "paper", {}, {"secret": Secret("s3greto")}, by="test", fields=("secret",))
    started = processes(4, kind="app")
    for each in started:
        each.begin()
    assert [each.line() for each in started] == ["token-1"] * 4
    assert vendor.asked == [""]
    (row,) = store.grants()
    assert (row.sign_in, row.scopes, row.generation) == ("app", {"send"}, 2)


def test_each_caller_has_an_error_of_its_own(
    vault: Vault, vendor: RotatingVendor, signed_in: Any, holder: Any, on_one_loop: Any
) -> None:
    who = holder(signed_in())
    vendor.dead.add("anna@example.it")

    async def both() -> list[Any]:
        asked = [vault.token(who, "mail") for _ in range(2)]
        return await asyncio.gather(*asked, return_exceptions=True)

    one, other = on_one_loop(both())
    assert isinstance(one, Held)
    assert one is not other
    assert one.problem == other.problem
    assert len(vendor.asked) == 1
