"""What a transport is given, for tests of transports: no store, no vault, no pool."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, TypeVar

from recapito.catalogue import builtin, problem
from recapito.errors import Held
from recapito.problem import Problem
from recapito.profile import Found
from recapito.redaction import RedactingLog
from recapito.reply import ServerReply
from recapito.secret import Secret
from recapito.transport import Token

__all__ = ["TestContext"]

P = ParamSpec("P")
T = TypeVar("T")


class TestContext:
    """A :class:`recapito.transport.Context` for one profile.

    ``trust`` is the PEM of authorities that ``tls`` accepts besides ``extra_ca`` (no others: tests meet no public
    server). ``tokens`` are what :meth:`token` issues: the first, and the next one each time the current one is
    refused; after the last, Held.
    """

    __test__ = False  # pytest takes a class called Test… for tests

    def __init__(self, found: Found, *, trust: str = "", tokens: Iterable[str] = ()) -> None:
        profile = found.profile
        self.secrets = found.secrets
        #: The settings of the OAuth client, for a test to fill.
        self.client: dict[str, Any] = {}
        self.asked: list[str] = []
        self._trust = trust
        self._tokens = [Token(Secret(value), datetime.now(UTC) + timedelta(hours=1)) for value in tokens]
        self._contexts: dict[str | None, ssl.SSLContext] = {}
        self._log = RedactingLog(
            logging.getLogger(f"recapito.transport.{profile.transport}"),
            {"profile": str(profile.key)},
            found.secrets,
            str(profile.settings.get("username") or profile.sender),
        )

    @property
    def log(self) -> "logging.LoggerAdapter[logging.Logger]":
        """The logger of the profile's transport, redacting."""
        return self._log

    async def token(self, resource: str, *, refused: Token | None = None) -> Token:
        """The current token; each ``resource`` that was asked for is kept in ``asked``."""
        self.asked.append(resource)
        if refused is not None and self._tokens and refused == self._tokens[0]:
            self._tokens.pop(0)
        if not self._tokens:
            raise Held(problem("OAUTH-REVOKED"))
        return self._tokens[0]

    def tls(self, extra_ca: str | None = None) -> ssl.SSLContext:
        """A verifying context that trusts ``trust`` and ``extra_ca``, kept."""
        if extra_ca not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.hostname_checks_common_name = False
            for pem in (self._trust, extra_ca):
                if pem:
                    context.load_verify_locations(cadata=pem)
            self._contexts[extra_ca] = context
        return self._contexts[extra_ca]

    async def in_thread(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """``function`` in a worker thread."""
        return await asyncio.to_thread(function, *args, **kwargs)

    def explain(self, reply: ServerReply) -> Problem:
        """By core's catalogue."""
        return builtin().explain(reply)

    def __repr__(self) -> str:
        return f"TestContext({self.secrets!r})"
