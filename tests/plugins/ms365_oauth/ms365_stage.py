"""Microsoft on loopback with two mailboxes, and contexts whose tokens come from the sign-ins of ms365_oauth."""

import asyncio
import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from recapito.profile import Found, Profile
from recapito.secret import Secret, Secrets
from recapito.testing import CertificateAuthority, MicrosoftServer, TestContext, TestSignInContext
from recapito.testing.entra_error import entra_error
from recapito.testing.graph_api import graph_error
from recapito.testing.https_asked import Asked, Said
from recapito.testing.serving import LoopThread
from recapito.testing.stored import Ending
from recapito.transport import Attempt, Client, Grant, SignIn, Step, Token
from recapito_ms365_oauth.plugin import CLIENT, INFO

__all__ = ["ACCOUNTS", "REDIRECT", "STATE", "VERIFIER", "Gate", "GrantContext", "Microsoft", "Stage"]

ACCOUNTS = ("anna@ditta.example", "bruno@ditta.example")
#: One for all: to make an authority, and a certificate of it, takes longer than most tests.
AUTHORITY = CertificateAuthority()
REDIRECT = "http://localhost:8400/"
STATE, VERIFIER = "state-of-this-attempt", "v3rifier" * 8


class Microsoft(MicrosoftServer):
    """The kit's, refusing a whole message where one of its recipients is among ``refused``.

    With ``echo``, requests whose path ends so are refused with that status, in words that repeat what was sent.
    """

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.echo: tuple[str, int] | None = None
        super().__init__(ACCOUNTS[0], authority=AUTHORITY)
        self.identity.graph_permissions = {"Mail.Send", "Mail.ReadWrite"}
        self.identity.full_access = set(ACCOUNTS)

    def route(self, method: str, path: str, answer: Callable[[Asked], Said]) -> None:
        answer = self._checking(answer) if path.startswith("/v1.0/") else answer
        super().route(method, path, self._echoing(answer))

    def _echoing(self, answer: Callable[[Asked], Said]) -> Callable[[Asked], Said]:
        def echoed(asked: Asked) -> Said:
            if self.echo is None or not asked.path.endswith(self.echo[0]):
                return answer(asked)
            words = " ".join([*asked.form.values(), asked.bearer, asked.path])
            if asked.form:
                return entra_error(self.echo[1], "invalid_grant", 50173, words)
            return graph_error(self.echo[1], "SomethingNew", words)

        return echoed

    def _checking(self, answer: Callable[[Asked], Said]) -> Callable[[Asked], Said]:
        def checked(asked: Asked) -> Said:
            named = asked.body
            if asked.path.endswith("/sendMail"):
                try:
                    named = base64.b64decode(asked.body)
                except binascii.Error:
                    return answer(asked)
            if any(address.encode() in named for address in self.refused):
                return graph_error(400, "ErrorInvalidRecipients", "At least one recipient isn't valid.")
            return answer(asked)

        return checked


class Stage:
    """The stand-in, a company's registration there, and one profile of it."""

    def __init__(self, **settings: Any) -> None:
        self.microsoft = Microsoft()
        self.more: dict[str, Any] = {}
        self.secrets = self.microsoft.client_secrets()
        self.profile = Profile.of("anna", sender=ACCOUNTS[0], transport="ms365_oauth", settings=settings)

    def __enter__(self) -> Self:
        self.microsoft.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.microsoft.__exit__(*exc_info)

    @property
    def settings(self) -> dict[str, Any]:
        """The registration's, with whatever was put into ``more``."""
        return self.microsoft.client_settings(**self.more)

    @property
    def context(self) -> TestSignInContext:
        """What sign-ins are given."""
        client = Client(CLIENT, "", self.settings, self.secrets, "1")
        return TestSignInContext(client, trust=self.microsoft.pem)

    def with_(self, sender: str = "", **settings: Any) -> Profile:
        """The profile, changed for good."""
        whole = {**self.profile.settings, **settings}
        self.profile = self.profile.with_(sender=sender or self.profile.sender, settings=whole)
        return self.profile

    def sign_in(self, name: str = "", profile: Profile | None = None) -> SignIn:
        """One of the transport's sign-ins for the profile: by default the one that it uses."""
        profile = profile or self.profile
        return INFO.sign_ins[name or INFO.sign_in(profile)](profile)

    def attempt(self, step: Step | None = None, **more: Any) -> Attempt:
        """What core keeps of a try, after ``step``."""
        given = {"redirect_uri": REDIRECT, "hint": INFO.account(self.profile), "state": STATE}
        private = step.private if step else Secrets()
        return Attempt(**{**given, "verifier": Secret(VERIFIER), "private": private, **more})

    async def signed_in(self, name: str = "") -> Grant:
        """The grant of a person who does all that is asked."""
        sign_in = self.sign_in(name)
        step = await sign_in.begin(self.context, self.attempt())
        query: Mapping[str, str] = {}
        if sign_in.kind == "code":
            query = await asyncio.to_thread(self.microsoft.visit, step.url)
        elif sign_in.kind == "device":
            self.microsoft.authorize_device(step.user_code)
        ended = await sign_in.finish(self.context, self.attempt(step), query)
        assert isinstance(ended, Grant)
        return ended

    def grant(self, profile: Profile | None = None) -> Grant:
        """A grant for the profile as if somebody had just signed in."""
        profile = profile or self.profile
        sign_in = self.sign_in(profile=profile)
        if sign_in.kind == "app":
            return Grant(account="", scopes=frozenset(), secret=Secret(""))
        outlook = "https://outlook.office.com"
        root = outlook if sign_in.resource == "smtp" else self.microsoft.url
        scopes = [f"{root}/{name}" for name in sign_in.scopes]
        value = self.microsoft.give(INFO.account(profile), [*scopes, "offline_access", "openid"])
        secret = Secret(json.dumps({"refresh_token": value, "public": False}))
        return Grant(account=INFO.account(profile), scopes=sign_in.scopes, secret=secret)

    def session_context(self, found: Found | None = None, **client: Any) -> "GrantContext":
        """What the transport is given: tokens of a grant, by the profile's own sign-in."""
        found = found or Found(self.profile)
        profile = found.profile
        context = GrantContext(
            found, self.microsoft.pem, self.sign_in(profile=profile), self.context, self.grant(profile)
        )
        context.client.update(client)
        return context


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


class Gate(LoopThread):
    """Passes connections on to ``target``, or does what a bad network does."""

    #: Bytes of handshake and headers, which pass even where content does not.
    HEAD = 20_000

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
        self._lines: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter, list[bool]]] = []

    def __enter__(self) -> Self:
        super().__enter__()
        self.call(self._open.set)
        self.port = self.run(self.listen(self._protocol, "127.0.0.1", 0, None))
        return self

    def drop(self, ending: Ending) -> None:
        """End every open line; ``silence``: say nothing more, on the next new line either."""

        def end() -> None:
            for near, far, mute in self._lines:
                mute[0] = ending == "silence"
                if ending == "reset":
                    near.transport.abort()
                    far.transport.abort()
                elif ending == "close":
                    near.close()
                    far.close()
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
            mute = [False]
            self._lines.append((writer, far_writer, mute))
            await asyncio.gather(
                self._pump(reader, far_writer, mute, self._open), self._pump(far_reader, writer, mute, None)
            )
        except OSError:
            pass
        finally:
            for each in writers:
                each.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        mute: list[bool],
        gate: asyncio.Event | None,
    ) -> None:
        passed = 0
        while data := await reader.read(65_536):
            if mute[0]:
                await self._never.wait()
            passed += len(data)
            if gate is not None and passed > self.HEAD:
                await gate.wait()
            writer.write(data)
            await writer.drain()
        writer.close()
