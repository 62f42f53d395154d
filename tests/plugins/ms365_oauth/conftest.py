"""A stand-in for Microsoft, and what sign-ins and sessions are given to reach it."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from recapito.profile import Found, Profile
from recapito.secret import Secret, Secrets
from recapito.testing import MicrosoftServer, TestContext, TestSignInContext
from recapito.transport import Attempt, Client, SignIn, Step
from recapito_ms365_oauth.plugin import CLIENT, INFO

REDIRECT = "http://localhost:8400/"
STATE, VERIFIER = "state-of-this-attempt", "v3rifier" * 8


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def microsoft() -> Iterator[MicrosoftServer]:
    with MicrosoftServer("anna@ditta.example") as server:
        yield server


class Registered:
    """A company whose app is registered at ``microsoft``, and one profile of it."""

    def __init__(self, microsoft: MicrosoftServer) -> None:
        self.microsoft = microsoft
        self.settings: dict[str, Any] = microsoft.client_settings()
        self.secrets: Secrets = microsoft.client_secrets()
        self.profile = Profile.of("anna", sender="anna@ditta.example", transport="ms365_oauth")

    def with_(self, sender: str = "", **settings: Any) -> Profile:
        """The profile, changed."""
        self.profile = self.profile.with_(
            sender=sender or self.profile.sender, settings={**self.profile.settings, **settings}
        )
        return self.profile

    @property
    def context(self) -> TestSignInContext:
        """What sign-ins are given."""
        client = Client(CLIENT, "", self.settings, self.secrets, "1")
        return TestSignInContext(client, trust=self.microsoft.pem)

    def sign_in(self, name: str = "code") -> SignIn:
        """One of the transport's sign-ins, for the profile."""
        return INFO.sign_ins[name](self.profile)

    def attempt(self, step: Step | None = None, **more: Any) -> Attempt:
        """What core keeps of a try, after ``step``."""
        given = {"redirect_uri": REDIRECT, "hint": INFO.account(self.profile), "state": STATE}
        private = step.private if step else Secrets()
        return Attempt(**{**given, "verifier": Secret(VERIFIER), "private": private, **more})

    async def signed_in(self, name: str = "code"):
        """The grant of a person who does all that is asked."""
        sign_in = self.sign_in(name)
        step = await sign_in.begin(self.context, self.attempt())
        query: Mapping[str, str] = {}
        if name == "code":
            query = self.microsoft.visit(step.url)
        elif name == "device":
            self.microsoft.authorize_device(step.user_code)
        return await sign_in.finish(self.context, self.attempt(step), query)

    def session_context(self, *tokens: str, found: Found | None = None) -> TestContext:
        """What the transport is given; with good tokens where none are named."""
        account = "" if self.profile.settings.get("sign_in") == "app-only" else INFO.account(self.profile)
        scopes = INFO.sign_ins["code"](self.profile).scopes or {"Mail.Send"}
        good = [self.microsoft.issue(account, scopes, self.microsoft.url) for _ in range(2)]
        context = TestContext(found or Found(self.profile), trust=self.microsoft.pem, tokens=tokens or good)
        context.client = dict(self.settings)
        return context


@pytest.fixture
def registered(microsoft: MicrosoftServer) -> Registered:
    return Registered(microsoft)
