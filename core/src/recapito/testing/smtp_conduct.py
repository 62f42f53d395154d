"""How a test SMTP server conducts itself: what it keeps, and the knobs that make it do otherwise."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

from recapito.testing.serving import LoopThread
from recapito.testing.stored import Command, Ending, Phase, Rule, StoredMessage

__all__ = ["Conduct", "Line", "Tls"]

#: Implicit, required before anything else, or none.
Tls = Literal["ssl", "starttls", "plain"]


class Line(Protocol):
    """An open connection, as its server sees it."""

    number: int
    ended: bool

    @property
    def line(self) -> asyncio.Transport | None:
        """Where replies go; None once it is gone."""
        ...

    def end(self, how: Ending) -> None:
        """End it that way."""
        ...


class Conduct(LoopThread):
    """What :class:`SmtpServer` is apart from listening: its connections read and fill it."""

    #: Set by the server, and obeyed by the next command (``tls`` and ``context`` by the next connection).
    tls: Tls
    context: ssl.SSLContext | None
    hostname: str
    users: dict[str, str]
    tokens: dict[str, str]
    token_fits: Callable[[str, str], bool] | None
    size_limit: int
    extensions: set[str]
    mechanisms: list[str]

    #: Seconds that pass before the server hears what was sent: all that comes in one flight waits together, so
    #: that this is the round trip of a long line.
    delay: float
    #: LIMITS (RFC 9422): MAIL commands of a connection, RCPT of a transaction, domains of a connection; None: none.
    mail_max: int | None
    rcpt_max: int | None
    rcpt_domain_max: int | None
    #: Answer DATA with 354 also where every recipient was refused; the lone dot then gets 554 (RFC 2920 §3.1).
    starts_for_nobody: bool

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.messages: list[StoredMessage] = []
        self.commands: list[Command] = []
        self.logins: list[str] = []
        self.connections = 0
        self.handshakes = 0
        self.login_failures = 0
        self.credentials_in_clear = 0
        #: Bytes that clients sent, as they were before encryption.
        self.sent_bytes = 0
        self._turns: Counter[int] = Counter()
        self.live: dict[int, Line] = {}
        #: How many commands wait at each phase that is held.
        self.waiting: Counter[Phase] = Counter()
        self._stalled = False
        self._moving = asyncio.Event()
        self._rules: list[Rule] = []
        self._holds: dict[Phase, asyncio.Event] = {}

    @property
    def turns(self) -> int:
        """Round trips of all connections: see :meth:`turns_of`."""
        return self._turns.total()

    def turns_of(self, connection: int) -> int:
        """How often that connection (from 1) was answered after something was heard of it, beginning with the
        greeting: what a client that waits for answers pays a round trip for. Replies to commands that came together
        count once; content that comes in several reads while its commands are answered counts for more.
        """
        return self._turns[connection]

    @property
    def limits(self) -> str:
        """The line of EHLO that says the limits (RFC 9422 §3); empty where there are none."""
        named = {"MAILMAX": self.mail_max, "RCPTMAX": self.rcpt_max, "RCPTDOMAINMAX": self.rcpt_domain_max}
        said = " ".join(f"{name}={limit}" for name, limit in named.items() if limit)
        return f"LIMITS {said}" if said else ""

    @property
    def signs_in(self) -> bool:
        """Whether mail is taken only after a sign-in."""
        return bool(self.users or self.tokens or self.token_fits)

    # The knobs

    def refuse(
        self, phase: Phase, reply: str, *, address: str | None = None, times: int | None = None
    ) -> None:
        """Answer ``reply`` (lines divided by ``\\n``) at ``phase``; the newest rule that fits decides.

        ``address`` limits it to that sender, recipient or user name; ``times`` to so many answers.
        """
        self._rules.insert(0, Rule(phase, reply, address=address, times=times))

    def drop(
        self,
        phase: Phase,
        *,
        ending: Ending = "close",
        address: str | None = None,
        times: int | None = None,
        after: int | None = None,
    ) -> None:
        """End the line at ``phase`` instead of answering; ``after`` bytes of content where that is given."""
        self._rules.insert(0, Rule(phase, None, ending, address, times, after))

    def allow(self) -> None:
        """Forget every rule, and behave again."""
        self._rules.clear()

    @contextmanager
    def hold(self, phase: Phase) -> Iterator[None]:
        """Inside it no command of ``phase`` is answered; they are when it ends (``content``: the final dot's reply)."""
        gate = asyncio.Event()
        self._holds[phase] = gate
        try:
            yield
        finally:
            self._holds.pop(phase, None)
            self.call(gate.set)

    @contextmanager
    def stall(self) -> Iterator[None]:
        """Inside it no connection reads on once its content begins; each does when it ends."""
        self._stalled, self._moving = True, asyncio.Event()
        try:
            yield
        finally:
            self._stalled = False
            self.call(self._read_on)

    def drop_idle(self, ending: Ending = "close", *, reply: str | None = None) -> int:
        """End every open line now, after saying ``reply`` where one is given (421 …); returns how many there were."""
        return self.call(lambda: self._end_all(ending, reply))

    # What connections ask and tell

    def connected(self, connection: Line) -> None:
        """A connection was made."""
        self.connections += 1
        connection.number = self.connections
        self.live[connection.number] = connection

    def turned(self, number: int) -> None:
        """A connection is answered after something was heard of it."""
        self._turns[number] += 1

    def rule(self, phase: Phase, address: str | None) -> Rule | None:
        """The rule that decides here, counted as used."""
        for rule in self._rules:
            if rule.after is None and rule.matches(phase, address):
                rule.use()
                return rule
        return None

    def cut_rule(self) -> Rule | None:
        """The rule that ends a line inside the content."""
        return next((rule for rule in self._rules if rule.after is not None and rule.times != 0), None)

    async def held(self, phase: Phase) -> None:
        """Wait while ``phase`` is held."""
        gate = self._holds.get(phase)
        if gate is not None:
            self.waiting[phase] += 1
            try:
                await gate.wait()
            finally:
                self.waiting[phase] -= 1

    @property
    def stalled(self) -> bool:
        """Whether contents are not read."""
        return self._stalled

    async def moving(self) -> None:
        """Wait while contents are not read."""
        if self._stalled:
            await self._moving.wait()

    def stored(self, message: StoredMessage) -> str:
        """Keep ``message``; returns the reply."""
        self.messages.append(message)
        return f"250 2.0.0 Ok: queued as {len(self.messages):06X}"

    def _read_on(self) -> None:
        self._moving.set()
        for connection in self.live.values():
            if connection.line is not None:
                connection.line.resume_reading()

    def _end_all(self, ending: Ending, reply: str | None) -> int:
        lines = [connection for connection in self.live.values() if not connection.ended]
        for connection in lines:
            if reply is not None and connection.line is not None:
                connection.line.write(reply.encode() + b"\r\n")
            connection.end(ending)
        return len(lines)
