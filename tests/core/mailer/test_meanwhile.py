"""What happens to a profile while a send waits for its permit holds for that send."""

import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from recapito import (
    Attachment,
    Held,
    InvalidMessage,
    Limits,
    Mailer,
    Message,
    NotSent,
    Outcome,
    Problem,
    Profile,
    Rate,
    Receipt,
    Store,
    hookimpl,
)
from recapito.message import AnyMessage
from recapito.secret import Secret
from recapito.testing import MemoryTransport, memory_info

ONE = Limits(concurrency=1)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("RECAPITO_HOME", str(tmp_path))
    monkeypatch.delenv("RECAPITO_KEYS", raising=False)
    with Store.create(f"sqlite:///{tmp_path / 'recapito.db'}") as made:
        save(made)
        yield made


def save(store: Store, password: str = "giusta", **rest: Any) -> None:
    given: dict[str, Any] = {"sender": "anna@example.it", "transport": "memory", "limits": ONE} | rest
    secrets = {"password": Secret(password)}
    store.save(Profile.of("anna", **given), secrets, by="test", action="edited", fields=())


@pytest.fixture
def mailer(store: Store, memory: MemoryTransport) -> Iterator[Mailer]:
    with Mailer(store, transports=[memory_info(memory)]) as made:
        yield made


@contextmanager
def queued(mailer: Mailer, memory: MemoryTransport, message: AnyMessage) -> Iterator[Callable[[], Receipt]]:
    """Inside it ``message`` waits behind another one; what it yields lets it go, and gives what became of it."""
    pause = threading.Event()
    with ThreadPoolExecutor() as threads, memory.hold():
        first = threads.submit(mailer.send, "anna", Message(to=["c@example.com"], text="first"))
        while not memory.waiting:
            pause.wait(0.002)
        second = threads.submit(mailer.send, "anna", message, check=False)
        engine: Any = mailer._mailer._engine
        while not any(mailbox.queue for mailbox in engine.permits._mailboxes.values()):
            pause.wait(0.002)

        def go() -> Receipt:
            memory._held = False
            first.result(10)
            return second.result(10)

        yield go


def test_ten_sends_with_a_wrong_password_try_it_once(store: Store, message: Message) -> None:
    class Counting(MemoryTransport):
        tries = 0

        async def open(self, profile: Any, context: Any) -> Any:
            self.tries += 1
            return await super().open(profile, context)

    save(store, "sbagliata")
    memory = Counting(passwords={"anna@example.it": "giusta"})
    with Mailer(store, transports=[memory_info(memory)]) as mailer, ThreadPoolExecutor(10) as threads:
        sends = [threads.submit(mailer.send, "anna", message, check=False) for _ in range(10)]
        outcomes = {send.result().outcome for send in sends}
    assert outcomes == {Outcome.HELD}
    assert memory.tries == 1


def test_a_pause_holds_for_those_that_wait(
    mailer: Mailer, store: Store, memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    with queued(mailer, memory, message) as go:
        store.pause(anna.key, Problem("PROFILE-PAUSED", Outcome.HELD), by="admin")
        assert go().outcome is Outcome.HELD
    assert len(memory.sent) == 1


def mail(kind: str, *, complete: bool = False) -> AnyMessage:
    if kind == "message":
        return Message(to=["cliente@example.com"], subject="Fattura 12", text="In allegato.")
    fields = {"From": "anna@example.it", "To": "cliente@example.com", "Subject": "Fattura 12"}
    if complete:
        fields |= {"Message-ID": "<mine@example.it>", "Date": "Tue, 03 Mar 2026 10:00:00 +0100"}
    if kind == "standard":
        made = EmailMessage()
        for name, value in fields.items():
            made[name] = value
        made.set_content("In allegato.")
        return made
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{head}\r\nIn allegato.\r\n".encode()


@pytest.mark.parametrize(
    ("kind", "complete"),
    [("message", False), ("standard", False), ("standard", True), ("bytes", False), ("bytes", True)],
)
def test_an_edited_sender_writes_the_same_message_anew(
    mailer: Mailer, store: Store, memory: MemoryTransport, kind: str, complete: bool
) -> None:
    with queued(mailer, memory, mail(kind, complete=complete)) as go:
        engine: Any = mailer._mailer._engine
        (sending,) = (each for each in engine.sends if not each.begun)
        assert sending.rendered is not None
        before = dict(sending.rendered.content.headers)
        aliases = ("anna@example.it",)
        save(store, sender="anna.rossi@example.it", aliases=aliases, settings={"account": "anna@example.it"})
        receipt = go()
    assert receipt.outcome is Outcome.ACCEPTED, receipt.problem
    assert receipt.message_id == before["Message-ID"]
    sent = message_from_bytes(memory.sent[-1].content, policy=policy.default)
    assert sent.get_all("Message-ID") == [before["Message-ID"]]
    assert sent.get_all("Date") == [before["Date"]]
    assert sent["From"] == ("anna.rossi@example.it" if kind == "message" else "anna@example.it")
    assert sent["Subject"] == "Fattura 12"
    assert not complete or sent["Message-ID"] == "<mine@example.it>"


def test_a_stream_that_was_read_is_not_sent_half(
    mailer: Mailer, store: Store, memory: MemoryTransport
) -> None:
    stream = Attachment(io.BytesIO(b"fattura"), filename="fattura.pdf", content_type="application/pdf")
    with queued(mailer, memory, Message(to=["c@example.com"], text="t", attachments=[stream])) as go:
        save(store, sender_name="Anna Rossi")
        receipt = go()
    assert receipt.problem is not None
    assert receipt.problem.code == "PROFILE-MEANWHILE"
    assert len(memory.sent) == 1


def test_a_sender_that_is_no_longer_allowed_is_refused(
    mailer: Mailer, store: Store, memory: MemoryTransport
) -> None:
    save(store, aliases=("info@example.it",))
    with queued(mailer, memory, Message(to=["c@example.com"], text="t", sender="info@example.it")) as go:
        save(store)
        with pytest.raises(InvalidMessage):
            go()
    assert len(memory.sent) == 1


def test_another_mailbox_has_its_own_permits(
    mailer: Mailer, store: Store, memory: MemoryTransport, message: Message
) -> None:
    """The permit of the old one is given back uncounted, and the new one's limits are kept."""
    narrow = Limits(concurrency=1, rates=(Rate(1, 3600),))
    with queued(mailer, memory, message) as go:
        save(store, sender="ufficio@example.it", limits=narrow)
        assert go().outcome is Outcome.ACCEPTED
    assert memory.sent[-1].envelope.sender == "ufficio@example.it"
    with pytest.raises(NotSent):
        mailer.send("anna", message)


def test_a_pause_while_a_hook_was_slow_holds(
    store: Store, memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    class Slow:
        @hookimpl
        def recapito_prepare_message(self) -> None:
            threading.Event().wait(0.1)
            store.pause(anna.key, Problem("PROFILE-PAUSED", Outcome.HELD), by="admin")

    with Mailer(store, hooks=[Slow()], transports=[memory_info(memory)]) as mailer, pytest.raises(Held):
        mailer.send("anna", message)
    assert memory.sent == []


@pytest.mark.parametrize("closed", [True, False])
def test_mailers_without_a_store_share_the_limits_of_their_process(
    memory: MemoryTransport, anna: Profile, message: Message, closed: bool
) -> None:
    narrow = anna.with_(limits=Limits(rates=(Rate(2, 3600),)))
    info = memory_info(memory)
    first, second = (Mailer({"anna": narrow}, transports=[info]) for _ in range(2))
    with first, second:
        first.send("anna", message)
        if closed:
            first.close()
        second.send("anna", message)
        with pytest.raises(NotSent):
            second.send("anna", message)
    assert len(memory.sent) == 2
