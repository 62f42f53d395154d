"""What a sign-in is given: the company's client, TLS contexts, threads, a log without secrets, explanations."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from recapito.problem import Problem, Scope
from recapito.redaction import RedactingLog
from recapito.reply import ServerReply
from recapito.secret import Secrets
from recapito.signin import Client

if TYPE_CHECKING:
    from recapito.catalogue import Catalogue
    from recapito.profile import ProfileKey
    from recapito.workers import Workers

__all__ = ["ClientContext", "of_client"]

P = ParamSpec("P")
T = TypeVar("T")

_NOTHING = Secrets()


class ClientContext:
    """Implements :class:`recapito.signin.SignInContext` for one profile's sign-in through one client.

    ``more`` are secrets of this one act (a code, a verifier) that must not come into its log either.
    """

    def __init__(
        self,
        key: "ProfileKey",
        client: Client,
        catalogue: "Catalogue",
        tls: Callable[[str | None], ssl.SSLContext],
        workers: "Workers",
        more: Secrets = _NOTHING,
    ) -> None:
        self._client = client
        self._catalogue = catalogue
        self._tls = tls
        self._workers = workers
        self._log = RedactingLog(
            logging.getLogger(f"recapito.signin.{client.info.name}"),
            {"operator": str(key), "client": client.info.name},
            Secrets({**client.secrets, **{f"more {name}": more[name] for name in more}}),
            "",
        )

    @property
    def client(self) -> Client:
        """The registration, with its secrets."""
        return self._client

    @property
    def log(self) -> RedactingLog:
        """A log that knows whose sign-in it is and redacts the client's secrets."""
        return self._log

    def tls(self, extra_ca: str | None = None) -> ssl.SSLContext:
        """A verifying context that trusts ``extra_ca`` (PEM) too; kept."""
        return self._tls(extra_ca)

    async def in_thread(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """``function`` in a worker thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._workers, partial(function, *args, **kwargs))

    def explain(self, reply: ServerReply) -> Problem:
        """The problem behind a reply; one of the client names it."""
        return of_client(self._catalogue.explain(reply), self._client.info.name)


def of_client(problem: Problem, name: str) -> Problem:
    """``problem``, naming the client where it concerns one and does not say which."""
    if problem.scope is not Scope.CLIENT or problem.params.get("client"):
        return problem
    return problem.with_(params={**problem.params, "client": name})
