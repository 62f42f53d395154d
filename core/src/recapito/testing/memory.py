"""A transport in memory: what it sends lies in a list, and it fails exactly as it is told to.

It is a transport like any other and passes the same checks (:class:`recapito.testing.TransportConformance`).
"""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from recapito.catalogue import problem
from recapito.envelope import Envelope
from recapito.errors import DeliveryError, Held
from recapito.problem import Problem
from recapito.profile import Profile, ProfileKey
from recapito.secret import Secret, Secrets
from recapito.testing.failure import Failure, problem_for
from recapito.testing.memory_session import MemorySession
from recapito.testing.stored import Ending
from recapito.transport import Capabilities, CheckStep, Context, Probed, Sought, StepName, TransportInfo

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["MemoryMessage", "MemoryTransport", "ProbingMemoryTransport", "memory_info"]


@dataclass(frozen=True, slots=True)
class MemoryMessage:
    """One message that was sent: whose, to whom, and every byte of it. ``account`` is who signed in."""

    profile: ProfileKey
    envelope: Envelope
    content: bytes = field(repr=False)
    account: str = ""


class MemoryTransport:
    """Sends into ``sent``. One object serves every profile; give it to a mailer by ``memory_info(transport)``.

    ``fail_with`` says what sends meet: one ``Failure`` for all of them, a list for the next ones in turn,
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
        self.numbers: Iterator[int] = itertools.count(1)
        self._held = False

    async def open(self, profile: Profile, context: Context) -> "MemorySession":
        """A session for the profile; raises ``fail_open``, or Held (AUTH-FAILED) where the password is wrong."""
        if self.fail_open is not None:
            raise type(self.fail_open)(self.fail_open.problem)
        found = self._sign_in(profile, context)
        if found is not None:
            raise Held(found)
        session = MemorySession(self, profile)
        self.sessions.append(session)
        return session

    async def check(
        self, profile: Profile, context: Context, send_to: str | None = None
    ) -> AsyncGenerator[CheckStep, None]:
        """The steps that a transport without a network has: sign-in, sender, recipient, message."""
        found = self.fail_open.problem if self.fail_open else self._sign_in(profile, context)
        yield _step("sign-in", found)
        if found is not None:
            return
        if send_to is None:
            yield _step("sender")
            for left_out in ("recipient", "message"):
                yield CheckStep(left_out, skipped="nothing is sent: no address to send to was given")
            return
        failure = self.failure(Envelope(profile.sender, (send_to,)))
        found = problem_for(failure, send_to)
        if found is not None:
            yield _step("sender")
            yield _step("recipient", found)
            return
        for name in ("sender", "recipient"):
            yield _step(name)
        content = f"From: {profile.sender}\r\nTo: {send_to}\r\nSubject: recapito\r\n\r\n".encode()
        self.keep(profile, Envelope(profile.sender, (send_to,)), content)
        yield _step("message")

    def failure(self, envelope: Envelope) -> Failure:
        """What this send meets, taken from ``fail_with``."""
        if isinstance(self.fail_with, list):
            return self.fail_with.pop(0) if self.fail_with else None
        return self.fail_with(envelope) if callable(self.fail_with) else self.fail_with

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

    def keep(self, profile: Profile, envelope: Envelope, content: bytes) -> None:
        """Add one message to ``sent``."""
        self.sent.append(MemoryMessage(profile.key, envelope, content, account(profile)))

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
        return problem("AUTH-FAILED")


class ProbingMemoryTransport(MemoryTransport):
    """One that can look whether a message left, and claims it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.capabilities = replace(self.capabilities, probes=True)

    async def probe(self, profile: Profile, _context: Context, sought: Sought) -> Probed:
        """Whether the profile sent a message with this Message-ID."""
        message_id = sought.message_id
        return Probed(
            any(row.profile == profile.key and message_id.encode() in row.content for row in self.sent)
        )


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


def _step(name: StepName, problem: Problem | None = None) -> CheckStep:
    started = time.perf_counter()
    return CheckStep(name, time.perf_counter() - started, problem)
