"""An SMTP server on loopback that behaves, until it is told not to."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, Self

from recapito.testing.authority import CertificateAuthority
from recapito.testing.serving import LoopThread
from recapito.testing.smtp_protocol import SmtpConnection
from recapito.testing.stored import Command, Ending, Phase, Rule, StoredMessage

__all__ = ["SmtpServer"]


class SmtpServer(LoopThread):
    """A server in a thread of its own: a context manager, listening while inside it.

    ``tls`` is ``ssl`` (implicit), ``starttls`` (required before anything else) or ``plain``. ``users`` maps
    names to passwords, ``tokens`` to access tokens (XOAUTH2); with neither nobody signs in. The certificate is
    ``authority``'s for loopback, unless ``context`` is another server context. ``extensions`` are EHLO's other
    lines: ``DSN`` and ``CHUNKING`` are understood too.

    Everything that came is kept: ``messages``, ``commands``, ``connections``, ``handshakes``, ``logins``,
    ``login_failures``, ``credentials_in_clear``. The knobs: :meth:`refuse`, :meth:`drop`, :meth:`hold`,
    :meth:`stall`, :meth:`allow`, :meth:`drop_idle`, and the attributes ``size_limit``, ``extensions``, ``mechanisms``,
    ``users``, ``tokens``, which the next command obeys.
    """

    def __init__(
        self,
        *,
        tls: Literal["ssl", "starttls", "plain"] = "ssl",
        users: Mapping[str, str] | None = None,
        tokens: Mapping[str, str] | None = None,
        authority: CertificateAuthority | None = None,
        context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        hostname: str = "mail.example.it",
        size_limit: int = 50_000_000,
        extensions: Collection[str] = ("8BITMIME", "ENHANCEDSTATUSCODES", "PIPELINING", "SMTPUTF8"),
        mechanisms: Collection[str] = ("PLAIN", "LOGIN"),
    ) -> None:
        super().__init__(f"smtp-{tls}")
        self.tls = tls
        self.users = dict(users or {})
        self.tokens = dict(tokens or {})
        self.authority = authority or CertificateAuthority()
        self.context = context or (None if tls == "plain" else self.authority.server_context())
        self.host = host
        self.port = port
        self.hostname = hostname
        self.size_limit = size_limit
        self.extensions = set(extensions)
        self.mechanisms = list(mechanisms) + (["XOAUTH2"] if tokens and "XOAUTH2" not in mechanisms else [])
        self.messages: list[StoredMessage] = []
        self.commands: list[Command] = []
        self.logins: list[str] = []
        self.connections = 0
        self.handshakes = 0
        self.login_failures = 0
        self.credentials_in_clear = 0
        self.live: dict[int, SmtpConnection] = {}
        #: How many commands wait at each phase that is held.
        self.waiting: Counter[Phase] = Counter()
        self._stalled = False
        self._rules: list[Rule] = []
        self._holds: dict[Phase, asyncio.Event] = {}
        self._listener: asyncio.Server | None = None

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.run(self._listen())
        except BaseException:
            super().__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.call(self._close)
        super().__exit__(*exc_info)

    @property
    def pem(self) -> str:
        """What a client trusts to accept this server's certificate."""
        return self.authority.pem

    @property
    def signs_in(self) -> bool:
        """Whether mail is taken only after a sign-in."""
        return bool(self.users or self.tokens)

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

    def connected(self, connection: SmtpConnection) -> None:
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

    async def _listen(self) -> None:
        self._listener = await self.loop.create_server(
            lambda: SmtpConnection(self),
            self.host,
            self.port,
            ssl=self.context if self.tls == "ssl" else None,
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for connection in list(self.live.values()):
            if connection.line is not None:
                connection.line.abort()

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
