"""Signing in: one mechanism, one try, and nothing of the secret where it could be seen.

The encodings are aiosmtplib's pure functions; the dialogue is ours, because the exact replies are needed (its
own drops the text of a refused token, and tries up to three mechanisms with a wrong password).
"""

import base64
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol

from recapito.reply import Credential
from recapito.secret import Secret
from recapito.smtp.channel import Channel
from recapito.smtp.reply import Reply
from recapito.smtp.unfit import unfit

if TYPE_CHECKING:
    from recapito.transport import Token

__all__ = ["Authenticate", "NoMechanism", "Password", "XOAuth2"]

# The answer to a challenge that refuses a token (RFC 4954 §4: an empty line lets the server end with its 535).
_CHALLENGE = 334
_REFUSED = (535, 334)
# Octets of a response that still fit into the command's line (RFC 4954 §4, RFC 5321 §4.5.3.1.4).
_INITIAL_LIMIT = 490


class NoMechanism(Exception):
    """The server offers no mechanism that this sign-in has; ``offered`` are those it does."""

    def __init__(self, offered: frozenset[str]) -> None:
        super().__init__(", ".join(sorted(offered)))
        self.offered = offered


class Authenticate(Protocol):
    """How to sign in on an encrypted line."""

    @property
    def credential(self) -> Credential:
        """What it signs in with."""
        ...

    @property
    def account(self) -> str:
        """Who signs in."""
        ...

    @property
    def usable_until(self) -> datetime | None:
        """When what it signed in with expires; None: it does not."""
        ...

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What it has told the server, or may tell: masked in whatever the server says, should it repeat it."""
        ...

    async def sign_in(self, channel: Channel, mechanisms: frozenset[str], limit: float) -> Reply:
        """The server's last reply: 235, or the refusal. Raises NoMechanism, and what the channel raises."""
        ...


class Password:
    """User name and password, by PLAIN, else LOGIN, else CRAM-MD5; UTF-8 (RFC 4616)."""

    credential: Credential = "password"
    usable_until: datetime | None = None

    def __init__(self, account: str, password: Secret) -> None:
        if unfit(account):
            raise ValueError("the user name holds a control character")
        if unfit(password.reveal()):
            raise ValueError("the password holds a control character")
        self.account = account
        self._password = password
        self.secrets = (password,)

    async def sign_in(self, channel: Channel, mechanisms: frozenset[str], limit: float) -> Reply:
        """See :meth:`Authenticate.sign_in`. A wrong password is tried once: servers lock accounts."""
        for name, dialogue in (("PLAIN", self._plain), ("LOGIN", self._login), ("CRAM-MD5", self._cram_md5)):
            if name in mechanisms:
                return await dialogue(channel, limit)
        raise NoMechanism(mechanisms)

    async def _plain(self, channel: Channel, limit: float) -> Reply:
        if len(self._plain_response()) > _INITIAL_LIMIT:
            reply = await channel.command("AUTH PLAIN", limit)
        else:
            reply = await _ask(
                channel, lambda: b"AUTH PLAIN " + self._plain_response(), "AUTH PLAIN ***", limit
            )
        if reply.status == _CHALLENGE:  # it wants the response by itself
            reply = await _ask(channel, self._plain_response, "***", limit)
        return reply

    async def _login(self, channel: Channel, limit: float) -> Reply:
        reply = await channel.command("AUTH LOGIN", limit)
        for position in (0, 1):
            if reply.status != _CHALLENGE:
                return reply
            reply = await _ask(channel, partial(self._login_response, position), "***", limit)
        return reply

    async def _cram_md5(self, channel: Channel, limit: float) -> Reply:
        reply = await channel.command("AUTH CRAM-MD5", limit)
        if reply.status != _CHALLENGE:
            return reply
        try:
            base64.b64decode(challenge := reply.lines[0], validate=True)
        except ValueError:
            return await channel.command("*", limit)  # RFC 4954 §4: cancels, and the server says so
        return await _ask(channel, lambda: self._cram_response(challenge), "***", limit)

    def _plain_response(self) -> bytes:
        from aiosmtplib.auth import auth_plain_encode

        return auth_plain_encode(self.account, self._password.reveal())

    def _login_response(self, position: int) -> bytes:
        from aiosmtplib.auth import auth_login_encode

        return auth_login_encode(self.account, self._password.reveal())[position]

    def _cram_response(self, challenge: str) -> bytes:
        from aiosmtplib.auth import auth_crammd5_verify

        return auth_crammd5_verify(self.account, self._password.reveal(), challenge.encode("ascii"))


class XOAuth2:
    """An access token, by XOAUTH2. A refused one is asked for anew, once, and tried on the same line."""

    credential: Credential = "token"
    usable_until: datetime | None = None

    def __init__(self, account: str, token: "Callable[[Token | None], Awaitable[Token]]") -> None:
        if unfit(account):
            raise ValueError("the user name holds a control character")
        self.account = account
        self._token = token
        self.secrets: tuple[Secret, ...] = ()

    async def sign_in(self, channel: Channel, mechanisms: frozenset[str], limit: float) -> Reply:
        """See :meth:`Authenticate.sign_in`; the text of a refusal ends with the server's JSON about the token."""
        if "XOAUTH2" not in mechanisms:
            raise NoMechanism(mechanisms)
        token = await self._token(None)
        reply = await self._attempt(channel, token, limit)
        if reply.status in _REFUSED:
            fresh = await self._token(token)
            if fresh.value != token.value:
                token, reply = fresh, await self._attempt(channel, fresh, limit)
        self.usable_until = token.expires_at
        return reply

    async def _attempt(self, channel: Channel, token: "Token", limit: float) -> Reply:
        self.secrets = (*self.secrets, token.value)
        reply = await _ask(
            channel, lambda: b"AUTH XOAUTH2 " + self._response(token), "AUTH XOAUTH2 ***", limit
        )
        said = ""
        if reply.status == _CHALLENGE:
            said = _decoded(reply.lines[0])
            reply = await channel.command("", limit)
        if said:
            reply = Reply(reply.status, (*reply.lines, said), reply.enhanced, reply.clean)
        return reply

    def _response(self, token: "Token") -> bytes:
        from aiosmtplib.auth import auth_xoauth2_encode

        return auth_xoauth2_encode(self.account, token.value.reveal())


async def _ask(channel: Channel, make: Callable[[], bytes], shown: str, limit: float) -> Reply:
    channel.check_order()
    channel.write_secret(make, shown=shown)
    return await channel.wait(channel.expect(), limit)


def _decoded(challenge: str) -> str:
    try:
        return base64.b64decode(challenge, validate=True).decode("utf-8", "replace")
    except ValueError:
        return challenge
