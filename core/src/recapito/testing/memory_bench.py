"""The bench of :class:`MemoryTransport`, and the shortest example of one."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta

from recapito.catalogue import problem
from recapito.envelope import Envelope
from recapito.errors import NotSent, Refused
from recapito.outcome import Outcome
from recapito.profile import Found, Profile
from recapito.secret import Secrets
from recapito.testing.bench import Arrived, Bench
from recapito.testing.failure import Failure
from recapito.testing.memory import MemoryTransport, memory_info
from recapito.testing.stored import Ending

__all__ = ["MemoryBench"]

_OPERATORS = {1: ("anna", "Password-di-Anna"), 2: ("bruno", "Password-di-Bruno")}


class MemoryBench(Bench):
    """Arranges what a memory transport does next."""

    def __init__(self, transport: MemoryTransport) -> None:
        super().__init__(memory_info(transport))
        self.transport = transport
        self.behave()

    @classmethod
    @contextmanager
    def of(cls, transport: MemoryTransport | None = None) -> Iterator["MemoryBench"]:
        """What ``make_bench`` returns."""
        yield cls(transport or MemoryTransport())

    def found(self, number: int = 1) -> Found:
        """Anna's profile, or Bruno's."""
        operator, password = _OPERATORS[number]
        profile = Profile.of(operator, sender=f"{operator}@example.it", transport=self.info.name)
        return Found(profile, Secrets({"password": password}), "1")

    def arrived(self) -> Sequence[Arrived]:
        """What the transport sent."""
        return [
            Arrived(
                row.envelope.sender, row.envelope.recipients, row.content, row.account, row.envelope.notify
            )
            for row in self.transport.sent
        ]

    def behave(self) -> None:
        """Everything is accepted, from those who know their password."""
        self.transport.fail_with = self.transport.lose = self.transport.size_limit = None
        self.transport.notices = True
        self.transport.passwords = Secrets(
            {f"{name}@example.it": password for name, password in _OPERATORS.values()}
        )

    def refuse_sender(self) -> None:
        """For all recipients."""
        self.transport.fail_with = Refused(problem("SENDER-NOT-OWNED", outcome=Outcome.REFUSED))

    def refuse_recipient(self, address: str) -> None:
        """That one."""

        def failure(envelope: Envelope) -> Failure:
            unknown = problem("RCPT-UNKNOWN", rcpt=address)
            return {address: unknown} if address in envelope.recipients else None

        self.transport.fail_with = failure

    def limit_size(self, size: int) -> None:
        """By capability: a memory transport announces nothing."""
        self.transport.size_limit = size

    def answer_temporarily(self) -> None:
        """For all recipients, after the whole content."""
        self.transport.lose = "answer"

    def lose_sign_in(self) -> None:
        """Nobody's password is right any more."""
        self.transport.passwords = Secrets({"nobody@example.it": "something else"})

    def throttle(self) -> None:
        """For ten minutes."""
        retry_at = datetime.now(UTC) + timedelta(minutes=10)
        self.transport.fail_with = NotSent(problem("SLOW-DOWN", retry_at=retry_at))

    def lose_before_content(self) -> None:
        """As it begins."""
        self.transport.lose = "before"

    def lose_after_content(self) -> None:
        """When it has come whole."""
        self.transport.lose = "after"

    def drop_idle(self, ending: Ending) -> None:
        """Every open session's line."""
        self.transport.drop_idle(ending)

    def hold(self) -> AbstractContextManager[None]:
        """Whole messages wait."""
        return self.transport.hold()

    def held(self) -> int:
        """How many do."""
        return self.transport.waiting

    def offer_notices(self, offered: bool) -> None:
        """They are kept with the envelope, or refused."""
        self.transport.notices = offered
