"""What comes back must be of a sign-in that this operator began in this session, and of none that is over."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from paper_vendor import Vendor
from sqlalchemy import update

from recapito import Held, Mailer, ProfileKey, Store
from recapito.signing import Begun, SignedIn
from recapito.store import schema

ANNA = ProfileKey("", "anna")
HERE = "https://erp.example/ritorno"


@pytest.fixture
def begun(mailer: Mailer) -> Begun:
    return mailer.begin_sign_in("anna", redirect_uri=HERE, session="browser-1")


def back(begun: Begun, **other: str) -> dict[str, str]:
    return {"state": begun.state, "code": "c0dice", **other}


def refused(finish: Callable[[], Any], vendor: Vendor, store: Store) -> None:
    """The vendor was not asked, and nothing was written."""
    before = store.grants(), store.version(), store.audit()
    with pytest.raises(Held) as caught:
        finish()
    assert caught.value.problem.code == "SIGN-IN-STATE"
    assert not caught.value.problem.pauses
    assert vendor.asked["finish"] == 0
    assert (store.grants(), store.version(), store.audit()) == before


def test_the_right_state_in_the_right_session_signs_in(mailer: Mailer, begun: Begun, store: Store) -> None:
    done = mailer.finish_sign_in("anna", back(begun), session="browser-1")
    assert isinstance(done, SignedIn)
    assert (done.key, done.account, done.sender) == (ANNA, "anna@example.it", "anna@example.it")
    assert done.scopes == {"send", "email"}
    row = store.grant(ANNA)
    assert row is not None
    assert (row.account, row.transport, row.sign_in, row.client) == (
        "anna@example.it",
        "paper",
        "code",
        "paper",
    )
    assert done.next_check - done.granted == timedelta(hours=24)


@pytest.mark.parametrize("query", [{}, {"code": "c0dice"}, {"state": "", "code": "c0dice"}])
def test_no_state_is_refused(
    mailer: Mailer, begun: Begun, vendor: Vendor, store: Store, query: dict[str, str]
) -> None:
    refused(lambda: mailer.finish_sign_in("anna", query, session="browser-1"), vendor, store)


def test_a_wrong_state_is_refused(mailer: Mailer, begun: Begun, vendor: Vendor, store: Store) -> None:
    wrong = back(begun, state=begun.state[:-1] + ("A" if begun.state[-1] != "A" else "B"))
    refused(lambda: mailer.finish_sign_in("anna", wrong, session="browser-1"), vendor, store)


@pytest.mark.parametrize(
    ("operator", "company", "session"),
    [("bruno", "", "browser-1"), ("anna", "altra", "browser-1"), ("anna", "", "browser-2"), ("anna", "", "")],
    ids=["another operator", "another company", "another session", "no session"],
)
def test_whoever_brings_anothers_state_is_refused_and_spoils_nothing(
    mailer: Mailer, begun: Begun, vendor: Vendor, store: Store, operator: str, company: str, session: str
) -> None:
    refused(
        lambda: mailer.finish_sign_in(operator, back(begun), company=company, session=session), vendor, store
    )
    assert isinstance(mailer.finish_sign_in("anna", back(begun), session="browser-1"), SignedIn)


def test_a_state_is_good_once(mailer: Mailer, begun: Begun, vendor: Vendor, store: Store) -> None:
    mailer.finish_sign_in("anna", back(begun), session="browser-1")
    vendor.asked.clear()
    refused(lambda: mailer.finish_sign_in("anna", back(begun), session="browser-1"), vendor, store)


def test_a_state_is_good_once_though_the_vendor_refused(
    mailer: Mailer, begun: Begun, vendor: Vendor, store: Store
) -> None:
    vendor.unticked = frozenset({"send"})
    with pytest.raises(Held):
        mailer.finish_sign_in("anna", back(begun), session="browser-1")
    vendor.asked.clear()
    refused(lambda: mailer.finish_sign_in("anna", back(begun), session="browser-1"), vendor, store)


def test_an_expired_state_is_refused(mailer: Mailer, begun: Begun, vendor: Vendor, store: Store) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    store.database.write(lambda connection: connection.execute(update(schema.attempt).values(expires=past)))
    refused(lambda: mailer.finish_sign_in("anna", back(begun), session="browser-1"), vendor, store)


def test_a_sign_in_ends_after_ten_minutes(begun: Begun) -> None:
    assert timedelta(minutes=9) < begun.expires_at - datetime.now(UTC) <= timedelta(minutes=10)


def test_any_process_finishes_it(
    mailer: Mailer, elsewhere: Mailer, begun: Begun, vendor: Vendor, store: Store
) -> None:
    done = elsewhere.finish_sign_in("anna", back(begun, iss="https://vendor.example"), session="browser-1")
    assert isinstance(done, SignedIn)
    started, ended = vendor.attempts
    assert ended == started  # redirect, hint, state and verifier
    assert vendor.queries == [{"state": begun.state, "code": "c0dice", "iss": "https://vendor.example"}]


def test_of_two_that_bring_it_at_the_same_time_one_goes_on(
    mailer: Mailer, elsewhere: Mailer, begun: Begun, vendor: Vendor
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def finish(which: Mailer) -> str:
        try:
            which.finish_sign_in("anna", back(begun), session="browser-1")
        except Held as exc:
            return exc.problem.code
        return "kept"

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(finish, [mailer, elsewhere] * 4))
    assert sorted(outcomes) == ["SIGN-IN-STATE"] * 7 + ["kept"]
    assert vendor.asked["finish"] == 1


def test_states_and_verifiers_are_long_and_never_the_same(mailer: Mailer, vendor: Vendor) -> None:
    begun = [mailer.begin_sign_in("anna", redirect_uri=HERE) for _ in range(5)]
    assert len({each.state for each in begun}) == 5
    assert all(len(each.state) >= 22 for each in begun)  # 128 bits in base64
    assert len({attempt.verifier.reveal() for attempt in vendor.attempts}) == 5


def test_neither_state_nor_verifier_is_in_the_database(mailer: Mailer, vendor: Vendor, url: str) -> None:
    begun = mailer.begin_sign_in("anna", redirect_uri=HERE, session="browser-1")
    mailer.close()
    from pathlib import Path

    path = Path(url.removeprefix("sqlite:///"))
    kept = b"".join(each.read_bytes() for each in path.parent.glob(path.name + "*"))
    assert b"paper" in kept
    for hidden in (begun.state, vendor.attempts[0].verifier.reveal(), "browser-1"):
        assert hidden.encode() not in kept
