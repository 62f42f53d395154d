"""Hooks of the acts of signing in: after they were saved, in the thread that called."""

import threading
from typing import Any

import pytest
from paper_vendor import PaperTransport, Vendor, paper_hooks

from recapito import AsyncMailer, Mailer, Store
from recapito.signing import SignedIn

HERE = "https://erp.example/ritorno"


def test_they_run_in_the_callers_thread_once_it_is_saved(store: Store, vendor: Vendor) -> None:
    seen: list[Any] = []

    def note(profile: Any, change: Any) -> None:
        seen.append(
            (change.action, change.fields, threading.current_thread(), store.grant(profile.key) is None)
        )

    with Mailer(store, hooks=[paper_hooks(vendor, PaperTransport(), record_change=note)]) as mailer:
        begun = mailer.begin_sign_in("anna", redirect_uri=HERE, by="admin")
        mailer.finish_sign_in("anna", {"state": begun.state, "code": "x"})
        mailer.sign_out("anna")
    mine = threading.current_thread()
    assert seen == [("signed_in", ("grant",), mine, False), ("signed_out", ("grant",), mine, True)]


def test_who_began_is_who_did_it(store: Store, vendor: Vendor) -> None:
    seen: list[str] = []
    hooks = paper_hooks(vendor, PaperTransport(), record_change=lambda change: seen.append(change.by))
    with Mailer(store, hooks=[hooks]) as mailer:
        for by in ("admin", ""):
            begun = mailer.begin_sign_in("anna", redirect_uri=HERE, by=by)
            mailer.finish_sign_in("anna", {"state": begun.state, "code": "x"})
    assert seen == ["admin", "anna"]
    assert [row.by for row in store.audit() if row.action == "signed-in"] == ["anna", "admin"]


def test_a_hook_that_fails_undoes_nothing(store: Store, vendor: Vendor) -> None:
    def fail(change: Any) -> None:
        raise RuntimeError("boom")

    with Mailer(store, hooks=[paper_hooks(vendor, PaperTransport(), record_change=fail)]) as mailer:
        begun = mailer.begin_sign_in("anna", redirect_uri=HERE)
        assert isinstance(mailer.finish_sign_in("anna", {"state": begun.state, "code": "x"}), SignedIn)
    assert len(store.grants()) == 1


@pytest.mark.anyio
async def test_an_async_mailer_does_the_same(
    store: Store, vendor: Vendor, hooks: Any, told: Any, message: Any
) -> None:
    async with AsyncMailer(store, hooks=[hooks]) as mailer:
        begun = await mailer.begin_sign_in("anna", redirect_uri=HERE)
        done = await mailer.finish_sign_in("anna", {"state": begun.state, "code": "x"})
        assert isinstance(done, SignedIn)
        await mailer.send("anna", message)
        checked = [each async for each in mailer.health(everything=True)]
        assert [(str(each.key), each.renewed) for each in checked] == [("anna", True)]
        assert await mailer.sign_out("anna")
    assert told.actions == ["anna signed_in", "anna signed_out"]
