"""With a store: states are remembered, edits take effect at the next send, sends are journalled."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recapito import (
    AsyncMailer,
    Held,
    Limits,
    Mailer,
    Message,
    Misconfigured,
    NotFound,
    NotSent,
    Outcome,
    Problem,
    Profile,
    ProfileKey,
    Secrets,
    Store,
    UnknownOutcome,
    hookimpl,
)
from recapito.ledger.journal import Journal
from recapito.problem import Scope, Who
from recapito.resolver import NOTHING
from recapito.secret import Secret
from recapito.testing import MemoryTransport, memory_info

WRONG = Held(Problem("AUTH-FAILED", Outcome.HELD, Who.OPERATOR, Scope.PROFILE))


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("RECAPITO_HOME", str(tmp_path))
    monkeypatch.delenv("RECAPITO_DATABASE", raising=False)
    monkeypatch.delenv("RECAPITO_KEYS", raising=False)
    return f"sqlite:///{tmp_path / 'recapito.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.create(url) as made:
        for operator in ("anna", "bruno"):
            save(made, operator, "giusta")
        yield made


@pytest.fixture
def elsewhere(store: Store, url: str) -> Iterator[Store]:
    """The same store, as another process has it open."""
    with Store.open(url) as opened:
        yield opened


@pytest.fixture
def memory() -> MemoryTransport:
    return MemoryTransport(passwords={"anna@example.it": "giusta", "bruno@example.it": "giusta"})


@pytest.fixture
def mailer(store: Store, memory: MemoryTransport) -> Iterator[Mailer]:
    with Mailer(store, transports=[memory_info(memory)]) as made:
        yield made


def server_wants(memory: MemoryTransport, password: str) -> None:
    """Anna's password at the server is this one now."""
    memory.passwords = Secrets({"anna@example.it": password, "bruno@example.it": "giusta"})


def save(store: Store, operator: str, password: str, **rest: Any) -> None:
    given = {"sender": f"{operator}@example.it", "transport": "memory"} | rest
    profile = Profile.of(operator, **given)
    store.save(profile, {"password": Secret(password)}, by="test", action="edited", fields=())


def test_a_saved_profile_sends_and_is_journalled(
    mailer: Mailer, store: Store, memory: MemoryTransport, message: Message
) -> None:
    receipt = mailer.send("anna", message, reference="invoice:12")
    mailer.close()
    (row,) = Journal(store).recent(reference="invoice:12")
    assert (row.outcome, row.message_id, row.addresses) == (
        Outcome.ACCEPTED,
        receipt.message_id,
        ("cliente@example.com",),
    )
    assert row.server_reply == receipt.server_reply


def test_the_intent_is_committed_before_any_content_leaves(
    mailer: Mailer, store: Store, memory: MemoryTransport, message: Message
) -> None:
    seen: list[Any] = []

    def look(_envelope: object) -> None:
        seen.extend(Journal(store).recent(reference="r"))

    memory.fail_with = look
    mailer.send("anna", message, reference="r")
    assert [row.outcome for row in seen] == [None]


@pytest.mark.anyio
async def test_nothing_is_sent_while_the_intent_is_not_committed(
    store: Store, elsewhere: Store, memory: MemoryTransport, message: Message
) -> None:
    async with AsyncMailer(store, transports=[memory_info(memory)]) as mailer:
        await mailer.send("anna", message)
        with elsewhere.database.dedicate() as connection:
            connection.execute("begin immediate")  # whoever writes now waits
            sending = asyncio.create_task(mailer.send("anna", message))
            for _ in range(20):
                await asyncio.sleep(0.005)
                assert len(memory.sent) == 1
            connection.execute("rollback")
        await sending
    assert len(memory.sent) == 2


def test_nothing_is_sent_where_the_journal_cannot_be_written(
    mailer: Mailer, store: Store, memory: MemoryTransport, message: Message
) -> None:
    mailer.send("anna", message)
    store.database.write(lambda connection: connection.exec_driver_sql("drop table recapito_journal"))
    with pytest.raises(Misconfigured):
        mailer.send("anna", message)
    assert len(memory.sent) == 1


@pytest.mark.anyio
async def test_a_locked_file_holds_up_neither_the_loop_nor_a_timeout(
    url: str, store: Store, memory: MemoryTransport, message: Message
) -> None:
    store.close()
    with Store.open(f"{url}?timeout=3") as opened:
        opened.close()
        async with AsyncMailer(opened, transports=[memory_info(memory)]) as mailer:
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
                other.execute("pragma locking_mode=exclusive")
                other.execute("begin exclusive")
                receipt = await mailer.send("anna", message, timeout=0.2, check=False)
            assert receipt.problem is not None
            assert receipt.problem.code == "SEND-TIMEOUT"
            await mailer.send("anna", message)


@pytest.mark.anyio
async def test_a_cancelled_send_leaves_unknown_in_the_journal(
    store: Store, memory: MemoryTransport, message: Message
) -> None:
    async with AsyncMailer(store, transports=[memory_info(memory)]) as mailer:
        with memory.hold():
            sending = asyncio.create_task(mailer.send("anna", message, reference="r"))
            while not memory.waiting:  # noqa: ASYNC110 - it counts, it signals nothing
                await asyncio.sleep(0.001)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
    assert [row.outcome for row in Journal(store).recent(reference="r")] == [Outcome.UNKNOWN]


@pytest.mark.anyio
@pytest.mark.parametrize(("place", "outcome"), [("open", Outcome.NOT_SENT), ("deliver", Outcome.UNKNOWN)])
async def test_a_cancelled_transport_that_says_nothing_leaves_what_can_be_said(
    place: str, outcome: Outcome, store: Store, told_session: Any, message: Message
) -> None:
    reached = asyncio.Event()

    class Silent(told_session):  # type: ignore[misc]
        async def deliver(self, envelope: object, content: object, *, deadline: float) -> Any:
            reached.set()
            await asyncio.sleep(3600)

    class Transport(MemoryTransport):
        async def open(self, profile: object, context: object) -> Any:
            if place == "open":
                reached.set()
                await asyncio.sleep(3600)
            return Silent()

    async with AsyncMailer(store, transports=[memory_info(Transport())]) as mailer:
        sending = asyncio.create_task(mailer.send("anna", message, reference="r"))
        await reached.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert [row.outcome for row in Journal(store).recent(reference="r")] == [outcome]


def test_an_unknown_outcome_is_journalled_as_such(
    mailer: Mailer, store: Store, memory: MemoryTransport, message: Message
) -> None:
    memory.lose = "after"
    with pytest.raises(UnknownOutcome):
        mailer.send("anna", message, reference="r")
    mailer.close()
    assert [row.outcome for row in Journal(store).recent(reference="r")] == [Outcome.UNKNOWN]


def test_an_edit_in_another_process_takes_effect_at_the_next_send(
    mailer: Mailer, elsewhere: Store, memory: MemoryTransport, message: Message
) -> None:
    mailer.send("anna", message)
    save(elsewhere, "anna", "giusta", sender="a.verdi@example.it", settings={"account": "anna@example.it"})
    mailer.send("anna", message)
    assert [row.envelope.sender for row in memory.sent] == ["anna@example.it", "a.verdi@example.it"]
    assert [session.usable for session in memory.sessions] == [False, True]


def test_a_profile_is_read_once_while_nothing_changes(
    store: Store, url: str, memory: MemoryTransport, message: Message
) -> None:
    class Counting(Store):
        reads = 0

        def get(self, key: ProfileKey) -> Any:
            Counting.reads += 1
            return super().get(key)

    with Counting.open(url) as counting, Mailer(counting, transports=[memory_info(memory)]) as mailer:
        for _ in range(3):
            mailer.send("anna", message)
        assert Counting.reads == 1
        save(store, "bruno", "altra")
        mailer.send("anna", message)
        assert Counting.reads == 2


def test_a_profile_removed_elsewhere_is_not_found_at_the_next_send(
    mailer: Mailer, elsewhere: Store, message: Message
) -> None:
    mailer.send("anna", message)
    elsewhere.remove(ProfileKey("", "anna"), by="test")
    with pytest.raises(NotFound):
        mailer.send("anna", message)


def test_a_refused_sign_in_pauses_the_profile_and_is_not_tried_again(
    mailer: Mailer, store: Store, memory: MemoryTransport, message: Message
) -> None:
    server_wants(memory, "cambiata")
    for _ in range(3):
        with pytest.raises(Held) as caught:
            mailer.send("anna", message)
        assert caught.value.problem.code == "AUTH-FAILED"
        assert caught.value.receipt.outcome is Outcome.HELD
    state = store.state(ProfileKey("", "anna"))
    assert state.paused
    assert state.problem is not None
    assert state.problem.code == "AUTH-FAILED"
    assert len([row for row in store.audit(operator="anna") if row.action == "paused"]) == 1
    server_wants(memory, "giusta")
    with pytest.raises(Held):
        mailer.send("anna", message)
    mailer.send("bruno", message)


def test_a_pause_stops_every_profile_that_would_fail_in_the_same_way_and_no_other(
    mailer: Mailer, store: Store, memory: MemoryTransport, message: Message
) -> None:
    save(store, "carla", "giusta", sender="anna@example.it")
    save(store, "dario", "giusta", sender="anna@example.it", transport="another")
    save(store, "elena", "un'altra", sender="anna@example.it")
    save(store, "fabio", "giusta", sender="anna@example.it", company="other")
    save(store, "gina", "giusta", sender="anna@example.it", settings={"account": "anna@example.it"})
    server_wants(memory, "cambiata")
    with pytest.raises(Held):
        mailer.send("anna", message)
    assert store.state(ProfileKey("", "carla")).paused
    assert not store.state(ProfileKey("", "dario")).paused, "it signs in another way"
    assert not store.state(ProfileKey("", "elena")).paused, "it has another password"
    assert not store.state(ProfileKey("other", "fabio")).paused, "it is another company's"
    assert not store.state(ProfileKey("", "gina")).paused, "it has other settings"
    assert not store.state(ProfileKey("", "bruno")).paused


def test_a_profile_edited_while_its_old_password_failed_is_not_paused(
    mailer: Mailer, store: Store, elsewhere: Store, memory: MemoryTransport, message: Message
) -> None:
    def fail(_envelope: object) -> Held:
        save(elsewhere, "anna", "nuova")
        return Held(WRONG.problem)

    memory.fail_with = fail
    with pytest.raises(Held):
        mailer.send("anna", message)
    assert not store.state(ProfileKey("", "anna")).paused


def test_a_store_that_fails_after_the_attempt_hides_no_receipt(
    mailer: Mailer, store: Store, memory: MemoryTransport, message: Message, caplog: pytest.LogCaptureFixture
) -> None:
    mailer.send("bruno", message)

    def fail(_envelope: object) -> Held:
        store.database.write(lambda connection: connection.exec_driver_sql("drop table recapito_state"))
        return Held(WRONG.problem)

    memory.fail_with = fail
    with pytest.raises(Held) as caught:
        mailer.send("anna", message)
    assert caught.value.receipt.outcome is Outcome.HELD
    assert "could not be kept" in caplog.text


def test_a_partly_accepted_message_pauses_too_where_the_sender_was_refused(
    mailer: Mailer, store: Store, memory: MemoryTransport
) -> None:
    memory.fail_with = {"b@example.com": Problem("SENDER-ARUBA", Outcome.HELD, scope=Scope.PROFILE)}
    assert mailer.send("anna", Message(to=["a@example.com", "b@example.com"], text="x")).partial
    assert store.state(ProfileKey("", "anna")).paused


def test_pauses_and_changes_are_told_to_the_hooks(
    store: Store, memory: MemoryTransport, message: Message
) -> None:
    class Host:
        told: list[str] = []  # noqa: RUF012 - one host, one test

        @hookimpl
        def recapito_record_change(self, profile: Profile, change: Any) -> None:
            self.told.append(f"{profile.key} {change.action} by {change.by}")

        @hookimpl
        def recapito_request_attention(self, subject: Any, problem: Problem) -> None:
            self.told.append(f"{subject.name} {problem.code}")

    server_wants(memory, "cambiata")
    with Mailer(store, hooks=[Host()], transports=[memory_info(memory)]) as mailer:
        for _ in range(2):
            mailer.send("anna", message, check=False)
        server_wants(memory, "giusta")
        list(mailer.check("anna"))
    assert Host.told == ["anna paused by recapito", "anna AUTH-FAILED", "anna resumed by recapito"]


def test_a_passed_check_lets_a_paused_profile_run_again(
    mailer: Mailer, memory: MemoryTransport, message: Message
) -> None:
    server_wants(memory, "cambiata")
    with pytest.raises(Held):
        mailer.send("anna", message)
    assert [step.name for step in mailer.check("anna")] == ["sign-in"]
    with pytest.raises(Held):
        mailer.send("anna", message)
    server_wants(memory, "giusta")
    steps = list(mailer.check("anna"))
    assert not any(step.problem for step in steps)
    mailer.send("anna", message)


def test_a_check_does_not_end_a_persons_pause(
    mailer: Mailer, store: Store, memory: MemoryTransport, message: Message
) -> None:
    store.pause(ProfileKey("", "anna"), Problem("PROFILE-PAUSED", Outcome.HELD), by="capo")
    list(mailer.check("anna"))
    with pytest.raises(Held) as caught:
        mailer.send("anna", message)
    assert caught.value.problem.code == "PROFILE-PAUSED"
    assert memory.sessions == []


def test_a_check_of_unsaved_values_changes_nothing(
    mailer: Mailer, store: Store, memory: MemoryTransport
) -> None:
    from recapito import Found

    store.pause(ProfileKey("", "anna"), WRONG.problem, by="recapito")
    draft = Found(
        Profile.of("anna", sender="anna@example.it", transport="memory"), Secrets({"password": "giusta"})
    )
    assert not any(step.problem for step in mailer.check("anna", draft=draft))
    assert store.state(ProfileKey("", "anna")).paused


def test_profiles_of_one_mailbox_share_its_limit_across_mailers_of_the_store(
    mailer: Mailer, store: Store, memory: MemoryTransport, message: Message
) -> None:
    from recapito import Rate

    save(store, "anna", "giusta", limits=Limits(rates=(Rate(1, 3600),)))
    mailer.send("anna", message)
    with Mailer(store, transports=[memory_info(memory)]) as other:
        assert other.send("anna", message, check=False).outcome is Outcome.NOT_SENT
    assert len(memory.sent) == 1


def test_slow_down_is_kept_for_other_processes(
    mailer: Mailer, store: Store, memory: MemoryTransport, message: Message
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    memory.fail_with = NotSent(
        Problem("SLOW-DOWN", Outcome.NOT_SENT, Who.NOBODY, Scope.PROFILE, retry_at=later)
    )
    mailer.send("anna", message, check=False)
    lowered = store.lowered("anna@example.it")
    assert lowered is not None
    assert lowered[1] == later


def test_slow_down_met_by_another_process_is_obeyed(
    mailer: Mailer, elsewhere: Store, memory: MemoryTransport, message: Message
) -> None:
    mailer.send("anna", message)
    later = datetime.now(UTC) + timedelta(hours=1)
    elsewhere.lower_limit("anna@example.it", later, Limits(rates=(NOTHING,)))
    receipt = mailer.send("anna", message, check=False)
    assert receipt.outcome is Outcome.NOT_SENT
    assert receipt.problem is not None
    assert receipt.problem.code == "LIMIT-WAIT"
    mailer.send("bruno", message)


def test_a_hosts_own_profiles_are_paused_by_key(
    store: Store, memory: MemoryTransport, message: Message
) -> None:
    from recapito import Found

    mine = Profile.of("erp-7", sender="anna@example.it", transport="memory")
    server_wants(memory, "cambiata")
    with Mailer(
        {"erp-7": Found(mine, Secrets({"password": "giusta"}))},
        store=store,
        transports=[memory_info(memory)],
    ) as mailer:
        mailer.send("erp-7", message, check=False)
        server_wants(memory, "giusta")
        with pytest.raises(Held):
            mailer.send("erp-7", message)
    assert store.state(mine.key).paused


def test_a_hosts_key_that_no_journal_can_hold_is_refused(
    store: Store, memory: MemoryTransport, message: Message
) -> None:
    name = "x" * 10_000
    mine = Profile.of(name, sender="anna@example.it", transport="memory")
    with Mailer({name: mine}, store=store, transports=[memory_info(memory)]) as mailer:
        with pytest.raises(Misconfigured) as caught:
            mailer.send(name, message)
        assert caught.value.problem.code == "SETTINGS-INVALID"
        assert memory.sessions == []


def test_open_names_the_variable_where_there_is_no_store(url: str) -> None:
    with pytest.raises(Misconfigured, match="RECAPITO_DATABASE"):
        Mailer.open()


def test_open_uses_the_variable_and_closes_what_it_opened(
    url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECAPITO_DATABASE", url)
    with Mailer.open() as mailer, pytest.raises(NotFound):
        mailer.send("anna", Message(to=["a@example.com"], text="x"), profile="pec")
    Mailer.open().close()
