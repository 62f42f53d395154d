# ruff: noqa: N802 - aiosmtpd finds commands by their names
"""One connection of :class:`SmtpServer`: aiosmtpd, stricter, and bent where a rule says so."""

import asyncio
import re
import socket
import struct
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from recapito.testing.smtp_conduct import Conduct
from recapito.testing.smtp_delay import Delay
from recapito.testing.smtp_signin import SignIns
from recapito.testing.stored import Command, Ending, Phase, Rule, StoredMessage

__all__ = ["SmtpConnection"]

# One path and nothing beside it: aiosmtpd itself takes <a@x,evil@y> and keeps one half.
_PATH = re.compile(r'\s*<((?:"[^"<>]*"|[^<>\s,;"])*)>(.*)', re.DOTALL)
_DSN = ("NOTIFY", "ORCPT", "RET", "ENVID")
_PHASES: dict[str, Phase] = {
    "EHLO": "ehlo", "HELO": "ehlo", "STARTTLS": "starttls", "AUTH": "auth", "MAIL": "mail", "RCPT": "rcpt",
    "DATA": "data", "BDAT": "data", "RSET": "rset", "NOOP": "noop", "QUIT": "quit",
}  # fmt: skip


class _OpenEnvelope(Envelope):
    """One transaction under way, with what aiosmtpd does not keep."""

    def __init__(self) -> None:
        super().__init__()
        self.chunks: list[bytes] = []
        self.mail_words: tuple[str, ...] = ()
        self.rcpt_words: list[tuple[str, ...]] = []
        #: A chunk was refused: nothing more is taken before RSET (RFC 3030 §2).
        self.broken = False


class _Session(Session):
    # Hides a property that logs a warning whenever aiosmtpd itself sets it.
    login_data: Any = None


class _Method(Protocol):
    def __call__(self, arg: str | None, /) -> Awaitable[None]: ...


class SmtpConnection(SMTP):
    """One connection; everything that outlives it is the server's."""

    # Also the limit of the reader, which must hold a command with a long token (RFC 4954 §4: 12288 octets).
    # Lines of content are measured afterwards.
    line_length_limit = 20_000
    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"

    def __init__(self, server: Conduct) -> None:
        # aiosmtpd keeps one dict for all connections of a process, and grows it at each EHLO.
        self.command_size_limits = defaultdict(lambda: 1024, AUTH=12_288)
        self.server = server
        self.silent = False
        self.number = 0
        self.user: str | None = None
        self.ended = False
        self._content_bytes: int | None = None
        self._late = Delay(server.loop)
        # Heard since it was last answered; the greeting is an answer to being dialled.
        self._heard = True
        self._mails = 0
        self._domains: set[str] = set()
        self.sign_ins = SignIns(self)
        super().__init__(
            self.sign_ins,
            data_size_limit=None,
            enable_SMTPUTF8="SMTPUTF8" in server.extensions,
            hostname=server.hostname,
            ident="ESMTP",
            tls_context=server.context if server.tls == "starttls" else None,
            auth_require_tls=False,  # it does not know implicit TLS, and would answer 538: _needs() checks instead
            auth_exclude_mechanism={"PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2"} - set(server.mechanisms),
            authenticator=self.sign_ins.verify_password,
            loop=server.loop,
        )
        self.command_size_limits["AUTH"] = 12_288
        methods: dict[str, _Method] = self._smtp_methods
        self._smtp_methods = {verb: self._guarded(verb, method) for verb, method in methods.items()}

    # What comes in

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._original_transport is None:
            self.server.connected(self)
        if transport.get_extra_info("ssl_object") is not None:
            self.server.handshakes += 1
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = True
        self.server.live.pop(self.number, None)
        self._late.clear()
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        self._late.put(self.server.delay, lambda: self._hear(data))

    def _hear(self, data: bytes) -> None:
        if self.silent:
            return
        self._heard = True
        self.server.sent_bytes += len(data)
        if not self._cut(len(data)):
            super().data_received(data)

    def _cut(self, size: int) -> bool:
        """Count so many bytes of content, where one is coming; whether a rule ends the line at that."""
        if self._content_bytes is None:
            return False
        self._content_bytes += size
        rule = self.server.cut_rule()
        if rule is None or rule.after is None or self._content_bytes <= rule.after:
            return False
        rule.use()
        self.end(rule.ending)
        return True

    def eof_received(self) -> bool | None:
        if self.session is None:
            return False
        if self._late.waiting and not self.tls_version:
            self._late.put(self.server.delay, super().eof_received)
            return True
        return super().eof_received()

    async def push(self, status: str | bytes) -> None:
        if self.silent or self.ended:
            await self._nevermore()
        if self._heard:
            self._heard = False
            self.server.turned(self.number)
        text = status if isinstance(status, str) else status.decode("utf-8", "surrogateescape")
        await super().push(
            text.replace("\r\n", "\n").replace("\n", "\r\n").encode("utf-8", "surrogateescape")
        )

    async def _handle_client(self) -> None:
        if self.server.delay:
            await asyncio.sleep(self.server.delay)
        rule = self.server.rule("connect", None)
        if rule is not None:
            await self._obey(rule)
            if rule.reply is not None and self.transport is not None:
                self.transport.close()
            return
        await super()._handle_client()

    def _guarded(self, verb: str, method: _Method) -> Callable[[str | None], Awaitable[None]]:
        async def guarded(arg: str | None) -> None:
            words = (arg or "").split()
            shown = words[0] if verb == "AUTH" and words else arg or ""
            self.server.commands.append(Command(self.number, verb, shown))
            phase = _PHASES.get(verb)
            if phase is not None:
                await self.server.held(phase)
            refusal = self._needs(verb)
            if refusal is None and phase is not None and phase != "auth":
                rule = self.server.rule(phase, self._address(arg))
                if rule is not None:
                    if verb == "BDAT" and rule.reply is not None:
                        self.transaction().broken = rule.reply[:1] != "2"
                        await self._reader.readexactly(int(words[0]))
                    await self._obey(rule)
                    return
            if refusal is not None:
                await self.push(refusal)
                if refusal.startswith("421"):
                    self.end("close")
            else:
                await method(arg)

        return guarded

    def _needs(self, verb: str) -> str | None:
        secure = self.tls_version
        if verb in ("MAIL", "AUTH") and self.server.tls == "starttls" and not secure:
            if verb == "AUTH":
                self.server.credentials_in_clear += 1
            return "530 5.7.0 Must issue a STARTTLS command first"
        if verb == "MAIL":
            self._mails += 1
            if self.server.mail_max and self._mails > self.server.mail_max:
                return "421 4.7.0 Too many messages on this connection"
        if verb == "MAIL" and self.server.signs_in and not self.state().authenticated:
            return "530 5.7.0 Authentication required"
        if verb == "BDAT" and "CHUNKING" not in self.server.extensions:
            return "502 5.5.1 Command not implemented"
        return None

    @staticmethod
    def _address(arg: str | None) -> str | None:
        found = _PATH.match((arg or "").partition(":")[2])
        return found[1] if found else None

    # What aiosmtpd leaves out, or takes too lightly

    def _create_session(self) -> Session:
        return _Session(self.server.loop)

    def _create_envelope(self) -> _OpenEnvelope:
        return _OpenEnvelope()

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        found = _PATH.fullmatch(arg)
        return (found[1], found[2]) if found else (None, None)

    def _getparams(self, params: Any) -> dict[str, str | bool] | None:
        known = _DSN if "DSN" in self.server.extensions else ()
        return super()._getparams([word for word in params if word.partition("=")[0] not in known])

    async def smtp_MAIL(self, arg: str | None) -> None:
        words = tuple((arg or "").rpartition(">")[2].split())
        size = next((word[5:] for word in words if word.upper().startswith("SIZE=")), "")
        if size.isdigit() and self.server.size_limit and int(size) > self.server.size_limit:
            await self.push("552 5.3.4 Message size exceeds fixed limit")
            return
        if "BODY=8BITMIME" in words and "8BITMIME" not in self.server.extensions:
            await self.push("555 5.5.4 Unsupported option: BODY=8BITMIME")
            return
        if not (arg or "").isascii() and "SMTPUTF8" not in words:
            await self.push("553 5.6.7 Non-ASCII address needs SMTPUTF8")
            return
        await super().smtp_MAIL(arg)
        self.transaction().mail_words = words

    async def smtp_RCPT(self, arg: str | None) -> None:
        if not (arg or "").isascii() and not self.transaction().smtp_utf8:
            await self.push("553 5.6.7 Non-ASCII address needs SMTPUTF8")
            return
        before = len(self.transaction().rcpt_tos)
        if self._crowded(arg):
            await self.push("452 4.5.3 Too many recipients")
            return
        await super().smtp_RCPT(arg)
        if len(self.transaction().rcpt_tos) > before:
            self._domains.add(_domain(self._address(arg)))
            self.transaction().rcpt_words.append(tuple((arg or "").rpartition(">")[2].split()))

    def _crowded(self, arg: str | None) -> bool:
        server, taken = self.server, len(self.transaction().rcpt_tos)
        domains = self._domains | {_domain(self._address(arg))}
        return bool(
            (server.rcpt_max and taken >= server.rcpt_max)
            or (server.rcpt_domain_max and len(domains) > server.rcpt_domain_max)
        )

    async def smtp_DATA(self, arg: str | None) -> None:
        if self.transaction().mail_from and not self.transaction().rcpt_tos:
            await self._nobody()
            return
        self._content_bytes = 0
        if self.server.stalled and self.line is not None:
            self.line.pause_reading()
        try:
            await super().smtp_DATA(arg)
        finally:
            self._content_bytes = None

    async def _nobody(self) -> None:
        """DATA although every recipient was refused."""
        if self.server.starts_for_nobody:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            while await self._reader.readuntil(b"\r\n") != b".\r\n":
                pass
        await self.push("554 5.5.1 No valid recipients")

    async def smtp_BDAT(self, arg: str | None) -> None:
        """RFC 3030: so many octets, as they are; the last chunk settles the message."""
        size, _, last = (arg or "").partition(" ")
        await self.server.moving()
        chunk = await self._chunk(int(size))
        if self.transaction().broken or not self.transaction().rcpt_tos:
            need = "RSET" if self.transaction().broken else "RCPT"
            await self.push(f"503 5.5.1 Need {need} command")
            return
        self.transaction().chunks.append(chunk)
        if last.upper() != "LAST":
            await self.push(f"250 2.0.0 {size} octets received")
            return
        status = await self.take(self.transaction(), b"".join(self.transaction().chunks), lines=False)
        self.envelope = self._create_envelope()
        await self.push(status)

    async def _chunk(self, size: int) -> bytes:
        self._content_bytes = sum(len(chunk) for chunk in self.transaction().chunks)
        try:
            # What has come already, with its command.
            if self._cut(min(size, len(self._reader._buffer))):  # type: ignore[attr-defined]
                await self._nevermore()
            return await self._reader.readexactly(size)
        finally:
            self._content_bytes = None

    async def take(self, envelope: Any, content: bytes, *, lines: bool = True) -> str:
        """Store a message whose last byte has come, or refuse it; returns the reply."""
        await self.server.held("content")
        rules = (self.server.rule("content", address) for address in (*envelope.rcpt_tos, None))
        rule = next((rule for rule in rules if rule is not None), None)
        if rule is not None:
            if rule.reply is not None:
                return rule.reply
            await self._obey(rule)
        if self.server.size_limit and len(content) > self.server.size_limit:
            return "552 5.3.4 Message too big for system"
        if lines and any(len(line) > 998 for line in content.split(b"\r\n")):
            return "500 5.6.0 Line too long"
        if not content.isascii() and "8BITMIME" not in self.server.extensions:
            return "554 5.6.1 8-bit content not supported"
        message = StoredMessage(
            envelope.mail_from, tuple(envelope.rcpt_tos), content, self.user, self.tls_version,
            self.number, self.peer(), envelope.mail_words, tuple(envelope.rcpt_words),
        )  # fmt: skip
        return self.server.stored(message)

    # How it stands, and ends

    # Methods, not properties: aiosmtpd looks at every attribute before there is a connection.

    def transaction(self) -> _OpenEnvelope:
        """The transaction under way."""
        assert isinstance(self.envelope, _OpenEnvelope)
        return self.envelope

    def peer(self) -> tuple[str, int]:
        """Address and port of the client."""
        host, port, *_ = cast("tuple[str, int]", self.state().peer)
        return host, port

    def state(self) -> Session:
        """What aiosmtpd knows of this connection."""
        assert self.session is not None
        return self.session

    @property
    def line(self) -> asyncio.Transport | None:
        """Where replies go; None once it is gone."""
        return cast("asyncio.Transport | None", self.transport)

    @property
    def tls_version(self) -> str:
        """``TLSv1.3`` and the like; empty where the line is in clear."""
        tls = self.transport.get_extra_info("ssl_object") if self.transport else None
        return (tls.version() or "") if tls else ""

    def end(self, how: Ending) -> None:
        """End the line: closed, reset, or left without an answer."""
        transport = self.line
        if how == "silence" or transport is None:
            self.silent = True
        elif how == "reset":
            self.ended = True
            descriptor = transport.get_extra_info("socket")
            descriptor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            self.ended = True
            transport.close()

    async def _obey(self, rule: Rule) -> None:
        if rule.reply is not None:
            await self.push(rule.reply)
            return
        self.end(rule.ending)
        await self._nevermore()

    async def _nevermore(self) -> None:
        await self.loop.create_future()  # until connection_lost, or the server's end, cancels this task


def _domain(address: str | None) -> str:
    return (address or "").rpartition("@")[2].lower()
