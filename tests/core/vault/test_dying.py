"""Whoever renews a grant may be killed at any moment: others go on when the lease is over, and ask once."""

import signal
from collections.abc import Callable
from typing import Any

import pytest
from rotating_vendor import ANNA, RotatingVendor

from recapito.errors import Held
from recapito.oauth.vault import Holder, Vault
from recapito.store import GrantRow, Store

pytestmark = pytest.mark.anyio

#: Seconds: long enough for what happens meanwhile, short enough to be waited for.
LEASE = 1.5


@pytest.fixture
def killed(processes: Callable[..., list[Any]], signed_in: Callable[..., GrantRow], store: Store) -> GrantRow:
    """Anna's grant, after a process that had the answer was killed before it saved it."""
    row = signed_in()
    (process,) = processes(1, row.id, hang=1, lease=LEASE)
    process.begin()
    assert process.line() == "answered"
    process.process.send_signal(signal.SIGKILL)
    assert process.process.wait(20) == -signal.SIGKILL
    left = store.grant(ANNA)
    assert left is not None
    assert left.generation == row.generation
    assert left.lease_until is not None
    return row


async def test_others_go_on_when_the_lease_is_over(
    killed: GrantRow, make_vault: Callable[..., Vault], vendor: RotatingVendor, holder: Callable[..., Holder]
) -> None:
    vendor.strict = False  # as Google: the refresh token stays
    token = await make_vault(lease_seconds=LEASE).token(holder(killed), "mail")
    assert token.value.reveal() == "token-2"
    assert len(vendor.asked) == 2


async def test_where_the_former_grant_is_worthless_by_then_it_is_held_once_and_never_asked_again(
    killed: GrantRow,
    make_vault: Callable[..., Vault],
    store: Store,
    vendor: RotatingVendor,
    holder: Callable[..., Holder],
    signed_in: Callable[..., GrantRow],
) -> None:
    for _ in range(3):  # three processes, one after the other
        with pytest.raises(Held) as caught:
            await make_vault(lease_seconds=LEASE).token(holder(killed), "mail")
        assert caught.value.problem.code == "OAUTH-REVOKED"
    assert len(vendor.asked) == 2
    row = store.grant(ANNA)
    assert row is not None
    assert row.problem is not None
    assert row.lease_until is None
    again = holder(signed_in())
    assert (await make_vault().token(again, "mail")).value.reveal() == "token-3"


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_machine_whose_clock_is_two_hours_ahead_waits_as_well(
    signed_in: Callable[..., GrantRow], vendor: RotatingVendor, processes: Callable[..., list[Any]]
) -> None:
    row = signed_in()
    (right,) = processes(1, row.id)
    (ahead,) = processes(1, row.id, ahead=2, tell=1)
    vendor.may_answer.clear()
    right.begin()
    assert vendor.arrived.acquire(timeout=20)
    ahead.begin()
    assert ahead.line() == "waits"
    vendor.may_answer.set()
    assert (right.line(), ahead.line()) == ("token-1", "token-1")
    assert len(vendor.asked) == 1
