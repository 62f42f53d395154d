"""A mailer that is closed while a grant is being renewed keeps what the vendor gave."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from paper_vendor import PaperTransport, Vendor, paper_hooks, paper_info
from rotating_vendor import ANNA, RotatingSignIn, RotatingVendor

from recapito import Mailer, Message, RecapitoError, Store, hookimpl


@pytest.fixture
def rotating() -> Iterator[RotatingVendor]:
    with RotatingVendor() as running:
        yield running


@pytest.fixture
def hooks(vendor: Vendor, paper: PaperTransport, rotating: RotatingVendor) -> Any:
    """The transport on paper, signing in where each refresh token is good once."""
    clients = paper_hooks(vendor, PaperTransport())
    sign_ins = {"code": lambda _profile: RotatingSignIn(rotating.port)}

    def register(register: Any) -> None:
        register.transport(replace(paper_info(vendor, paper), sign_ins=sign_ins))
        clients.recapito_register_transports(
            SimpleNamespace(transport=lambda _: None, client=register.client)
        )

    return SimpleNamespace(recapito_register_transports=hookimpl(register))


def test_what_was_being_renewed_is_kept(
    mailer: Mailer, store: Store, rotating: RotatingVendor, message: Message
) -> None:
    secret = rotating.sign_in("anna@example.it")
    store.save_grant(
        ANNA,
        transport="paper",
        sign_in="code",
        client="paper",
        account="anna@example.it",
        scopes={"send"},
        secret=secret,
        idle_until=None,
        by="test",
    )
    rotating.may_answer.clear()

    def send() -> None:
        with suppress(RecapitoError):
            mailer.send("anna", message)

    sending = threading.Thread(target=send)
    sending.start()
    assert rotating.arrived.acquire(timeout=20)
    closing = threading.Thread(target=mailer.close)
    closing.start()
    sending.join(20)  # it has its outcome, and the refresh goes on
    rotating.may_answer.set()
    closing.join(20)
    found = store.open_grant(ANNA)
    assert found is not None
    assert rotating.is_good(found.secret)
    assert found.row.lease_until is None
