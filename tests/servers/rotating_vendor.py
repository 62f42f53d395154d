"""A vendor whose refresh tokens are good once, as a token endpoint on loopback, and the sign-in that asks it.

It counts what it is asked, by whatever process, and answers as a test tells it.
"""

import asyncio
import http.client
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlencode

from recapito.catalogue import problem
from recapito.errors import Held, NotSent
from recapito.oauth.vault import Holder
from recapito.profile import ProfileKey
from recapito.secret import Secret
from recapito.signin import Attempt, Grant, Refreshed, SignInContext, SignInKind, Step, Token

__all__ = ["ANNA", "RotatingSignIn", "RotatingVendor", "holder_of"]

ANNA = ProfileKey("", "anna")


def wall_clock() -> datetime:
    return datetime.now(UTC)


class RotatingVendor:
    """``strict``: a refresh token that was used before ends the whole grant (RFC 9700 §4.14.2)."""

    def __init__(self, *, strict: bool = True) -> None:
        self.strict = strict
        self.lives: float | None = 3600
        #: So many characters more than a token needs.
        self.padding = 0
        #: What is answered instead, in this order: status, headers, body.
        self.answers: list[tuple[int, dict[str, str], dict[str, Any]]] = []
        #: The refresh tokens that came; empty ones are an application's own.
        self.asked: list[str] = []
        #: Answers wait for it; set: they do not.
        self.may_answer = threading.Event()
        self.may_answer.set()
        #: Released for each request.
        self.arrived = threading.Semaphore(0)
        #: Done before an answer goes.
        self.before_answer: Callable[[], object] = lambda: None
        self.dead: set[str] = set()
        self._good: dict[str, str] = {}
        self._lock = threading.Lock()
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                status, headers, body = vendor.answer({name: values[0] for name, values in form.items()})
                sent = json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                """A client that was killed is no error of the vendor's."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def sign_in(self, account: str) -> Secret:
        """What a person's consent leaves; what was left before is good no more."""
        with self._lock:
            self.dead.discard(account)
            number = int(self._good.get(account, f"{account}/0").rpartition("/")[2]) + 1
            self._good[account] = f"{account}/{number}"
            return Secret(self._good[account])

    def is_good(self, secret: Secret) -> bool:
        """Whether it still renews a grant."""
        return self._good.get(secret.reveal().rpartition("/")[0]) == secret.reveal()

    def answer(self, form: Mapping[str, str]) -> tuple[int, dict[str, str], dict[str, Any]]:
        shown = form.get("refresh_token", "")
        with self._lock:
            self.asked.append(shown)
            number = len(self.asked)
            told = self.answers.pop(0) if self.answers else None
        self.arrived.release()
        if not self.may_answer.wait(30):
            raise TimeoutError("nobody let it answer")
        answer = told or self._tokens(shown, number)
        self.before_answer()
        return answer

    def _tokens(self, shown: str, number: int) -> tuple[int, dict[str, str], dict[str, Any]]:
        body: dict[str, Any] = {
            "access_token": f"token-{number}" + "x" * self.padding,
            "expires_in": self.lives,
        }
        if not shown:
            return 200, {}, body
        account, _, _ = shown.rpartition("/")
        with self._lock:
            if account in self.dead or (self.strict and self._good.get(account) != shown):
                self.dead.add(account)
                return 400, {}, {"error": "invalid_grant"}
        return 200, {}, body | {"refresh_token": self.sign_in(account).reveal()}


@dataclass
class RotatingSignIn:
    """Asks the vendor at ``port``; made anew each time, as the contract says."""

    port: int
    account: str = "anna@example.it"
    kind: SignInKind = "code"
    scopes: frozenset[str] = frozenset({"send"})
    client: str = "paper"
    resource: str = "mail"
    now: Callable[[], datetime] = wall_clock
    #: Awaited when the answer is there, before the vault sees it.
    answered: Callable[[], Awaitable[object]] | None = None
    finished: list[str] = field(default_factory=list)

    async def begin(self, context: SignInContext, attempt: Attempt) -> Step:
        return Step()

    async def finish(self, context: SignInContext, attempt: Attempt, query: Mapping[str, str]) -> Grant:
        self.finished.append(self.account)
        return Grant(account=self.account, scopes=self.scopes, secret=Secret(""))

    async def refresh(self, context: SignInContext, grant: Grant, resource: str) -> Refreshed:
        status, headers, body = await context.in_thread(self._ask, grant.secret, resource)
        if self.answered is not None:
            await self.answered()
        if status == 200:
            expires = self.now() + timedelta(seconds=body["expires_in"])
            rotated = Secret(body.get("refresh_token", ""))
            return Refreshed(
                Token(Secret(body["access_token"]), expires),
                replace(grant, secret=rotated) if rotated else None,
            )
        if body.get("error") == "invalid_grant":
            raise Held(problem("OAUTH-REVOKED", reply="invalid_grant"))
        if body.get("error") == "invalid_client":
            raise Held(problem("OAUTH-APP-SECRET", reply="invalid_client"))
        wait = headers.get("Retry-After")
        later = self.now() + timedelta(seconds=float(wait)) if wait else None
        raise NotSent(problem("OAUTH-TEMPORARY", retry_at=later))

    async def revoke(self, context: SignInContext, grant: Grant) -> None:
        raise AssertionError("a vault gives no grant back")

    def _ask(self, secret: Secret, resource: str) -> tuple[int, Mapping[str, str], dict[str, Any]]:
        form = {"grant_type": "refresh_token", "refresh_token": secret.reveal(), "resource": resource}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        try:
            connection.request("POST", "/token", urlencode(form))
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), json.loads(answer.read())
        finally:
            connection.close()


class Context:
    """What the vendor's sign-in needs of what it is given."""

    log = logging.LoggerAdapter(logging.getLogger("recapito.signin.paper"), {})

    async def in_thread(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(function, *args, **kwargs)


def holder_of(sign_in: RotatingSignIn, grant_id: str = "", **more: Any) -> Holder:
    """Anna's, as a mailer resolves it."""
    context: Any = Context()
    named = {"key": ANNA, "transport": "paper", "sign_in": sign_in.kind, "client_revision": "1"} | more
    return Holder(
        make=lambda: sign_in, context=lambda: context, grant_id=grant_id, scopes=sign_in.scopes, **named
    )
