"""Google on loopback with two mailboxes, and contexts whose tokens come from the sign-ins of gmail_oauth."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import rsa

from recapito.oauth import new_state, new_verifier
from recapito.profile import Found, Profile
from recapito.secret import Secret, Secrets
from recapito.testing import CertificateAuthority, GoogleServer, TestContext, TestSignInContext
from recapito.testing.gmail_api import api_error
from recapito.testing.https_asked import Asked, Said
from recapito.testing.serving import LoopThread
from recapito.testing.stored import Ending
from recapito.transport import Attempt, Client, Grant, SignIn, Step, Token
from recapito_gmail_oauth.google import MAIL, SEND
from recapito_gmail_oauth.kept import Kept
from recapito_gmail_oauth.plugin import CLIENT, INFO, SERVICE_ACCOUNT

__all__ = ["ACCOUNTS", "REDIRECT", "Gate", "GrantContext", "Stage", "anna", "signed_in"]

ACCOUNTS = ("anna@example.com", "bruno@example.com")
#: One for all: to make an authority, and a certificate of it, takes longer than most tests.
AUTHORITY = CertificateAuthority()
REDIRECT = "http://127.0.0.1:8765/"


def anna(**settings: Any) -> Profile:
    return Profile.of("anna", sender=ACCOUNTS[0], transport="gmail_oauth", settings=settings)


@cache
def _private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


class Google(GoogleServer):
    """The kit's, refusing a whole message where one of its recipients is among ``refused``."""

    def __init__(self, own_key: bool) -> None:
        self.refused: set[str] = set()
        super().__init__(ACCOUNTS[0], authority=AUTHORITY)
        if not own_key:
            self.workspace._private = _private_key()

    def route(self, method: str, path: str, answer: Callable[[Asked], Said]) -> None:
        super().route(method, path, self._checking(answer) if path.startswith("/upload") else answer)

    def _checking(self, answer: Callable[[Asked], Said]) -> Callable[[Asked], Said]:
        def checked(asked: Asked) -> Said:
            if any(address.encode() in asked.body for address in self.refused):
                return api_error(400, "invalidArgument", "Invalid To header", "INVALID_ARGUMENT")
            return answer(asked)

        return checked


class Stage:
    """The stand-in, a grant for each account, and registrations that reach it.

    ``own_key``: its service account has another key than other stages'.
    """

    def __init__(self, *, own_key: bool = False) -> None:
        self.google = Google(own_key)
        self._grants = {
            (account, scope): self.grant(account, scope=scope)
            for account in ACCOUNTS
            for scope in (SEND, MAIL)
        }

    def __enter__(self) -> Self:
        self.google.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.google.__exit__(*exc_info)

    def settings(self, info: Any = CLIENT, **more: Any) -> dict[str, Any]:
        """A registration's settings; ``more`` with None takes one away."""
        whole = {**self.google.client_settings(), "iam_root": self.google.url, **more}
        if info is SERVICE_ACCOUNT:
            whole["client_id"] = more.get("client_id")
        return {
            name: value
            for name, value in whole.items()
            if value is not None and name in info.settings.model_fields
        }

    def signin_context(
        self, info: Any = CLIENT, secrets: Mapping[str, str] | None = None, **more: Any
    ) -> TestSignInContext:
        """What a sign-in is given."""
        if secrets is None:
            own = {"key": self.google.service_account()} if info is SERVICE_ACCOUNT else {}
            secrets = own or {"client_secret": self.google.client_secret}
        client = Client(info, settings=self.settings(info, **more), secrets=Secrets(secrets))
        return TestSignInContext(client, trust=self.google.pem)

    def grant(
        self,
        account: str = ACCOUNTS[0],
        *,
        scope: str = SEND,
        refresh_token: str | None = None,
        **kept: datetime,
    ) -> Grant:
        """A grant that a person gave a moment ago, or when ``kept`` says."""
        scopes = frozenset({"openid", "email", scope})
        value = refresh_token or self.google.give(account, sorted(scopes))
        now = datetime.now(UTC)
        secret = Kept(Secret(value), kept.get("since", now), kept.get("used", now)).secret
        return Grant(account=account, scopes=scopes, secret=secret)

    def context(self, found: Found, **client: Any) -> "GrantContext":
        """What a transport is given for that profile: tokens of a grant, by the sign-in that it chose."""
        profile = found.profile
        info = SERVICE_ACCOUNT if INFO.sign_in(profile) == "service-account" else CLIENT
        scope = MAIL if profile.settings.get("send_by") == "smtp" else SEND
        grant = self._grants[profile.sender, scope]
        signs_in = self.signin_context(info, **client)
        return GrantContext(
            found, self.google.pem, INFO.sign_ins[INFO.sign_in(profile)](profile), signs_in, grant
        )


class GrantContext(TestContext):
    """Tokens by a sign-in, warm until refused: what the vault does, without keeping anything."""

    def __init__(
        self, found: Found, trust: str, sign_in: SignIn, signs_in: TestSignInContext, grant: Grant
    ) -> None:
        super().__init__(found, trust=trust)
        self.client = dict(signs_in.client.settings)
        self.sign_in = sign_in
        self.signs_in = signs_in
        self.grant = grant
        self._one = asyncio.Lock()
        self._warm: Token | None = None

    async def token(self, resource: str, *, refused: Token | None = None) -> Token:
        """The warm one, or what the sign-in gives."""
        self.asked.append(resource)
        async with self._one:
            if self._warm is None or refused == self._warm:
                refreshed = await self.sign_in.refresh(self.signs_in, self.grant, resource)
                self.grant, self._warm = refreshed.grant or self.grant, refreshed.token
            return self._warm


def attempt(hint: str = "", *, state: str | None = None, private: Secrets | None = None) -> Attempt:
    """A try, as core makes it."""
    return Attempt(
        redirect_uri=REDIRECT,
        hint=hint,
        state=state or new_state(),
        verifier=new_verifier(),
        private=private or Secrets(),
    )


async def signed_in(
    stage: Stage,
    sign_in: SignIn,
    *,
    hint: str = "",
    change: Callable[[dict[str, str]], None] | None = None,
    context: TestSignInContext | None = None,
) -> Grant:
    """A whole sign-in with the browser played; ``change`` tampers with what the redirect brings back."""
    context = context or stage.signin_context()
    trying = attempt(hint)
    step = await sign_in.begin(context, trying)
    query = await asyncio.to_thread(stage.google.visit, step.url)
    assert query["state"] == trying.state
    if change:
        change(query)
    trying = Attempt(
        redirect_uri=trying.redirect_uri,
        hint=hint,
        state=trying.state,
        verifier=trying.verifier,
        private=step.private,
    )
    ended = await sign_in.finish(context, trying, query)
    assert not isinstance(ended, Step)
    return ended


class Gate(LoopThread):
    """Passes connections on to ``target``, or does what a bad network does."""

    def __init__(self, target: int) -> None:
        super().__init__("gate")
        self.target = target
        self.port = 0
        #: Every connection from now on is closed at once.
        self.closing = False
        self._silent = 0
        self._open = asyncio.Event()
        # Held here: a task that waits for what nobody else knows is garbage, and its line with it.
        self._never = asyncio.Event()
        self._lines: list[_Line] = []

    def __enter__(self) -> Self:
        super().__enter__()
        self.call(self._open.set)
        self.port = self.run(self.listen(self._protocol, "127.0.0.1", 0, None))
        return self

    def drop(self, ending: Ending) -> None:
        """End every open line; ``silence``: say nothing more, on the next new line either."""

        def end() -> None:
            for line in self._lines:
                line.end(ending)
            self._lines.clear()
            self._silent = 1 if ending == "silence" else 0

        self.call(end)

    def behave(self) -> None:
        """Pass on what comes."""
        self.closing, self._silent = False, 0
        self.call(self._open.set)

    @contextmanager
    def stall(self) -> Iterator[None]:
        """Inside it, nothing more is taken from who sends, once a message has begun."""
        self.call(self._open.clear)
        try:
            yield
        finally:
            self.call(self._open.set)

    def _protocol(self) -> asyncio.BaseProtocol:
        reader = asyncio.StreamReader(limit=65_536, loop=self.loop)
        return asyncio.StreamReaderProtocol(reader, self._serve, loop=self.loop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            if self.closing:
                return
            if self._silent:
                self._silent -= 1
                await self._never.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
            writers.append(far_writer)
            line = _Line(writer, far_writer, self._never)
            self._lines.append(line)
            await asyncio.gather(
                line.pump(reader, far_writer, self._open), line.pump(far_reader, writer, None)
            )
        except OSError:
            pass
        finally:
            for each in writers:
                each.transport.abort()


class _Line:
    #: Bytes of handshake and headers, which pass even where content does not.
    HEAD = 20_000

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter, never: asyncio.Event) -> None:
        self._near, self._far, self._never = near, far, never
        self._mute = False

    def end(self, ending: Ending) -> None:
        if ending == "silence":
            self._mute = True
        elif ending == "reset":
            self._near.transport.abort()
            self._far.transport.abort()
        else:
            self._near.close()
            self._far.close()

    async def pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event | None
    ) -> None:
        passed = 0
        while data := await reader.read(65_536):
            if self._mute:
                await self._never.wait()
            passed += len(data)
            if gate is not None and passed > self.HEAD:
                await gate.wait()
            writer.write(data)
            await writer.drain()
        writer.close()


def key_of(stage: Stage) -> dict[str, Any]:
    """The service account's key, taken apart."""
    found: dict[str, Any] = json.loads(stage.google.service_account())
    return found
