"""A transport in memory: what it sends lies in a list, and it fails exactly as it is told to.

It is a transport like any other and passes the same checks (:class:`recapito.testing.TransportConformance`).
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from recapito.content import Content
from recapito.envelope import Envelope
from recapito.errors import DeliveryError, Held, NotSent, Refused, UnknownOutcome, delivery_error
from recapito.outcome import Outcome
from recapito.problem import Problem, Scope, Who
from recapito.profile import Profile, ProfileKey
from recapito.receipt import Receipt, RecipientReceipt
from recapito.secret import Secret, Secrets
from recapito.testing.stored import Ending
from recapito.transport import Capabilities, CheckStep, Context, StepName, TransportInfo

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "Failure",
    "MemoryMessage",
    "MemorySession",
    "MemoryTransport",
    "ProbingMemoryTransport",
    "memory_info",
]

#: What a send meets: an error for all recipients, or a problem for each of those named (the others are
#: accepted), or a receipt that is handed back as it is. None: accepted.
Failure: TypeAlias = DeliveryError | Mapping[str, Problem] | Receipt | None


@dataclass(frozen=True, slots=True)
class MemoryMessage:
    """One message that was sent: whose, to whom, and every byte of it. ``account`` is who signed in."""

    profile: ProfileKey
    envelope: Envelope
    content: bytes = field(repr=False)
    account: str = ""


class MemoryTransport:
    """Sends into ``sent``. One object serves every profile; give it to a mailer by ``memory_info(transport)``.

    ``fail_with`` says what sends meet: one :data:`Failure` for all of them, a list for the next ones in turn,
    or a function of the envelope. ``fail_open`` is raised instead of signing in. ``passwords`` maps accounts
    (the profile's setting ``account``, else its sender) to passwords; without it nobody needs one. ``lose``
    loses the line ``before`` or ``after`` the content, or makes the ``answer`` to it a temporary one.
    ``size_limit`` is the far side's own; ``notices`` whether it sends them. All of it may be changed at any time.
    """

    def __init__(
        self,
        *,
        fail_with: "Failure | Sequence[Failure] | Callable[[Envelope], Failure]" = None,
        fail_open: DeliveryError | None = None,
        passwords: Mapping[str, Secret | str] | None = None,
        depth: int = 1,
        capabilities: Capabilities = Capabilities(streams=False, delivery_notices=True),
    ) -> None:
        self.fail_with = list(fail_with) if isinstance(fail_with, Sequence) else fail_with
        self.fail_open = fail_open
        self.passwords = Secrets(passwords)
        self.depth = depth
        self.capabilities = capabilities
        self.lose: Literal["before", "after", "answer"] | None = None
        self.size_limit: int | None = None
        self.notices = capabilities.delivery_notices
        self.sent: list[MemoryMessage] = []
        self.sessions: list[MemorySession] = []
        #: How many messages have come whole while :meth:`hold` holds their answers.
        self.waiting = 0
        self.numbers = itertools.count(1)
        self._held = False

    async def open(self, profile: Profile, context: Context) -> "MemorySession":
        """A session for the profile; raises ``fail_open``, or Held (AUTH-FAILED) where the password is wrong."""
        if self.fail_open is not None:
            raise type(self.fail_open)(self.fail_open.problem)
        problem = self._sign_in(profile, context)
        if problem is not None:
            raise Held(problem)
        session = MemorySession(self, profile)
        self.sessions.append(session)
        return session

    async def check(
        self, profile: Profile, context: Context, send_to: str | None = None
    ) -> AsyncIterator[CheckStep]:
        """The steps that a transport without a network has: sign-in, sender, recipient, message."""
        problem = self.fail_open.problem if self.fail_open else self._sign_in(profile, context)
        yield _step("sign-in", problem)
        if problem is not None:
            return
        if send_to is None:
            yield _step("sender")
            for left_out in ("recipient", "message"):
                yield CheckStep(left_out, skipped="nothing is sent: no address to send to was given")
            return
        failure = self.failure(Envelope(profile.sender, (send_to,)))
        problem = _problem_for(failure, send_to)
        if problem is not None:
            yield _step("sender")
            yield _step("recipient", problem)
            return
        for name in ("sender", "recipient"):
            yield _step(name)
        content = f"From: {profile.sender}\r\nTo: {send_to}\r\nSubject: recapito\r\n\r\n".encode()
        self.sent.append(
            MemoryMessage(profile.key, Envelope(profile.sender, (send_to,)), content, account(profile))
        )
        yield _step("message")

    def failure(self, envelope: Envelope) -> Failure:
        """What this send meets, taken from ``fail_with``."""
        if isinstance(self.fail_with, list):
            return self.fail_with.pop(0) if self.fail_with else None
        return self.fail_with(envelope) if callable(self.fail_with) else self.fail_with

    def meet(self, place: Literal["before", "after"]) -> None:
        """Lose the line here, if ``lose`` says so."""
        if self.lose == place:
            raise UnknownOutcome(_uncertain()) if place == "after" else NotSent(_lost("lost"))

    def limits(self) -> tuple[int | None, bool]:
        """The size that is taken, and whether delivery notices are."""
        sizes = [size for size in (self.capabilities.maximum_size, self.size_limit) if size is not None]
        return min(sizes, default=None), self.capabilities.delivery_notices and self.notices

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Inside it no message is answered once it has come whole; they are when it ends."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def drop_idle(self, ending: Ending = "close") -> int:
        """End every open session's line; returns how many there were."""
        open_sessions = [session for session in self.sessions if session.usable]
        for session in open_sessions:
            session.dropped = ending
        return len(open_sessions)

    async def answer(self) -> None:
        """Wait while answers are held."""
        self.waiting += 1
        try:
            while self._held:  # noqa: ASYNC110 - it may be released from another thread, or another loop
                await asyncio.sleep(0.002)
        finally:
            self.waiting -= 1

    def _sign_in(self, profile: Profile, context: Context) -> Problem | None:
        if not self.passwords:
            return None
        password = context.secrets.get("password")
        if password is not None and self.passwords.get(account(profile)) == password:
            return None
        return Problem("AUTH-FAILED", Outcome.HELD, Who.OPERATOR, Scope.PROFILE, {"user": account(profile)})


class ProbingMemoryTransport(MemoryTransport):
    """One that can look whether a message left, and claims it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.capabilities = replace(self.capabilities, probes=True)

    async def probe(self, profile: Profile, _context: Context, message_id: str) -> bool:
        """Whether the profile sent a message with this Message-ID."""
        return any(row.profile == profile.key and message_id.encode() in row.content for row in self.sent)


class MemorySession:
    """One open channel of a :class:`MemoryTransport`."""

    def __init__(self, transport: MemoryTransport, profile: Profile) -> None:
        self.profile = profile
        self.dropped: Ending | None = None
        self._transport = transport
        self._usable = True
        self._under_way = 0

    @property
    def depth(self) -> int:
        """As the transport was told."""
        return self._transport.depth

    @property
    def usable_until(self) -> datetime | None:
        """None: there is no token."""
        return None

    @property
    def usable(self) -> bool:
        """Until it is closed, lost, or its state is in doubt."""
        return self._usable

    async def deliver(self, envelope: Envelope, content: Content, *, deadline: float) -> Receipt:
        """Keep the message in ``transport.sent``, or fail as told."""
        if self._under_way >= self.depth:
            raise RuntimeError(f"more than {self.depth} deliver calls at once on one session")
        self._under_way += 1
        data = bytearray()
        try:
            async with asyncio.timeout_at(deadline):
                return await self._deliver(envelope, content, data)
        except TimeoutError as exc:
            self._usable = False
            if len(data) == content.size:
                raise UnknownOutcome(_uncertain()) from exc
            raise NotSent(_lost("timeout")) from exc
        except asyncio.CancelledError:
            self._usable = False
            raise
        finally:
            self._under_way -= 1

    async def close(self) -> None:
        """Nothing to say goodbye to."""
        self._usable = False

    async def _deliver(self, envelope: Envelope, content: Content, data: bytearray) -> Receipt:
        transport = self._transport
        await self._wake()
        self._refuse_unclaimed(envelope, content)
        failure = transport.failure(envelope)
        if isinstance(failure, DeliveryError):
            raise type(failure)(failure.problem)
        if isinstance(failure, Receipt):
            return failure
        problems = failure or {}
        taken = tuple(address for address in envelope.recipients if address not in problems)
        receipt = _receipt(envelope, problems, f"250 2.0.0 Ok: kept as {next(transport.numbers)}")
        if not taken and len({row.outcome for row in receipt.recipients}) == 1:
            assert receipt.problem is not None
            raise delivery_error(receipt.problem)
        if taken:
            await self._carry(content, data)
            kept = Envelope(envelope.sender, taken, envelope.notify)
            transport.sent.append(MemoryMessage(self.profile.key, kept, bytes(data), account(self.profile)))
        return receipt

    async def _wake(self) -> None:
        """An idle line that was dropped shows here, before any content."""
        if self.dropped == "silence" and self._usable:
            await asyncio.get_running_loop().create_future()  # nobody answers: the deadline ends it
        if self.dropped or not self._usable:
            self._usable = False
            raise NotSent(_lost("lost"))

    async def _carry(self, content: Content, data: bytearray) -> None:
        """The content, and the wait for its answer; whatever is raised meanwhile ends the session."""
        refusal: NotSent | None = None
        try:
            async for chunk in content.chunks():
                self._transport.meet("before")
                data += chunk
                await asyncio.sleep(0)
            await self._transport.answer()
            self._transport.meet("after")
            if self._transport.lose == "answer":
                refusal = NotSent(Problem("REPLY-TEMPORARY", Outcome.NOT_SENT, Who.NOBODY))
        except BaseException:
            self._usable = False
            raise
        if refusal is not None:
            raise refusal

    def _refuse_unclaimed(self, envelope: Envelope, content: Content) -> None:
        claimed = self._transport.capabilities
        size_limit, notices = self._transport.limits()
        if size_limit is not None and content.size > size_limit:
            params = {"size": content.size, "limit": size_limit}
            raise Refused(Problem("MSG-TOO-BIG", Outcome.REFUSED, params=params))
        if claimed.maximum_recipients is not None and len(envelope.recipients) > claimed.maximum_recipients:
            raise Refused(_refused("RCPT-TOO-MANY", limit=claimed.maximum_recipients))
        if envelope.notify and not notices:
            raise Refused(_refused("DSN-NOT-OFFERED"))
        if not claimed.own_envelope and not _in_headers(content) <= set(envelope.recipients):
            raise Refused(_refused("ENVELOPE-DIFFERS"))


def account(profile: Profile) -> str:
    """Who signs in for the profile."""
    return str(profile.settings.get("account") or profile.sender)


def memory_info(transport: MemoryTransport | None = None, name: str = "memory") -> TransportInfo:
    """What registers ``transport`` (a new one, where none is given) under ``name``: ``Mailer(…, transports=[…])``."""
    made = transport or MemoryTransport()
    return TransportInfo(
        name,
        "Memory",
        _settings(),
        factory=lambda: made,
        capabilities=made.capabilities,
        hard_timeout=lambda _size: 60.0,
        host=lambda _profile: "",
    )


def _settings() -> "type[BaseModel]":
    from recapito.testing.memory_settings import MemorySettings

    return MemorySettings


def _in_headers(content: Content) -> set[str]:
    from email.utils import getaddresses

    fields = [value for name, value in content.headers if name.lower() in ("to", "cc")]
    return {address for _, address in getaddresses(fields)}


def _receipt(envelope: Envelope, problems: Mapping[str, Problem], reply: str) -> Receipt:
    rows = tuple(
        RecipientReceipt(address, problems[address].outcome, problems[address].reply, problems[address])
        if address in problems
        else RecipientReceipt(address, Outcome.ACCEPTED, reply)
        for address in envelope.recipients
    )
    accepted = any(row.outcome is Outcome.ACCEPTED for row in rows)
    first = next(iter(problems.values()), None)
    return Receipt(rows, reply if accepted else None, reply.rsplit(" ", 1)[1] if accepted else None, first)


def _problem_for(failure: Failure, address: str) -> Problem | None:
    match failure:
        case None:
            return None
        case DeliveryError() | Receipt():
            return failure.problem
        case _:
            return failure.get(address)


def _step(name: StepName, problem: Problem | None = None) -> CheckStep:
    started = time.perf_counter()
    return CheckStep(name, time.perf_counter() - started, problem)


def _lost(why: str) -> Problem:
    return Problem("NET-LOST", Outcome.NOT_SENT, Who.NOBODY, params={"reason": why})


def _uncertain() -> Problem:
    return Problem("UNCERTAIN", Outcome.UNKNOWN)


def _refused(code: str, **params: str | float) -> Problem:
    return Problem(code, Outcome.REFUSED, params=params)
