# ruff: noqa: ARG002, N802 - aiosmtpd calls these methods by name, with all their arguments
"""The handler of a connection: EHLO's lines, sign-in by each mechanism, and the end of the content."""

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from typing import Any, Protocol

from aiosmtpd.smtp import MISSING, AuthResult, LoginPassword

from recapito.testing.smtp_conduct import Conduct
from recapito.testing.stored import Ending

__all__ = ["MECHANISMS", "Connection", "SignIns"]

#: What a server can be told to offer.
MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2")


class Connection(Protocol):
    """What is asked of the connection that it belongs to."""

    server: Conduct
    user: str | None

    @property
    def tls_version(self) -> str:
        """Empty where the line is in clear."""
        ...

    async def take(self, envelope: Any, content: bytes, *, lines: bool = True) -> str:
        """Store a message; returns the reply."""
        ...

    def end(self, how: Ending) -> None:
        """End the line."""
        ...


class SignIns:
    """aiosmtpd asks it by name: ``handle_…`` for commands, ``auth_…`` for mechanisms that it does not have."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def handle_EHLO(
        self, smtp: Any, session: Any, envelope: Any, hostname: str, lines: list[str]
    ) -> list[str]:
        """The lines of the EHLO reply, from the server's knobs alone."""
        session.host_name = hostname
        server = self._connection.server
        words = [server.hostname, *sorted(server.extensions)]
        if server.size_limit:
            words.append(f"SIZE {server.size_limit}")
        if server.limits:
            words.append(server.limits)
        secure = bool(self._connection.tls_version)
        if server.tls == "starttls" and not secure:
            words.append("STARTTLS")
        elif server.signs_in and server.mechanisms:
            words.append("AUTH " + " ".join(server.mechanisms))
        return [f"250-{word}" for word in words[:-1]] + [f"250 {words[-1]}"]

    async def handle_DATA(self, smtp: Any, session: Any, envelope: Any) -> str:
        """Called after the final dot."""
        return await self._connection.take(envelope, envelope.content)

    def verify_password(
        self, smtp: Any, session: Any, envelope: Any, mechanism: str, given: LoginPassword
    ) -> AuthResult:
        """PLAIN and LOGIN end here."""
        user = given.login.decode("utf-8", "replace")
        expected = self._connection.server.users.get(user)
        good = expected is not None and hmac.compare_digest(expected.encode(), given.password)
        return self._settle(user, good)

    async def auth_CRAM__MD5(self, smtp: Any, args: list[str]) -> AuthResult:
        """RFC 2195."""
        challenge = f"<{id(smtp)}.{len(self._connection.server.commands)}@{self._connection.server.hostname}>"
        answer = await smtp.challenge_auth(challenge)
        if answer is MISSING:
            return AuthResult(success=False)
        user, _, digest = answer.decode("utf-8", "replace").rpartition(" ")
        password = self._connection.server.users.get(user)
        good = password is not None and hmac.compare_digest(
            hmac.new(password.encode(), challenge.encode(), hashlib.md5).hexdigest(), digest
        )
        return self._settle(user, good)

    async def auth_XOAUTH2(self, smtp: Any, args: list[str]) -> AuthResult:
        """As Google and Microsoft do it: a refused token gets a JSON challenge first, then 535."""
        answer = b64decode(args[1]) if len(args) > 1 else await smtp.challenge_auth("")
        if answer is MISSING:
            return AuthResult(success=False)
        fields = dict(
            field.partition("=")[::2] for field in answer.decode("utf-8", "replace").split("\x01") if field
        )
        user, token = fields.get("user", ""), fields.get("auth", "").removeprefix("Bearer ")
        server = self._connection.server
        fits = server.token_fits(user, token) if server.token_fits else server.tokens.get(user) == token
        good = bool(token) and fits
        if not good:
            complaint = {"status": "400", "schemes": "Bearer", "scope": "https://mail.google.com/"}
            answer = await smtp.challenge_auth(b64encode(json.dumps(complaint).encode()), encode_to_b64=False)
            if answer is MISSING:
                return AuthResult(success=False)
        return self._settle(user, good)

    def _settle(self, user: str, good: bool) -> AuthResult:
        server = self._connection.server
        rule = server.rule("auth", user)
        if rule is not None and rule.reply is None:
            self._connection.end(rule.ending)
            return AuthResult(success=False, handled=True)
        if rule is not None or not good:
            server.login_failures += 1
            reply = rule.reply if rule else "535 5.7.8 Error: authentication failed"
            return AuthResult(success=False, handled=False, message=reply)
        server.logins.append(user)
        self._connection.user = user
        return AuthResult(
            success=True, auth_data=LoginPassword(user.encode(), b""), message="235 2.7.0 Accepted"
        )
