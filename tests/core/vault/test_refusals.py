"""What a vendor has said once is not asked again: until a person signs in, a client changes, or the time has come."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rotating_vendor import ANNA, RotatingVendor

from recapito.catalogue import problem
from recapito.errors import DeliveryError, Held, Misconfigured, NotSent, UnknownOutcome
from recapito.oauth.vault import Holder, Vault
from recapito.outcome import Outcome
from recapito.store import GrantRow, Store

pytestmark = pytest.mark.anyio


async def code_of(vault: Vault, holder: Holder, error: type[DeliveryError] = Held) -> str:
    with pytest.raises(error) as caught:
        await vault.token(holder, "mail")
    return caught.value.problem.code


async def test_a_dead_grant_is_asked_for_once_until_a_person_signs_in(
    make_vault: Callable[..., Vault], vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    who = holder(signed_in())
    vendor.dead.add("anna@example.it")
    here, elsewhere = make_vault(), make_vault()
    assert [await code_of(vault, who) for vault in (here, here, elsewhere)] == ["OAUTH-REVOKED"] * 3
    assert len(vendor.asked) == 1
    again = holder(signed_in())
    assert (await elsewhere.token(again, "mail")).value.reveal() == "token-2"
    assert (await here.token(again, "mail")).value.reveal() == "token-2"


async def test_who_comes_to_the_lease_after_a_failure_does_not_repeat_it(
    vault: Vault, store: Store, vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    who = holder(signed_in())
    vendor.dead.add("anna@example.it")
    failed: list[str] = []

    async def in_thread(function: Any, /, *args: Any, **kwargs: Any) -> Any:
        if function.__name__ == "lease_grant" and not failed:  # the row was read, and was good
            failed.append(await code_of(vault, who))
        return await asyncio.to_thread(function, *args, **kwargs)

    assert await code_of(Vault(store, in_thread), who) == "OAUTH-REVOKED"
    assert failed == ["OAUTH-REVOKED"]
    assert len(vendor.asked) == 1
    row = store.grant(ANNA)
    assert row is not None
    assert row.lease_until is None


async def test_a_wrong_client_is_asked_with_once_until_it_is_another(
    make_vault: Callable[..., Vault], vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    row = signed_in()
    vendor.answers = [(401, {}, {"error": "invalid_client"})] * 2
    here, elsewhere = make_vault(), make_vault()
    wrong = holder(row)
    for vault in (here, here, elsewhere):
        with pytest.raises(Held) as caught:
            await vault.token(wrong, "mail")
        assert caught.value.problem.code == "OAUTH-APP-SECRET"
        assert caught.value.problem.params["client"] == "paper"
    assert len(vendor.asked) == 1
    other = holder(row, client_revision="2")
    assert [await code_of(vault, other) for vault in (here, elsewhere)] == ["OAUTH-APP-SECRET"] * 2
    assert len(vendor.asked) == 2
    assert (await here.token(holder(row, client_revision="3"), "mail")).value.reveal() == "token-3"


async def test_what_an_administrator_put_right_is_asked_again(
    vault: Vault, store: Store, vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    who = holder(signed_in())
    vendor.answers = [(401, {}, {"error": "invalid_client"})]
    assert await code_of(vault, who) == "OAUTH-APP-SECRET"
    store.resume_client("", "paper", by="admin")
    assert (await vault.token(who, "mail")).value.reveal() == "token-2"


async def test_after_too_many_requests_nobody_asks_before_the_time_has_come(
    make_vault: Callable[..., Vault], vendor: RotatingVendor, signed_in: Any, holder: Any, clock: Any
) -> None:
    who = holder(signed_in())
    vendor.answers = [(429, {"Retry-After": "120"}, {"error": "slow_down"})]
    here, elsewhere = make_vault(), make_vault()
    for seconds in (0, 60, 118):
        clock.ahead = timedelta(seconds=seconds)
        for vault in (here, elsewhere):
            assert await code_of(vault, who, NotSent) == "OAUTH-TEMPORARY"
    assert len(vendor.asked) == 1
    clock.ahead = timedelta(seconds=121)
    assert (await elsewhere.token(who, "mail")).value.reveal() == "token-2"
    assert (await here.token(who, "mail")).value.reveal() == "token-2"


async def test_not_even_a_forced_renewal_asks_before_the_time_has_come(
    vault: Vault, vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    who = holder(signed_in())
    vendor.answers = [(429, {"Retry-After": "120"}, {"error": "slow_down"})]
    for _ in range(2):
        renewed = await vault.renew(who, "mail", force=True)
        assert renewed.problem is not None
        assert renewed.problem.code == "OAUTH-TEMPORARY"
    assert len(vendor.asked) == 1


async def test_a_failure_that_may_be_over_at_once_is_not_remembered(
    vault: Vault, store: Store, vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    who = holder(signed_in())
    vendor.answers = [(503, {}, {})]
    assert await code_of(vault, who, NotSent) == "OAUTH-TEMPORARY"
    row = store.grant(ANNA)
    assert row is not None
    assert (row.problem, row.lease_until) == (None, None)
    assert (await vault.token(who, "mail")).value.reveal() == "token-2"


async def test_what_has_little_time_left_is_used_to_its_end_while_it_cannot_be_renewed(
    make_vault: Callable[..., Vault], vendor: RotatingVendor, signed_in: Any, holder: Any, clock: Any
) -> None:
    who = holder(signed_in())
    assert (await make_vault().token(who, "mail")).value.reveal() == "token-1"
    vendor.answers = [(503, {}, {})] * 3
    for left in (40, 20):
        clock.ahead = timedelta(seconds=3600 - left)
        assert (await make_vault().token(who, "mail")).value.reveal() == "token-1"
    clock.ahead = timedelta(seconds=3600 - 5)
    assert await code_of(make_vault(), who, NotSent) == "OAUTH-TEMPORARY"


async def test_what_has_little_time_left_is_used_while_the_vendor_wants_to_be_left_alone(
    vault: Vault,
    make_vault: Callable[..., Vault],
    vendor: RotatingVendor,
    signed_in: Any,
    holder: Any,
    clock: Any,
) -> None:
    who = holder(signed_in())
    await vault.token(who, "mail")
    vendor.answers = [(429, {"Retry-After": "300"}, {"error": "slow_down"})]
    for left in (50, 40, 20):
        clock.ahead = timedelta(seconds=3600 - left)
        assert (await vault.token(who, "mail")).value.reveal() == "token-1"
        assert (await make_vault().token(who, "mail")).value.reveal() == "token-1"
    clock.ahead = timedelta(seconds=3600 - 5)
    assert await code_of(vault, who, NotSent) == "OAUTH-TEMPORARY"
    assert len(vendor.asked) == 2


async def test_a_refusal_of_the_grant_before_says_nothing_of_this_one(
    vault: Vault, store: Store, vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    who = holder(signed_in())
    vendor.answers = [(400, {}, {"error": "invalid_grant"})]
    vendor.before_answer = lambda: (setattr(vendor, "before_answer", lambda: None), signed_in())
    assert (await vault.token(who, "mail")).value.reveal() == "token-2"
    row = store.grant(ANNA)
    assert row is not None
    assert row.problem is None


async def test_a_store_that_fails_behind_the_lease_frees_it(
    store: Store, vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    who = holder(signed_in())
    leased: list[bool] = []

    async def in_thread(function: Any, /, *args: Any, **kwargs: Any) -> Any:
        if function.__name__ == "grant":
            held = store.grant(ANNA)
            leased.append(held is not None and held.lease_until is not None)
            raise Misconfigured(problem("STORE-LOCKED", database="here", reason="busy", seconds="5"))
        return await asyncio.to_thread(function, *args, **kwargs)

    with pytest.raises(Misconfigured):
        await Vault(store, in_thread).token(who, "mail")
    row = store.grant(ANNA)
    assert row is not None
    assert (leased, row.lease_until, vendor.asked) == ([True], None, [])


async def test_what_is_left_of_a_token_is_used_while_nobody_may_ask(
    make_vault: Callable[..., Vault], vendor: RotatingVendor, signed_in: Any, holder: Any, clock: Any
) -> None:
    who, vault = holder(signed_in()), make_vault()
    first = await vault.token(who, "mail")
    clock.ahead = timedelta(seconds=3600 - 40)
    vendor.answers = [(503, {"Retry-After": "30"}, {"error": "temporarily_unavailable"})]
    for _ in range(3):
        assert (await vault.token(who, "mail")).value == first.value


async def test_a_forced_renewal_that_fails_says_so_though_the_token_is_good(
    vault: Vault, store: Store, vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    who = holder(signed_in())
    await vault.token(who, "mail")
    vendor.answers = [(503, {}, {})]
    renewed = await vault.renew(who, "mail", force=True)
    assert renewed.problem is not None
    assert renewed.row == store.grant(ANNA)
    assert (await vault.renew(who, "mail", force=True)).problem is None
    assert len(vendor.asked) == 3


@pytest.mark.parametrize(
    "body",
    [
        {"access_token": ""},
        {"access_token": "a b"},
        {"access_token": "tok\r\nX-Injected: 1"},
        {"access_token": "a\x01auth=Bearer b"},
        {"access_token": "à"},
        {"access_token": "a" * 16_385},
        {"access_token": "good", "expires_in": 0},
        {"access_token": "good", "expires_in": -7200},
    ],
)
async def test_a_token_that_cannot_be_used_is_never_handed_out_and_never_kept(
    vault: Vault, store: Store, vendor: RotatingVendor, signed_in: Any, holder: Any, body: dict[str, Any]
) -> None:
    who = holder(signed_in())
    vendor.answers = [(200, {}, {"expires_in": 3600} | body)]
    for _ in range(2):
        assert await code_of(vault, who, NotSent) == "TOKEN-ILL-FORMED"
    assert len(vendor.asked) == 1
    found = store.open_grant(ANNA)
    assert found is not None
    assert found.tokens == {}


async def test_a_vendor_that_does_not_answer_is_given_up(
    make_vault: Callable[..., Vault], vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    who = holder(signed_in())
    vendor.may_answer.clear()
    vault = make_vault(refresh_within=0.2)
    for _ in range(2):
        assert await code_of(vault, who, NotSent) == "OAUTH-TEMPORARY"
    assert len(vendor.asked) == 1
    vendor.may_answer.set()  # and the thread that asked may go


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UnknownOutcome(problem("UNCERTAIN")), NotSent),
        (Misconfigured(problem("TLS-CA", reason="no PEM")), Held),
        (ValueError("token-1 leaked"), NotSent),
        (SystemExit(3), NotSent),
        (asyncio.CancelledError(), NotSent),
    ],
)
async def test_whatever_a_sign_in_raises_has_an_outcome_and_frees_the_grant(
    vault: Vault,
    store: Store,
    vendor: RotatingVendor,
    signed_in: Any,
    holder: Any,
    error: BaseException,
    expected: type[DeliveryError],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def answered() -> None:
        raise error

    who = holder(signed_in(), sign_in={"answered": answered})
    with pytest.raises(expected) as caught:
        await vault.token(who, "mail")
    assert "leaked" not in str(caught.value)
    assert caught.value.problem.outcome is expected.outcome
    row = store.grant(ANNA)
    assert row is not None
    assert row.lease_until is None


async def test_a_problem_remembered_of_another_client_does_not_hold(
    vault: Vault, store: Store, vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    row: GrantRow = signed_in()
    later = datetime.now(UTC) + timedelta(hours=1)
    busy = problem("OAUTH-TEMPORARY", retry_at=later)
    assert busy.outcome is Outcome.NOT_SENT
    assert store.fail_grant(ANNA, row.id, row.generation, busy, client_revision="0", owner="")
    assert (await vault.token(holder(row), "mail")).value.reveal() == "token-1"
