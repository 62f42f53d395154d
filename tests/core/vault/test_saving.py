"""What a refresh came back with is saved before it is used; what cannot be saved is not used, and not lost."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rotating_vendor import ANNA, RotatingVendor
from sqlalchemy import event

from recapito.errors import Held, Misconfigured
from recapito.oauth.vault import Holder, Vault
from recapito.secret import Secret
from recapito.store import GrantRow, Store, StoredToken

pytestmark = pytest.mark.anyio


@contextmanager
def broken(store: Store, database_url: str, how: str) -> Iterator[None]:
    """A database that can only be read, or is full."""
    if not database_url.startswith("sqlite"):
        with _refusing(database_url, {"STORE-READONLY": "25006", "STORE-FULL": "53100"}[how]):
            yield
        return

    def limit(connection: sqlite3.Connection, *_: object) -> None:
        if how == "STORE-READONLY":
            connection.execute("pragma query_only = on")
        else:
            # SQLite takes the pages that there are for the least.
            connection.execute("pragma max_page_count = 1")

    def unlimit(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("pragma query_only = off")
        connection.execute("pragma max_page_count = 1000000")

    event.listen(store.database.engine, "checkout", limit)
    try:
        yield
    finally:
        event.remove(store.database.engine, "checkout", limit)
        event.listen(store.database.engine, "checkout", unlimit)


@contextmanager
def _refusing(database_url: str, state: str) -> Iterator[None]:
    """A server that refuses every new secret with this SQLSTATE."""
    import psycopg

    body = f"begin raise exception 'no' using errcode = '{state}'; end"
    refuse = f"create function refuse() returns trigger language plpgsql as $${body}$$"
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(refuse)
        admin.execute(
            "create trigger refuse before insert on recapito_secret for each row execute function refuse()"
        )
        try:
            yield
        finally:
            admin.execute("drop function refuse cascade")


@pytest.mark.parametrize("code", ["STORE-READONLY", "STORE-FULL"])
async def test_a_grant_that_cannot_be_saved_is_not_used_and_kept_until_it_can(
    vault: Vault,
    store: Store,
    vendor: RotatingVendor,
    signed_in: Callable[..., GrantRow],
    holder: Callable[..., Holder],
    database_url: str,
    code: str,
) -> None:
    who = holder(signed_in())
    vendor.padding = 12_000  # it does not fit into what the database has left
    before = store.open_grant(ANNA)
    assert before is not None
    breaking = broken(store, database_url, code)
    vendor.before_answer = breaking.__enter__
    try:
        for _ in range(3):
            with pytest.raises(Misconfigured) as caught:
                await vault.token(who, "mail")
            assert caught.value.problem.code == code
        left = store.open_grant(ANNA)
        assert left is not None
        assert (left.secret, left.tokens, left.row.generation) == (before.secret, {}, before.row.generation)
    finally:
        breaking.__exit__(None, None, None)
        vendor.before_answer = lambda: None
    assert not vendor.is_good(before.secret)
    token = await vault.token(who, "mail")
    assert len(vendor.asked) == 1
    after = store.open_grant(ANNA)
    assert after is not None
    assert vendor.is_good(after.secret)
    assert after.tokens["mail"].value == token.value


async def test_a_late_winner_does_not_overwrite_a_newer_sign_in(
    vault: Vault,
    store: Store,
    vendor: RotatingVendor,
    signed_in: Callable[..., GrantRow],
    holder: Callable[..., Holder],
) -> None:
    who = holder(signed_in())
    rows: list[GrantRow] = []

    def sign_in_meanwhile() -> None:
        vendor.before_answer = lambda: None
        rows.append(signed_in())

    vendor.before_answer = sign_in_meanwhile
    token = await vault.token(who, "mail")
    assert token.value.reveal() == "token-2"  # of the grant that there is now
    found = store.open_grant(ANNA)
    assert found is not None
    assert found.row.id == rows[0].id
    assert vendor.is_good(found.secret)
    assert found.tokens["mail"].value == Secret("token-2")


async def test_a_late_winner_does_not_overwrite_a_newer_renewal(
    vault: Vault,
    make_vault: Callable[..., Vault],
    store: Store,
    vendor: RotatingVendor,
    signed_in: Callable[..., GrantRow],
    holder: Callable[..., Holder],
) -> None:
    vendor.strict = False
    row = signed_in()

    def renew_meanwhile() -> None:  # as a process does to which the lease seemed over
        vendor.before_answer = lambda: None
        store.renew_grant(
            ANNA,
            row.id,
            row.generation,
            resource="mail",
            token=StoredToken(Secret("newer"), datetime.now(UTC) + timedelta(hours=1)),
            secret=vendor.sign_in("anna@example.it"),
        )

    vendor.before_answer = renew_meanwhile
    assert (await vault.token(holder(row), "mail")).value == Secret("newer")
    found = store.open_grant(ANNA)
    assert found is not None
    assert found.row.generation == 2
    assert vendor.is_good(found.secret)


async def test_signing_out_during_a_refresh_leaves_nothing_behind(
    vault: Vault, store: Store, vendor: RotatingVendor, signed_in: Any, holder: Any
) -> None:
    who = holder(signed_in())
    vendor.before_answer = lambda: store.remove_grant(ANNA, by="test")
    with pytest.raises(Held) as caught:
        await vault.token(who, "mail")
    assert caught.value.problem.code == "SIGN-IN-MISSING"
    assert store.open_grant(ANNA) is None
    assert len(vendor.asked) == 1
