"""Which token is handed out: one that is held costs nothing, and whatever is not fit is not used."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from rotating_vendor import ANNA, RotatingVendor
from sqlalchemy import event

from recapito.errors import Held
from recapito.oauth.vault import Holder, Vault
from recapito.secret import Secret
from recapito.signin import Token
from recapito.store import GrantRow, Store

pytestmark = pytest.mark.anyio


async def test_a_token_that_is_held_costs_no_request_no_thread_and_no_statement(
    vault: Vault,
    store: Store,
    vendor: RotatingVendor,
    signed_in: Any,
    holder: Any,
    thread: Any,
) -> None:
    row = signed_in()
    first = await vault.token(holder(row), "mail")
    statements: list[str] = []
    thread.calls.clear()

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(store.database.engine, "before_cursor_execute", note)
    for _ in range(100):  # each send resolves its profile anew
        assert await vault.token(holder(row), "mail") is first
    assert (statements, thread.calls, len(vendor.asked)) == ([], [], 1)
    store.grant(ANNA)
    assert statements != []


async def test_another_process_takes_the_token_that_is_kept(
    make_vault: Callable[..., Vault], vendor: RotatingVendor, signed_in: Any, holder: Any, thread: Any
) -> None:
    who = holder(signed_in())
    await make_vault().token(who, "mail")
    thread.calls.clear()
    assert (await make_vault().token(who, "mail")).value.reveal() == "token-1"
    assert thread.calls == ["open_grant"]


async def test_a_token_is_renewed_a_minute_before_it_expires(
    vault: Vault, vendor: RotatingVendor, signed_in: Any, holder: Any, clock: Any
) -> None:
    who = holder(signed_in())
    for ahead, value in ((0, "token-1"), (3600 - 70, "token-1"), (3600 - 50, "token-2")):
        clock.ahead = timedelta(seconds=ahead)
        assert (await vault.token(who, "mail")).value.reveal() == value


@pytest.mark.parametrize("hours", [2, -2])
async def test_a_clock_that_jumps_costs_one_refresh_at_most(
    make_vault: Callable[..., Vault],
    vendor: RotatingVendor,
    signed_in: Any,
    holder: Any,
    clock: Any,
    hours: int,
) -> None:
    who = holder(signed_in())
    vaults = [make_vault(), make_vault()]
    for vault in vaults:
        await vault.token(who, "mail")
    clock.ahead = timedelta(hours=hours)
    tokens = {(await vault.token(who, "mail")).value.reveal() for vault in vaults * 5}
    assert tokens == ({"token-2"} if hours > 0 else {"token-1"})
    clock.ahead = timedelta()
    tokens = {(await vault.token(who, "mail")).value.reveal() for vault in vaults * 5}
    assert len(tokens) == 1
    assert len(vendor.asked) <= 2


async def test_after_a_clock_was_set_back_a_token_that_expired_is_renewed_once_it_is_refused(
    vault: Vault, vendor: RotatingVendor, signed_in: Any, holder: Any, clock: Any
) -> None:
    who = holder(signed_in())
    old = await vault.token(who, "mail")
    clock.ahead = timedelta(hours=-2)
    assert await vault.token(who, "mail") is old
    new = await vault.token(who, "mail", refused=old)
    assert new.value.reveal() == "token-2"
    assert await vault.token(who, "mail") is new
    assert len(vendor.asked) == 2


async def test_a_refused_token_is_renewed_once_though_two_were_refused_it(
    make_vault: Callable[..., Vault], vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    who = holder(signed_in())
    here, elsewhere = make_vault(), make_vault()
    old = await here.token(who, "mail")
    assert await elsewhere.token(who, "mail") == old
    asked = [vault.token(who, "mail", refused=old) for vault in (here, here, elsewhere, elsewhere)]
    tokens = await asyncio.gather(*asked)
    assert {each.value.reveal() for each in tokens} == {"token-2"}
    assert (await here.token(who, "mail", refused=old)).value.reveal() == "token-2"
    assert len(vendor.asked) == 2


async def test_who_was_refused_a_token_does_not_get_it_from_one_who_was_not(
    make_vault: Callable[..., Vault], vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    who = holder(signed_in())
    old = await make_vault().token(who, "mail")
    vault = make_vault()
    one, other = await asyncio.gather(vault.token(who, "mail"), vault.token(who, "mail", refused=old))
    assert (one.value, other.value) == (old.value, Secret("token-2"))


async def test_a_token_that_the_vault_does_not_hold_is_refused_in_vain(
    vault: Vault, vendor: RotatingVendor, signed_in: Any, holder: Any, clock: Any
) -> None:
    who = holder(signed_in())
    held = await vault.token(who, "mail")
    stale = Token(Secret("of-before"), clock())
    assert await vault.token(who, "mail", refused=stale) is held
    assert len(vendor.asked) == 1


async def test_a_new_sign_in_has_tokens_of_its_own(
    vault: Vault, vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    before = holder(signed_in())
    await vault.token(before, "mail")
    after = holder(signed_in())
    assert (await vault.token(after, "mail")).value.reveal() == "token-2"
    # What was resolved before has not heard of it; it is the same account.
    assert (await vault.token(before, "mail")).value.reveal() in {"token-1", "token-2"}
    assert (await vault.token(after, "mail")).value.reveal() == "token-2"
    assert len(vendor.asked) == 2


async def test_what_was_resolved_for_another_account_gets_no_token_of_this_one(
    make_vault: Callable[..., Vault], vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    before = holder(signed_in())
    signed_in("bruno@example.it")
    with pytest.raises(Held) as caught:
        await make_vault().token(before, "mail")
    assert caught.value.problem.code == "OAUTH-OTHER-USER"
    assert vendor.asked == []


@pytest.mark.parametrize(
    ("granted", "code"),
    [
        ({"transport": "other"}, "SIGN-IN-MISSING"),
        ({"client": "other"}, "SIGN-IN-MISSING"),
        ({"scopes": {"read"}}, "OAUTH-SCOPE"),
    ],
)
async def test_a_grant_that_does_not_fit_is_held_without_a_request(
    vault: Vault, vendor: RotatingVendor, signed_in: Any, holder: Any, granted: dict[str, Any], code: str
) -> None:
    who = holder(signed_in(**granted))
    with pytest.raises(Held) as caught:
        await vault.token(who, "mail")
    assert caught.value.problem.code == code
    assert vendor.asked == []


async def test_an_applications_grant_is_no_persons(
    vault: Vault, store: Store, vendor: RotatingVendor, holder: Any
) -> None:
    row = store.ensure_grant(ANNA, transport="paper", sign_in="app", client="paper")

    with pytest.raises(Held) as caught:
        await vault.token(holder(row, sign_in={"scopes": frozenset()}), "mail")
    assert caught.value.problem.code == "SIGN-IN-MISSING"
    assert vendor.asked == []


async def test_a_persons_grant_is_not_replaced_by_an_application_that_was_resolved_before(
    vault: Vault, store: Store, vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    row: GrantRow = signed_in()
    with pytest.raises(Held):
        await vault.token(holder(sign_in={"kind": "app"}), "mail")
    assert store.grant(ANNA) == row
    assert vendor.asked == []


async def test_more_scopes_than_were_granted_are_not_had_with_a_token_that_is_held(
    vault: Vault, vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    row = signed_in()
    await vault.token(holder(row), "mail")
    with pytest.raises(Held) as caught:
        await vault.token(holder(row, sign_in={"scopes": frozenset({"send", "shared"})}), "mail")
    assert caught.value.problem.code == "OAUTH-SCOPE"


async def test_an_application_that_asks_for_more_is_begun_again(
    vault: Vault, store: Store, vendor: RotatingVendor, holder: Any
) -> None:
    store.save_client("", "paper", {}, {"secret": Secret("s3greto")}, by="test", fields=("secret",))
    finished: list[str] = []
    app = {"kind": "app", "finished": finished}
    row = store.ensure_grant(
        ANNA, transport="paper", sign_in="app", client="paper", account="anna@example.it"
    )
    for scopes, value in (({"send"}, "token-1"), ({"send"}, "token-1"), ({"smtp"}, "token-2")):
        who: Holder = holder(row, sign_in=app | {"scopes": frozenset(scopes)})
        assert (await vault.token(who, "mail")).value.reveal() == value
    assert len(finished) == 2
    found = store.grant(ANNA)
    assert found is not None
    assert (found.account, found.scopes) == ("anna@example.it", {"smtp"})


async def test_nothing_is_held_of_a_profile_that_is_forgotten(
    vault: Vault, vendor: RotatingVendor, signed_in: Any, holder: Any, thread: Any
) -> None:
    who = holder(signed_in())
    await vault.token(who, "mail")
    vault.forget(ANNA)
    thread.calls.clear()
    assert (await vault.token(who, "mail")).value.reveal() == "token-1"
    assert thread.calls == ["open_grant"]
