"""What send returns and raises."""

import contextlib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from recapito import (
    AsyncMailer,
    DeliveryError,
    Found,
    Held,
    InvalidMessage,
    Mailer,
    Message,
    Misconfigured,
    NotFound,
    NotSent,
    Operator,
    Outcome,
    Problem,
    Profile,
    ProfileKey,
    Refused,
    Secrets,
    UnknownOutcome,
)
from recapito.errors import delivery_error
from recapito.problem import Scope
from recapito.testing import MemoryTransport, memory_info

READY = b"From: anna@example.it\r\nTo: a@example.com\r\nSubject: pronto\r\n\r\nCiao.\r\n"


def error(code: str, outcome: Outcome, scope: Scope = Scope.MESSAGE) -> DeliveryError:
    return delivery_error(Problem(code, outcome, scope=scope))


@pytest.fixture
def mailer(memory: MemoryTransport, anna: Profile) -> Iterator[Mailer]:
    with Mailer({"anna": anna}, transports=[memory_info(memory)]) as made:
        yield made


def test_a_receipt_says_what_became_of_the_message(mailer: Mailer, message: Message) -> None:
    receipt = mailer.send("anna", message, reference="invoice:12")
    assert receipt.outcome is Outcome.ACCEPTED
    assert receipt.reference == "invoice:12"
    assert receipt.profile == ProfileKey("", "anna")
    assert receipt.transport == "memory"
    assert receipt.message_id.endswith("@example.it>")
    assert receipt.server_reply == "250 2.0.0 Ok: kept as memory-1"
    assert receipt.ended is not None
    assert receipt.seconds > 0


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Outcome.REFUSED, Refused),
        (Outcome.NOT_SENT, NotSent),
        (Outcome.HELD, Held),
        (Outcome.UNKNOWN, UnknownOutcome),
    ],
)
def test_send_raises_the_outcome_unless_somebody_accepted(
    outcome: Outcome, kind: type[DeliveryError], mailer: Mailer, memory: MemoryTransport, message: Message
) -> None:
    memory.fail_with = [error("NET-LOST", outcome), error("NET-LOST", outcome)]
    with pytest.raises(kind) as caught:
        mailer.send("anna", message)
    assert caught.value.receipt.outcome is outcome
    assert caught.value.problem.code == "NET-LOST"
    assert mailer.send("anna", message, check=False).outcome is outcome


def test_a_partly_accepted_message_is_returned(mailer: Mailer, memory: MemoryTransport) -> None:
    memory.fail_with = {"b@example.com": Problem("RCPT-UNKNOWN", Outcome.REFUSED)}
    receipt = mailer.send("anna", Message(to=["a@example.com", "b@example.com"], text="Ciao."))
    assert receipt.partial
    assert receipt.accepted == ("a@example.com",)


def test_recipients_refused_for_different_reasons_raise_with_each_reason(
    mailer: Mailer, memory: MemoryTransport
) -> None:
    memory.fail_with = {
        "a@example.com": Problem("RCPT-UNKNOWN", Outcome.REFUSED),
        "b@example.com": Problem("RCPT-FULL", Outcome.NOT_SENT),
    }
    with pytest.raises(NotSent) as caught:
        mailer.send("anna", Message(to=["a@example.com", "b@example.com"], text="Ciao."))
    assert [row.outcome for row in caught.value.receipt.recipients] == [Outcome.REFUSED, Outcome.NOT_SENT]


@pytest.mark.parametrize("check", [True, False])
def test_bad_input_is_raised_before_anything_is_opened(
    check: bool, mailer: Mailer, memory: MemoryTransport
) -> None:
    with pytest.raises(InvalidMessage):
        mailer.send("anna", Message(to=["not an address"], text="Ciao."), check=check)
    assert memory.sessions == []


@pytest.mark.parametrize(("reference", "code"), [("x" * 256, "MSG-REFERENCE-LONG"), (12, "MSG-TEXT")])
def test_a_reference_that_no_journal_can_hold_is_refused(
    reference: str, code: str, mailer: Mailer, memory: MemoryTransport, message: Message
) -> None:
    with pytest.raises(InvalidMessage) as caught:
        mailer.send("anna", message, reference=reference)
    assert caught.value.problem.code == code
    assert memory.sessions == []
    assert mailer.send("anna", message, reference="x" * 255).reference == "x" * 255


def test_a_sender_that_is_not_the_profiles_is_refused(mailer: Mailer, memory: MemoryTransport) -> None:
    with pytest.raises(InvalidMessage):
        mailer.send("anna", Message(to=["a@example.com"], text="x", sender="capo@example.it"))
    assert memory.sent == []


def test_an_unknown_operator_is_not_found(mailer: Mailer, message: Message) -> None:
    with pytest.raises(NotFound) as caught:
        mailer.send("bruno", message)
    assert caught.value.problem.code == "PROFILE-UNKNOWN"


def test_an_unknown_transport_is_not_found(message: Message) -> None:
    profile = Profile.of("anna", sender="anna@example.it", transport="pigeon")
    with Mailer({"anna": profile}) as mailer, pytest.raises(NotFound) as caught:
        mailer.send("anna", message)
    assert caught.value.problem.code == "TRANSPORT-UNKNOWN"


def test_settings_that_do_not_fit_are_named_all_at_once(memory: MemoryTransport, message: Message) -> None:
    profile = Profile.of(
        "anna", sender="anna@example.it", transport="memory", settings={"port": 25, "account": "a\r\nb"}
    )
    with (
        Mailer({"anna": profile}, transports=[memory_info(memory)]) as mailer,
        pytest.raises(Misconfigured) as caught,
    ):
        mailer.send("anna", message)
    assert set(caught.value.fields) == {"port", "account"}


def test_another_operators_profile_under_ones_id_is_refused(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    with (
        Mailer({"bruno": anna}, transports=[memory_info(memory)]) as mailer,
        pytest.raises(Misconfigured) as caught,
    ):
        mailer.send("bruno", message)
    assert caught.value.problem.code == "PROFILE-OTHER"
    assert memory.sent == []


def test_the_profile_is_the_one_that_the_dict_has_now(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    profiles = {"anna": anna}
    with Mailer(profiles, transports=[memory_info(memory)]) as mailer:
        mailer.send("anna", message)
        profiles["anna"] = anna.with_(sender="a.verdi@example.it")
        mailer.send("anna", message)
    assert [row.envelope.sender for row in memory.sent] == ["anna@example.it", "a.verdi@example.it"]
    assert len(memory.sessions) == 2


def test_keys_operators_names_and_companies_find_their_profile(memory: MemoryTransport) -> None:
    message = Message(to=["a@example.com"], text="Ciao.")
    profiles = {
        ProfileKey(company, "anna", name): Profile.of(
            "anna", company=company, name=name, sender=f"{name}@{company}.example", transport="memory"
        )
        for company in ("acme", "zeta")
        for name in ("default", "pec")
    }
    with Mailer(profiles, transports=[memory_info(memory)]) as mailer:
        mailer.send("anna", message, company="zeta")
        mailer.send(Operator("anna", "acme"), message, profile="pec")
        with pytest.raises(NotFound):
            mailer.send("anna", message)
    assert [row.envelope.sender for row in memory.sent] == ["default@zeta.example", "pec@acme.example"]


def test_a_source_is_asked_at_each_send(memory: MemoryTransport, anna: Profile, message: Message) -> None:
    class Source:
        asked = 0

        def get(self, key: ProfileKey) -> Found | None:
            self.asked += 1
            return Found(anna, Secrets(), "r1") if key == anna.key else None

    source = Source()
    with Mailer(source, transports=[memory_info(memory)]) as mailer:
        mailer.send("anna", message)
        mailer.send("anna", message)
    assert source.asked == 2
    assert len(memory.sessions) == 1


@pytest.mark.parametrize("kind", [bytes, EmailMessage])
def test_a_finished_message_goes_to_whom_it_is_sent(
    kind: type, mailer: Mailer, memory: MemoryTransport
) -> None:
    ready: bytes | EmailMessage = READY
    if kind is EmailMessage:
        ready = EmailMessage()
        ready["From"], ready["To"], ready["Subject"] = "anna@example.it", "a@example.com", "pronto"
        ready.set_content("Ciao.")
    mailer.send("anna", ready, to=["archivio@example.it"])
    mailer.send("anna", ready)
    assert [row.envelope.recipients for row in memory.sent] == [("archivio@example.it",), ("a@example.com",)]
    assert b"Subject: pronto" in memory.sent[0].content


def test_a_message_over_the_profiles_limit_never_leaves(memory: MemoryTransport, anna: Profile) -> None:
    from recapito import Limits

    small = anna.with_(limits=Limits(size=1000))
    with (
        Mailer({"anna": small}, transports=[memory_info(memory)]) as mailer,
        pytest.raises(InvalidMessage) as caught,
    ):
        mailer.send("anna", Message(to=["a@example.com"], text="x" * 2000))
    assert caught.value.problem.code == "MSG-TOO-BIG"
    assert memory.sessions == []


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not list descriptors")
@pytest.mark.parametrize("how", ["accepted", "lost", "no profile", "refused"])
def test_files_are_closed_whatever_became_of_the_message(
    how: str, tmp_path: Path, memory: MemoryTransport, anna: Profile
) -> None:
    path = tmp_path / "fattura.pdf"
    path.write_bytes(b"%PDF-1.7 " * 1000)
    if how == "lost":
        memory.lose = "before"
    if how == "refused":
        memory.fail_with = error("RCPT-UNKNOWN", Outcome.REFUSED)
    message = Message(to=["a@example.com"], text="x", attachments=[path])
    with Mailer({"anna": anna}, transports=[memory_info(memory)]) as mailer:
        try:
            mailer.send("bruno" if how == "no profile" else "anna", message, check=False)
        except NotFound:
            assert how == "no profile"
        assert str(path) not in open_files()


def open_files() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the listing's own is gone by now
            found.add(str(descriptor.readlink()))
    return found


def test_a_mailer_that_was_closed_says_so(memory: MemoryTransport, anna: Profile, message: Message) -> None:
    mailer = Mailer({"anna": anna}, transports=[memory_info(memory)])
    mailer.send("anna", message)
    mailer.close()
    mailer.close()
    with pytest.raises(Misconfigured) as caught:
        mailer.send("anna", message)
    assert caught.value.problem.code == "MAILER-CLOSED"
    assert not memory.sessions[0].usable


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_a_session_that_ignores_the_contract_leaves_the_outcome_unknown(
    error: type[BaseException], anna: Profile, message: Message
) -> None:
    def explode(_envelope: object) -> None:
        raise error("s3cret")

    memory = MemoryTransport(fail_with=explode)
    with Mailer({"anna": anna}, transports=[memory_info(memory)]) as mailer:
        with pytest.raises(UnknownOutcome) as caught:
            mailer.send("anna", message)
        memory.fail_with = None
        mailer.send("anna", message)
    assert caught.value.problem.code == "TRANSPORT-CRASHED"
    assert isinstance(caught.value.__cause__, error)
    assert "s3cret" not in str(caught.value)


@pytest.mark.anyio
async def test_the_async_mailer_returns_and_raises_the_same(
    memory: MemoryTransport, anna: Profile, message: Message
) -> None:
    async with AsyncMailer({"anna": anna}, transports=[memory_info(memory)]) as mailer:
        assert (await mailer.send("anna", message)).accepted == ("cliente@example.com",)
        memory.fail_with = error("NET-LOST", Outcome.NOT_SENT)
        with pytest.raises(NotSent):
            await mailer.send("anna", message)
        assert (await mailer.send("anna", message, check=False)).outcome is Outcome.NOT_SENT
