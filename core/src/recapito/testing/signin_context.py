"""What a sign-in is given, for tests of sign-ins: no store, no vault."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from recapito.catalogue import builtin
from recapito.problem import Problem
from recapito.redaction import RedactingLog
from recapito.reply import ServerReply
from recapito.signin import Client

__all__ = ["TestSignInContext"]

P = ParamSpec("P")
T = TypeVar("T")


class TestSignInContext:
    """A :class:`recapito.signin.SignInContext` for one client; ``trust`` is the PEM of authorities that are trusted."""

    __test__ = False  # pytest takes a class called Test… for tests

    def __init__(self, client: Client, *, trust: str = "") -> None:
        self.client = client
        self._trust = trust
        self._contexts: dict[str | None, ssl.SSLContext] = {}
        self._log = RedactingLog(
            logging.getLogger(f"recapito.signin.{client.info.name}"), {}, client.secrets, ""
        )

    @property
    def log(self) -> "logging.LoggerAdapter[logging.Logger]":
        """The sign-in's logger, redacting."""
        return self._log

    def tls(self, extra_ca: str | None = None) -> ssl.SSLContext:
        """A verifying context that trusts ``trust`` and ``extra_ca``, and nobody else; kept."""
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
