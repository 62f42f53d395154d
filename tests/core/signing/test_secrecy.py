"""No code, state, verifier, token or secret in any log, repr, error or traceback."""

from typing import Any

import pytest
from paper_vendor import Vendor

from recapito import AsyncMailer, Held, Mailer, Message, NotSent, RecapitoError, Secret, Store
from recapito.catalogue import problem
from recapito.testing.leaks import Leaks

HERE = "https://erp.example/ritorno"
CODE = "4/0AbCdEf-planted-c0de"
SESSION = "c00kie-of-the-host"


@pytest.fixture
def leaks() -> Leaks:
    return Leaks()


def planted(vendor: Vendor, state: str = "", **more: str) -> list[tuple[str, Secret]]:
    values = {"code": CODE, "state": state, "client": "s3greto", "grant": "refresh-anna@example.it", **more}
    values |= {"device": "device-secret", "session": SESSION}
    for number, attempt in enumerate(vendor.attempts):
        values |= {f"verifier {number}": attempt.verifier.reveal(), f"state {number}": attempt.state}
    return [(name, Secret(value)) for name, value in values.items() if value]


@pytest.mark.parametrize(
    "error",
    [Held(problem("OAUTH-REFUSED")), NotSent(problem("OAUTH-TEMPORARY")), None],
    ids=["refused", "down", "crash"],
)
@pytest.mark.parametrize("act", ["begin", "finish"])
def test_a_failure_shows_none_of_them(
    mailer: Mailer, vendor: Vendor, leaks: Leaks, error: Exception | None, act: str
) -> None:
    if error is None:
        vendor.careless = act
    else:
        vendor.errors[act] = error
    state = ""
    with leaks.listening():
        try:
            begun = mailer.begin_sign_in("anna", redirect_uri=HERE, session=SESSION)
            leaks.look_at("begun", begun)
            state = begun.state
            query = {"state": state, "code": CODE}
            mailer.finish_sign_in("anna", query, session=SESSION)
        except RecapitoError as exc:
            _forget_the_callers_own_frame(exc)
            leaks.look_at_error(act, exc)
        else:
            pytest.fail("it was meant to fail")
    assert vendor.attempts
    assert leaks.found(planted(vendor, state)) == []


@pytest.mark.anyio
async def test_nor_does_an_async_mailer(store: Store, hooks: Any, vendor: Vendor, leaks: Leaks) -> None:
    vendor.careless = "finish"
    with leaks.listening():
        async with AsyncMailer(store, hooks=[hooks]) as mailer:
            begun = await mailer.begin_sign_in("anna", redirect_uri=HERE, session=SESSION)
            query = {"state": begun.state, "code": CODE}
            try:
                await mailer.finish_sign_in("anna", query, session=SESSION)
            except NotSent as exc:
                _forget_the_callers_own_frame(exc)
                leaks.look_at_error("finish", exc)
    assert vendor.asked["finish"] == 1
    assert leaks.found(planted(vendor, begun.state)) == []


def test_what_goes_well_shows_none_of_them(
    mailer: Mailer, vendor: Vendor, leaks: Leaks, message: Message, store: Store
) -> None:
    with leaks.listening():
        for kind in (None, "device"):
            begun = mailer.begin_sign_in("anna", redirect_uri=HERE, kind=kind)  # type: ignore[arg-type]
            leaks.look_at("begun", begun)
            done = mailer.finish_sign_in("anna", {"state": begun.state, "code": CODE})
            leaks.look_at("done", done)
            leaks.look_at("row", store.grant(done.key))
            leaks.look_at("stored", store.open_grant(done.key))
        for attempt in vendor.attempts:
            leaks.look_at("attempt", attempt)
        mailer.send("anna", message)
        for each in mailer.health(everything=True):
            leaks.look_at("checked", each)
        mailer.sign_out("anna")
    tokens = {f"token {number}": f"token-anna-at-example.it-mail-{number}" for number in (1, 2)}
    assert vendor.asked["refresh"] == 2
    assert leaks.found(planted(vendor, **tokens)) == []


def test_a_refused_state_is_not_repeated(mailer: Mailer, vendor: Vendor, leaks: Leaks) -> None:
    with leaks.listening():
        try:
            mailer.finish_sign_in("anna", {"state": "planted-state-of-another", "code": CODE})
        except Held as exc:
            _forget_the_callers_own_frame(exc)
            leaks.look_at_error("refused", exc)
    assert leaks.found([("state", Secret("planted-state-of-another")), ("code", Secret(CODE))]) == []


def test_the_audit_names_fields_and_no_values(mailer: Mailer, vendor: Vendor, store: Store) -> None:
    begun = mailer.begin_sign_in("anna", redirect_uri=HERE)
    mailer.finish_sign_in("anna", {"state": begun.state, "code": CODE})
    shown = repr(store.audit())
    assert "signed-in" in shown
    assert not [name for name, secret in planted(vendor, begun.state) if secret.reveal() in shown]


def _forget_the_callers_own_frame(exc: Any) -> None:
    """This test's frame holds the query that it made itself."""
    exc.__traceback__ = exc.__traceback__.tb_next
