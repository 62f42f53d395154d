"""For each check there is a transport that is broken in that one way, and the check catches it."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from recapito.content import Content
from recapito.envelope import Envelope
from recapito.errors import DeliveryError, Held, NotSent, Refused, UnknownOutcome
from recapito.outcome import Outcome
from recapito.problem import Problem, Scope, Who
from recapito.profile import Found, Profile
from recapito.receipt import Receipt
from recapito.testing import MemoryBench, MemoryTransport, ProbingMemoryTransport, TransportConformance
from recapito.testing.conformance import check_names
from recapito.testing.memory_session import MemorySession
from recapito.testing.stored import Ending
from recapito.transport import Capabilities, CheckStep, Context, Probed, Sought

ACCEPTED = "test_accepted_message_arrives_as_it_is"


class Altered:
    """Content whose chunks were tampered with."""

    def __init__(self, content: Content, alter: Callable[[bytes], bytes]) -> None:
        self._content = content
        self._alter = alter
        self.message_id = content.message_id
        self.headers = content.headers
        self.is_7bit = content.is_7bit
        self.size = content.size

    async def chunks(self) -> AsyncIterator[bytes]:
        data = bytearray()
        try:
            async for chunk in self._content.chunks():
                data += chunk
        except NotSent:
            data += b"(the rest is missing)"
        altered = self._alter(bytes(data))
        self.size = len(altered)
        yield altered


class Wrapped:
    """A session that does everything as the good one, until a subclass says otherwise."""

    def __init__(self, inner: MemorySession, transport: "Broken", context: Context) -> None:
        self.inner = inner
        self.transport = transport
        self.context = context

    @property
    def depth(self) -> int:
        return self.inner.depth

    @property
    def usable_until(self) -> datetime | None:
        return None

    @property
    def usable(self) -> bool:
        return self.inner.usable

    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        return await self.inner.deliver(envelope, content, deadline=deadline)

    async def close(self) -> None:
        await self.inner.close()


class Broken(MemoryTransport):
    session: type[Wrapped] = Wrapped

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.tried: list[str] = []

    async def open(self, profile: Profile, context: Context) -> Any:
        return self.session(await super().open(profile, context), self, context)


def with_session(session: type[Wrapped], **options: Any) -> Callable[[], MemoryBench]:
    def make() -> MemoryBench:
        transport = Broken(**options)
        transport.session = session
        return MemoryBench(transport)

    return make


def claiming(
    transport: Callable[[], MemoryTransport] = MemoryTransport, **claims: Any
) -> Callable[[], MemoryBench]:
    """A transport that knows nothing of what is claimed in its name."""

    def make() -> MemoryBench:
        bench = MemoryBench(transport())
        bench.info = replace(bench.info, capabilities=replace(bench.info.capabilities, **claims))
        return bench

    return make


def renamed(error: DeliveryError, kind: type[DeliveryError]) -> DeliveryError:
    return kind(error.problem.with_(outcome=kind.outcome))


def mistaking(right: type[DeliveryError], wrong: type[DeliveryError]) -> type[Wrapped]:
    class Mistaken(Wrapped):
        async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
            try:
                return await super().deliver(envelope, content, deadline=deadline)
            except right as exc:
                raise renamed(exc, wrong) from exc

    return Mistaken


class RemovesDots(Wrapped):
    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        altered = Altered(content, lambda data: data.replace(b"\r\n..", b"\r\n."))
        return await super().deliver(envelope, altered, deadline=deadline)  # type: ignore[arg-type]


class SpentByOne(Wrapped):
    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        receipt = await super().deliver(envelope, content, deadline=deadline)
        await self.close()
        return receipt


class WritesBcc(Wrapped):
    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        named = str(content.headers)
        hidden = [address for address in envelope.recipients if address not in named]
        if hidden:
            content = content.with_header("Bcc", ", ".join(hidden))
        return await super().deliver(envelope, content, deadline=deadline)


class GoesOnReading(Wrapped):
    """Begins a retry where the first try had come to."""

    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        first = content.message_id not in self.transport.tried
        self.transport.tried.append(content.message_id)
        altered = Altered(content, lambda data: data if first else data[4096:])
        return await super().deliver(envelope, altered, deadline=deadline)  # type: ignore[arg-type]


class CompletesChanged(Wrapped):
    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        altered = Altered(content, lambda data: data)
        return await super().deliver(envelope, altered, deadline=deadline)  # type: ignore[arg-type]


class OneStopsAll(Wrapped):
    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        failure = self.transport.failure(envelope)
        if isinstance(failure, dict):
            raise Refused(next(iter(failure.values())))
        return await super().deliver(envelope, content, deadline=deadline)


class ReturnsRefusals(Wrapped):
    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        try:
            return await super().deliver(envelope, content, deadline=deadline)
        except Refused as exc:
            return Receipt.for_all(envelope.recipients, Outcome.REFUSED, problem=exc.problem)


class NoLimits(Broken):
    def limits(self) -> tuple[int | None, bool]:
        return None, True


class SignInMayPass(Broken):
    async def open(self, profile: Profile, context: Context) -> Any:
        try:
            return await super().open(profile, context)
        except Held as exc:
            raise renamed(exc, NotSent) from exc


class ForgetsWhen(Wrapped):
    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        try:
            return await super().deliver(envelope, content, deadline=deadline)
        except NotSent as exc:
            raise NotSent(exc.problem.with_(retry_at=None)) from exc


class AlwaysUsable(Wrapped):
    @property
    def usable(self) -> bool:
        return True


class LetsCancellationOut(Wrapped):
    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        task = asyncio.current_task()
        try:
            return await super().deliver(envelope, content, deadline=deadline)
        except DeliveryError:
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from None
            raise


class TriesAgain(Wrapped):
    """Takes every line that fails for one that had died, and the message to another."""

    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        try:
            return await super().deliver(envelope, content, deadline=deadline)
        except NotSent:
            fresh = await MemoryTransport.open(self.transport, self.inner.profile, self.context)
            return await fresh.deliver(envelope, content, deadline=deadline)


class AnswersForDead(Wrapped):
    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        try:
            return await super().deliver(envelope, content, deadline=deadline)
        except NotSent as exc:
            raise NotSent(exc.problem.with_(reply="421 4.4.2 Idle too long")) from exc


class BlamesOneMessage(Wrapped):
    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        try:
            return await super().deliver(envelope, content, deadline=deadline)
        except NotSent as exc:
            raise NotSent(exc.problem.with_(scope=Scope.MESSAGE)) from exc


class NowhereInTime(Wrapped):
    @property
    def usable_until(self) -> datetime | None:
        return datetime.now()


class IgnoresDeadline(Wrapped):
    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        return await super().deliver(envelope, content, deadline=deadline + 3600)


class DoubtsIdle(Wrapped):
    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        dropped = self.inner.dropped
        try:
            return await super().deliver(envelope, content, deadline=deadline)
        except NotSent as exc:
            raise renamed(exc, UnknownOutcome if dropped else NotSent) from exc


class SharesFirst(Broken):
    """Keeps the first session for everybody."""

    first: Any = None

    async def open(self, profile: Profile, context: Context) -> Any:
        self.first = self.first or await super().open(profile, context)
        return self.first


class Infectious(Wrapped):
    """One message's refusal becomes that of all that follow on the session."""

    refusal: Refused | None = None

    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        if self.refusal is not None:
            raise self.refusal
        try:
            return await super().deliver(envelope, content, deadline=deadline)
        except Refused as exc:
            self.refusal = exc
            raise


class SendsToHeaders(Wrapped):
    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        named = ", ".join(value for name, value in content.headers if name == "To")
        wanted = Envelope(envelope.sender, tuple(address.strip() for address in named.split(",")))
        await super().deliver(wanted, content, deadline=deadline)
        return Receipt.for_all(envelope.recipients, Outcome.ACCEPTED, reply="250 Ok")


class DropsNotices(Wrapped):
    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        return await super().deliver(replace(envelope, notify=frozenset()), content, deadline=deadline)


class Credulous(ProbingMemoryTransport):
    async def probe(self, profile: Profile, context: Context, sought: Sought) -> Probed:
        return Probed(True)


class Stalled(MemoryBench):
    """Its far side reads nothing, and the transport reads everything all the same."""

    def stall(self) -> AbstractContextManager[None]:
        return nullcontext()


class NoSentFolder(MemoryBench):
    def sent_copies(self) -> int:
        return 0


class AlwaysSends(MemoryTransport):
    async def check(
        self, profile: Profile, context: Context, send_to: str | None = None
    ) -> AsyncGenerator[CheckStep, None]:
        async for step in super().check(profile, context, send_to or "cliente@example.com"):
            yield step


class NeverSends(MemoryTransport):
    async def check(
        self, profile: Profile, context: Context, send_to: str | None = None
    ) -> AsyncGenerator[CheckStep, None]:
        async for step in super().check(profile, context):
            yield step


class GoesOn(MemoryTransport):
    async def check(
        self, profile: Profile, context: Context, send_to: str | None = None
    ) -> AsyncGenerator[CheckStep, None]:
        async for step in super().check(profile, context, send_to):
            yield step
            if step.problem:
                yield CheckStep("sender")


class Backwards(MemoryTransport):
    async def check(
        self, profile: Profile, context: Context, send_to: str | None = None
    ) -> AsyncGenerator[CheckStep, None]:
        steps = [step async for step in super().check(profile, context, send_to)]
        for step in reversed(steps):
            yield step


class NeverClosed(Wrapped):
    async def close(self) -> None:
        """Leaves the line as it is."""


class Shrinking(MemoryBench):
    def __init__(self, transport: MemoryTransport) -> None:
        super().__init__(transport)
        self.info = replace(self.info, hard_timeout=lambda size: 600 - size / 100_000)


class SecretInSettings(MemoryBench):
    def found(self, number: int = 1) -> Found:
        found = super().found(number)
        settings = {"password": found.secrets["password"].reveal()}
        return Found(found.profile.with_(settings=settings), found.secrets, found.revision)


class LogsPlainly(Wrapped):
    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        import logging

        said = base64.b64encode(b"\0anna\0" + self.context.secrets["password"].reveal().encode()).decode()
        logging.getLogger("some.library").debug(">> %s", f"AUTH PLAIN {said}")
        return await super().deliver(envelope, content, deadline=deadline)


class KeepsPassword(Wrapped):
    def __init__(self, inner: MemorySession, transport: Broken, context: Context) -> None:
        super().__init__(inner, transport, context)
        self.password = context.secrets["password"].reveal()


class HoldsALocal(Wrapped):
    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        password = self.context.secrets["password"].reveal()
        receipt = await super().deliver(envelope, content, deadline=deadline)
        assert password
        return receipt


class TellsInProblem(Wrapped):
    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        try:
            return await super().deliver(envelope, content, deadline=deadline)
        except DeliveryError as exc:
            from urllib.parse import quote

            url = "https://example.it/?p=" + quote(self.context.secrets["password"].reveal())
            problem = Problem("X", Outcome.NOT_SENT, Who.NOBODY, Scope.MESSAGE, {"url": url})
            raise NotSent(problem) from exc


def idle(ending: Ending) -> tuple[str, Callable[[], MemoryBench]]:
    word = {"close": "closed", "reset": "reset", "silence": "silently_dropped"}[ending]
    return f"test_idle_line_{word}_is_not_unknown", with_session(DoubtsIdle)


#: Check, and what makes the bench of a transport that it must catch.
BROKEN: list[tuple[str, Callable[[], MemoryBench]]] = [
    (ACCEPTED, with_session(RemovesDots)),
    ("test_one_session_carries_many_messages", with_session(SpentByOne)),
    ("test_bcc_is_not_in_the_content", with_session(WritesBcc)),
    ("test_retried_content_is_identical", with_session(GoesOnReading)),
    ("test_changed_file_is_not_sent", with_session(CompletesChanged)),
    ("test_refused_sender_is_told", with_session(mistaking(Refused, NotSent))),
    ("test_refused_recipient_does_not_stop_the_others", with_session(OneStopsAll)),
    ("test_no_recipient_left_is_refused", with_session(ReturnsRefusals)),
    ("test_too_big_is_refused", lambda: MemoryBench(NoLimits())),
    ("test_temporary_answer_is_not_sent", with_session(mistaking(NotSent, Refused))),
    ("test_lost_sign_in_is_held", lambda: MemoryBench(SignInMayPass())),
    ("test_throttled_says_when_to_try_again", with_session(ForgetsWhen)),
    ("test_line_lost_before_the_content_is_not_sent", with_session(mistaking(NotSent, UnknownOutcome))),
    ("test_line_lost_before_the_content_is_not_sent", with_session(AlwaysUsable)),
    ("test_line_lost_after_the_content_is_unknown", with_session(mistaking(UnknownOutcome, NotSent))),
    ("test_throttled_says_when_to_try_again", with_session(BlamesOneMessage)),
    ("test_cancelled_send_spends_its_session", with_session(AlwaysUsable)),
    ("test_cancelled_send_spends_its_session", with_session(LetsCancellationOut)),
    ("test_cancelled_send_spends_its_session", with_session(mistaking(UnknownOutcome, NotSent))),
    ("test_cancelled_before_the_content_is_not_sent", with_session(LetsCancellationOut)),
    ("test_cancelled_before_the_content_is_not_sent", with_session(mistaking(NotSent, UnknownOutcome))),
    ("test_cancelled_on_a_used_session_is_not_sent", with_session(TriesAgain)),
    ("test_idle_line_closed_is_not_unknown", with_session(AnswersForDead)),
    ("test_deadline_ends_a_send", with_session(IgnoresDeadline)),
    ("test_deadline_ends_a_send", with_session(mistaking(UnknownOutcome, NotSent))),
    idle("close"),
    idle("reset"),
    idle("silence"),
    ("test_two_operators_never_mix", lambda: MemoryBench(SharesFirst(depth=4))),
    ("test_each_send_is_settled_alone", with_session(Infectious)),
    ("test_nothing_secret_is_shown", with_session(LogsPlainly)),
    ("test_nothing_secret_is_shown", with_session(KeepsPassword)),
    ("test_nothing_secret_is_shown", with_session(HoldsALocal)),
    ("test_nothing_secret_is_shown", with_session(TellsInProblem)),
    ("test_claimed_maximum_size_is_kept", claiming(maximum_size=20_000)),
    ("test_claimed_maximum_recipients_is_kept", claiming(maximum_recipients=5)),
    ("test_envelope_decides_only_where_claimed", with_session(SendsToHeaders)),
    ("test_envelope_decides_only_where_claimed", claiming(own_envelope=False)),
    ("test_delivery_notices_are_asked_for_or_refused", with_session(DropsNotices)),
    ("test_delivery_notices_are_asked_for_or_refused", claiming(delivery_notices=False)),
    ("test_claimed_streaming_waits_for_the_server", lambda: streaming(Stalled)),
    ("test_claimed_probing_finds_what_was_sent", lambda: MemoryBench(Credulous())),
    ("test_claimed_probing_finds_what_was_sent", claiming(ProbingMemoryTransport, probes=False)),
    ("test_claimed_probing_finds_what_was_sent", claiming(probes=True)),
    ("test_claimed_sent_copy_is_kept", lambda: copying(NoSentFolder)),
    ("test_check_passes_without_sending", lambda: MemoryBench(AlwaysSends())),
    ("test_check_passes_without_sending", lambda: MemoryBench(Backwards())),
    ("test_check_sends_where_asked", lambda: MemoryBench(NeverSends())),
    ("test_check_ends_at_the_first_problem", lambda: MemoryBench(GoesOn())),
    ("test_closed_session_stays_closed", with_session(NeverClosed)),
    ("test_closed_session_stays_closed", with_session(NowhereInTime)),
    ("test_registration_can_be_used", lambda: Shrinking(MemoryTransport())),
    ("test_registration_can_be_used", lambda: SecretInSettings(MemoryTransport())),
]


def streaming(bench: type[MemoryBench]) -> MemoryBench:
    return bench(MemoryTransport(capabilities=Capabilities(streams=True)))


def copying(bench: type[MemoryBench]) -> MemoryBench:
    return bench(MemoryTransport(capabilities=Capabilities(streams=False, keeps_sent_copy=True)))


@pytest.mark.parametrize(
    ("check", "make"),
    BROKEN,
    ids=[f"{check.removeprefix('test_')}-{n}" for n, (check, _) in enumerate(BROKEN)],
)
def test_broken_transport_is_caught(check: str, make: Callable[[], MemoryBench]) -> None:
    with pytest.raises(AssertionError):
        getattr(TransportConformance(), check)(make())


@pytest.mark.parametrize(
    ("check", "make"),
    BROKEN,
    ids=[f"{check.removeprefix('test_')}-{n}" for n, (check, _) in enumerate(BROKEN)],
)
def test_broken_transport_is_broken_in_that_way_only(check: str, make: Callable[[], MemoryBench]) -> None:
    if check != ACCEPTED:
        getattr(TransportConformance(), ACCEPTED)(make())


def test_every_check_has_a_transport_that_it_catches() -> None:
    assert {check for check, _ in BROKEN} == set(check_names())
