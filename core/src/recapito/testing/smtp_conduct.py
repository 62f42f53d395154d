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

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.messages: list[StoredMessage] = []
        self.commands: list[Command] = []
        self.logins: list[str] = []
        self.connections = 0
        self.handshakes = 0
        self.login_failures = 0
        self.credentials_in_clear = 0
        self.live: dict[int, Line] = {}
        #: How many commands wait at each phase that is held.
        self.waiting: Counter[Phase] = Counter()
        self._stalled = False
        self._rules: list[Rule] = []
        self._holds: dict[Phase, asyncio.Event] = {}

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
        self._stalled = True
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

    def stored(self, message: StoredMessage) -> str:
        """Keep ``message``; returns the reply."""
        self.messages.append(message)
        return f"250 2.0.0 Ok: queued as {len(self.messages):06X}"

    def _read_on(self) -> None:
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
