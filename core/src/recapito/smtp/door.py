"""Opening a line, step by step: the same steps for a send and for a check.

aiosmtplib encodes credentials and reads EHLO's lines; the connection is ours from its first byte, and not
taken over after aiosmtplib's greeting. Its protocol throws away what the server sends unasked (plaintext pushed
before a handshake has to be an error) and runs connection, handshake and greeting as one call (a check times
each, and tells their failures apart).
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from recapito.errors import DeliveryError
from recapito.smtp.channel import Channel, LineFailure
from recapito.smtp.connect import Address, Blocked, Unreachable, Unresolved, connect, permitted, resolve
from recapito.smtp.encryption import SELF_SIGNED, Certificate, certificate_of, tls_error, unverified
from recapito.smtp.extensions import Extensions
from recapito.smtp.reply import Reply

if TYPE_CHECKING:
    import socket

    from recapito.smtp.auth import Authenticate
    from recapito.smtp.explain import Explainer
    from recapito.smtp.settings import SmtpSettings
    from recapito.transport import StepName

__all__ = ["Door"]

_SIGNED_IN = 235
_READY = 220
_SSL_PORT = 465
# Seconds of silence that are enough there, where servers wait for the client's handshake.
_SSL_SILENCE = 1.0


class Door:
    """One opening of a line. Run :attr:`steps` in order: each returns what it found, or raises a DeliveryError."""

    def __init__(
        self, settings: "SmtpSettings", authenticate: "Authenticate | None", explainer: "Explainer"
    ) -> None:
        self._settings = settings
        self._authenticate = authenticate
        self._explainer = explainer
        self._patience = settings.patience
        self._addresses: tuple[Address, ...] = ()
        self._socket: socket.socket | None = None
        self._channel: Channel | None = None
        self._context: ssl.SSLContext | None = None
        self._now: StepName = "name"
        self.extensions = Extensions()

    @property
    def steps(self) -> "tuple[tuple[StepName, Callable[[], Awaitable[str]]], ...]":
        """Name and function of each step, in the order in which they happen for this way of protection."""
        before = ("name", self._find), ("port", self._reach)
        end = (("sign-in", self._sign_in),) if self._authenticate else ()
        middle: tuple[tuple[StepName, Callable[[], Awaitable[str]]], ...]
        match self._settings.security:
            case "ssl":
                middle = ("encryption", self._handshake), ("answer", self._greet)
            case "starttls":
                middle = ("answer", self._greet), ("encryption", self._upgrade)
            case _:
                middle = (("answer", self._greet),)
        return (*before, *middle, *end)

    @property
    def channel(self) -> Channel:
        """The line, once there is one."""
        assert self._channel is not None
        return self._channel

    @property
    def socket(self) -> "socket.socket | None":
        """The socket below the line, once it is connected."""
        return self._socket

    async def open(self) -> None:
        """All the steps; whatever ends it early closes the line."""
        try:
            for name, step in self.steps:
                await self.run(name, step)
        except BaseException:
            await self.abandon()
            raise

    async def run(self, name: "StepName", step: Callable[[], Awaitable[str]]) -> str:
        """One step; failures of the line become the problem behind them."""
        self._now = name
        try:
            return await step()
        except (LineFailure, TimeoutError) as exc:
            if name == "answer" and (self._settings.security, self._settings.port) == ("starttls", _SSL_PORT):
                # Such a server waits for our handshake, as we for its greeting.
                raise self._error_tls("mode") from exc
            raise self._explainer.error(self._explainer.line(exc, name)) from exc

    async def abandon(self) -> None:
        """End the line at once, where there is one."""
        if self._channel is not None:
            await self._channel.close(0)
        if self._socket is not None:
            self._socket.close()

    async def _find(self) -> str:
        settings = self._settings
        try:
            self._addresses = permitted(
                await resolve(settings.host, settings.port, self._patience.name),
                settings.port,
                trusted=self._explainer.profile.trusted_host,
                loopback=settings.security == "plain",
            )
        except Unresolved as exc:
            raise self._net("dns-temporary" if exc.temporary else "dns") from exc
        except Blocked:
            if settings.security == "plain":
                raise self._own("PLAIN-TEXT-REFUSED") from None
            raise self._net("blocked") from None
        return ", ".join(address.ip for address in self._addresses[:3])

    async def _reach(self) -> str:
        try:
            self._socket = await connect(self._addresses, self._patience)
        except Unreachable as exc:
            raise self._net("refused" if exc.refused else "timeout") from exc
        place = self._socket.getpeername()
        if self._settings.security != "ssl":
            await self._adopt(None)
        return f"{place[0]}, port {place[1]}"

    async def _handshake(self) -> str:
        context = await self._tls()
        try:
            async with asyncio.timeout(self._patience.encryption):
                await self._adopt(context)
        except (OSError, ssl.CertificateError) as exc:
            raise await self._tls_failed(exc) from exc
        return self._protection()

    async def _greet(self) -> str:
        reply = await self._greeting()
        if reply.status != _READY:
            raise self._refused(reply)
        await self._hello()
        return self._explainer.shown(reply.text.partition("\n")[0])

    async def _greeting(self) -> Reply:
        """The server's first reply. One that says nothing may wait for our handshake, as we for its words."""
        channel, now = self.channel, asyncio.get_running_loop().time
        ends = now() + self._patience.answer
        if self._settings.security != "ssl":
            silence = _SSL_SILENCE if self._settings.port == _SSL_PORT else self._patience.silence
            await asyncio.wait([channel.greeting], timeout=min(silence, self._patience.answer / 2))
            if channel.usable and not channel.greeting.done():
                speaks = await self._speaks_tls(min(self._patience.look, ends - now()))
                if speaks and not channel.greeting.done():
                    raise self._explainer.error(self._explainer.tls("mode").with_(step=self._now))
        return await channel.wait(channel.greeting, max(0.0, ends - now()))

    async def _speaks_tls(self, limit: float) -> bool:
        """Whether the server takes a handshake, on a line of its own that carries nothing else."""
        look = Door(replace(self._settings, security="ssl"), None, self._explainer)
        look._addresses, look._context = self._addresses, unverified()
        try:
            async with asyncio.timeout(limit):
                await look.run("port", look._reach)
                await look.run("encryption", look._handshake)
        except (DeliveryError, OSError):
            return False
        finally:
            await look.abandon()
        return True

    async def _upgrade(self) -> str:
        if "starttls" not in self.extensions:
            raise self._own("STARTTLS-MISSING")
        reply = await self.channel.command("STARTTLS", self._patience.encryption)
        if reply.status >= 500:
            raise self._own("STARTTLS-MISSING", reply=str(reply))
        if reply.status != _READY:
            raise self._refused(reply)
        if not self.channel.usable:
            raise self._error_tls("injection")
        context = await self._tls()
        try:
            async with asyncio.timeout(self._patience.encryption):
                await self.channel.start_tls(context, self._server_name)
        except (OSError, ssl.CertificateError) as exc:
            # Plaintext where the handshake should be: the server went on talking after its 220.
            if tls_error(exc)[0] == "mode":
                raise self._error_tls("injection") from exc
            raise await self._tls_failed(exc) from exc
        await self._hello()
        return self._protection()

    async def _hello(self) -> None:
        # What was offered before (in plain text) is forgotten with each EHLO (RFC 3207 §4.2).
        self.extensions = Extensions()
        reply = await self.channel.command(f"EHLO {self._own_name()}", self._patience.answer)
        if not reply.positive:
            raise self._refused(reply)
        self.extensions = Extensions.of(reply)

    async def _sign_in(self) -> str:
        assert self._authenticate is not None
        from recapito.smtp.auth import NoMechanism

        channel = self.channel
        if not self.extensions.mechanisms:
            raise self._own("AUTH-NOTOFFERED")
        channel.quiet = True
        try:
            reply = await self._authenticate.sign_in(
                channel, self.extensions.mechanisms, self._patience.sign_in
            )
        except NoMechanism as exc:
            raise self._own("AUTH-MECHANISM", offered=str(exc)) from None
        finally:
            channel.quiet = False
        if reply.status != _SIGNED_IN:
            raise self._refused(reply)
        return self._authenticate.account

    async def _adopt(self, context: ssl.SSLContext | None) -> None:
        channel = Channel(self._explainer.context.log)
        await asyncio.get_running_loop().create_connection(
            lambda: channel,
            sock=self._socket,
            ssl=context,
            server_hostname=self._server_name if context else None,
        )
        self._channel = channel

    async def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            # Loading the authorities of the system takes 20 ms, hence the thread.
            self._context = await self._explainer.context.in_thread(
                self._explainer.context.tls, self._settings.ca
            )
        return self._context

    @property
    def _server_name(self) -> str:
        return self._settings.host.removesuffix(".")

    def _own_name(self) -> str:
        """RFC 5321 §4.1.3: an address literal is a name that every host has, and costs no look-up."""
        if self._settings.helo:
            return self._settings.helo
        place = self._channel.info("sockname") if self._channel else None
        ip = str(place[0]).partition("%")[0] if place else "127.0.0.1"
        return f"[IPv6:{ip}]" if ":" in ip else f"[{ip}]"

    def _protection(self) -> str:
        line: ssl.SSLObject | None = self.channel.info("ssl_object")
        version = line.version() if line else None
        return ", ".join(part for part in (version, str(certificate_of(line))) if part)

    async def _tls_failed(self, exc: BaseException) -> DeliveryError:
        if isinstance(exc, TimeoutError):
            return self._net("timeout")
        error, text = tls_error(exc)
        if not error:
            return self._net("lost")
        if not isinstance(exc, ssl.SSLCertVerificationError):
            return self._error_tls(error, text)
        found = await self._presented()
        if error == "name" and not found.names and found.common_name:
            return self._own("TLS-NAME-OLD", cn=found.common_name, reply=text)
        return self._error_tls(error, text, **_told(error, text, found))

    async def _presented(self) -> Certificate:
        """The certificate that was just refused, read on a line of its own that carries nothing else."""
        look = Door(self._settings, None, self._explainer)
        look._context = unverified()
        with suppress(DeliveryError, OSError):
            async with asyncio.timeout(self._patience.look):
                for name, step in look.steps:
                    await look.run(name, step)
                    if name == "encryption":
                        break
        found = certificate_of(look._channel.info("ssl_object")) if look._channel else Certificate()
        await look.abandon()
        return found

    def _error_tls(self, error: str, text: str = "", **params: str | float) -> DeliveryError:
        return self._explainer.error(self._explainer.tls(error, text, **params))

    def _net(self, error: str) -> DeliveryError:
        return self._explainer.error(self._explainer.net(error, self._now))

    def _own(self, code: str, **params: str) -> DeliveryError:
        return self._explainer.error(self._explainer.own(code, step=self._now, **params))

    def _refused(self, reply: Reply) -> DeliveryError:
        if not reply.negative:
            return self._own("REPLY-STRANGE", reply=str(reply))
        return self._explainer.error(self._explainer.reply(reply, self._now))


def _told(error: str, text: str, found: Certificate) -> dict[str, str]:
    """What the texts need to tell the kinds of bad certificates apart: one of these, for each kind."""
    told = {
        "name": {"cn": str(found)},
        "expired": {"ended": found.ends},
        "not-yet-valid": {"begins": found.begins},
        "untrusted": {"itself": found.common_name} if text == SELF_SIGNED else {"issuer": found.issuer},
    }[error]
    return {name: value for name, value in told.items() if value}
