"""What the contract says of a session's answers is enforced, whatever a plugin returns."""

from collections.abc import AsyncGenerator, Callable
from datetime import datetime

from pydantic import BaseModel

from recapito import Mailer, Message, NotSent, Outcome, Problem, Profile, Receipt, RecipientReceipt, Refused
from recapito.content import Content
from recapito.envelope import Envelope
from recapito.transport import CheckStep, Context, TransportInfo

MESSAGE = Message(to=["a@example.com", "b@example.com"], subject="Fattura", text="In allegato.")
Answer = Callable[[Envelope], Receipt]


class Settings(BaseModel):
    region: str = "eu"
    folder: str | None = None


class Session:
    """A session that answers whatever it is told to."""

    depth = 1
    usable_until: datetime | None = None
    usable = True

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        return self._answer(envelope)

    async def close(self) -> None: ...


class Stub:
    """A transport of such sessions, which remembers the settings that it was given."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.settings: dict[str, object] = {}

    async def open(self, profile: Profile, context: Context) -> Session:
        self.settings = dict(profile.settings)
        return Session(self._answer)

    async def check(
        self, profile: Profile, context: Context, send_to: str | None = None
    ) -> AsyncGenerator[CheckStep, None]:
        yield CheckStep("message", skipped="nothing to try")


def send(stub: Stub, *, sender: str = "anna@example.it") -> Receipt:
    info = TransportInfo("stub", "Stub", Settings, factory=lambda: stub)
    with Mailer({"anna": Profile.of("anna", sender=sender, transport="stub")}, transports=[info]) as mailer:
        return mailer.send("anna", MESSAGE, check=False)


def accepted(*addresses: str) -> Receipt:
    return Receipt(tuple(RecipientReceipt(address, Outcome.ACCEPTED) for address in addresses))


def outcomes(receipt: Receipt) -> dict[str, Outcome]:
    return {row.address: row.outcome for row in receipt.recipients}


def test_a_recipient_of_whom_a_session_says_nothing_is_unknown() -> None:
    receipt = send(Stub(lambda envelope: accepted("a@example.com")))
    assert outcomes(receipt) == {"a@example.com": Outcome.ACCEPTED, "b@example.com": Outcome.UNKNOWN}
    assert receipt.outcome is Outcome.UNKNOWN


def test_rows_are_in_the_order_of_the_envelope_and_of_nobody_else() -> None:
    receipt = send(Stub(lambda envelope: accepted("b@example.com", "stranger@example.com", "a@example.com")))
    assert [row.address for row in receipt.recipients] == ["a@example.com", "b@example.com"]
    assert receipt.outcome is Outcome.ACCEPTED


def test_a_session_that_answers_nothing_leaves_the_outcome_unknown() -> None:
    receipt = send(Stub(lambda envelope: None))  # type: ignore[arg-type, return-value]
    assert receipt.outcome is Outcome.UNKNOWN


def test_a_refusal_keeps_what_was_said_of_each_recipient() -> None:
    def refuse(envelope: Envelope) -> Receipt:
        rows = tuple(
            RecipientReceipt(address, Outcome.REFUSED, f"550 no {address}") for address in envelope.recipients
        )
        raise Refused(Problem("RCPT-UNKNOWN", Outcome.REFUSED), Receipt(rows, provider_id="77"))

    receipt = send(Stub(refuse))
    assert [row.reply for row in receipt.recipients] == ["550 no a@example.com", "550 no b@example.com"]
    assert receipt.provider_id == "77"


def test_the_class_of_an_error_decides_whatever_its_problem_says() -> None:
    def contradict(envelope: Envelope) -> Receipt:
        raise NotSent(Problem("UNCERTAIN", Outcome.UNKNOWN))

    receipt = send(Stub(contradict))
    assert receipt.outcome is Outcome.NOT_SENT
    assert receipt.problem is not None
    assert receipt.problem.outcome is Outcome.NOT_SENT


def test_a_transport_sees_its_settings_with_their_defaults() -> None:
    stub = Stub(lambda envelope: accepted(*envelope.recipients))
    send(stub)
    assert stub.settings == {"region": "eu", "folder": None}


def test_a_transport_without_a_server_has_not_the_limits_of_its_senders_domain() -> None:
    """An API or a file drop is no PEC server, though the sender's address is one of a PEC host."""
    stub = Stub(lambda envelope: accepted(*envelope.recipients))
    info = TransportInfo("stub", "Stub", Settings, factory=lambda: stub)
    profile = Profile.of("anna", sender="anna@pec.it", transport="stub")
    with Mailer({"anna": profile}, transports=[info]) as mailer:
        receipt = mailer.send("anna", MESSAGE.with_(bcc=["c@example.com"]))
    assert receipt.outcome is Outcome.ACCEPTED
