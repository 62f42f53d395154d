"""The benches of gmail_oauth: Google is the kit's stand-in, tokens come from the plugin's own sign-ins there."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from gmail_stage import ACCOUNTS, Gate, GrantContext, Stage

from recapito.profile import Found, Profile
from recapito.secret import Secret, Secrets
from recapito.testing import Arrived, Bench, SmtpBench, SmtpServer
from recapito.testing.gmail_api import api_error
from recapito.testing.stored import Ending
from recapito.transport import Context, Session, TransportInfo
from recapito_gmail_oauth.google import Google
from recapito_gmail_oauth.plugin import INFO
from recapito_gmail_oauth.transport import Gmail

__all__ = ["USERS", "ApiBench", "PasswordBench", "SmtpTokenBench", "with_password"]

UPLOAD = "/upload/"
USERS = {"anna@gmail.com": "abcd efgh ijkl mnop", "bruno@gmail.com": "qrst uvwx yzab cdef"}


def with_password(server: SmtpServer, user: str, password: Secret) -> Found:
    name = user.partition("@")[0]
    mine = Profile.of(name, sender=user, transport="gmail_oauth", settings={"sign_in": "app-password"})
    return Found(mine, Secrets({"password": password}), "1")


def with_grant(number: int, **settings: Any) -> Found:
    user = ACCOUNTS[number - 1]
    name = user.partition("@")[0]
    return Found(Profile.of(name, sender=user, transport="gmail_oauth", settings=settings), Secrets(), "1")


class Grants:
    """What both ways out have of a grant: contexts, and how Google ends it."""

    stage: Stage

    def granted(self, found: Found, **client: Any) -> GrantContext:
        if found.revision != "wrong":
            return self.stage.context(found, **client)
        # A grant, or a key, that Google has never heard of.
        with Stage(own_key=True) as elsewhere:
            context = elsewhere.context(found)
        context.signs_in = self.stage.signin_context(
            context.signs_in.client.info,
            {name: secret.reveal() for name, secret in context.signs_in.client.secrets.items()},
        )
        context.client = {**context.signs_in.client.settings, **client}
        return context

    def lose(self) -> None:
        for account in ACCOUNTS:
            self.stage.google.revoke(account)
        self.stage.google.workspace.scopes = set()

    def restore(self) -> None:
        google = self.stage.google
        google.behave()
        google.refused.clear()
        for grant in google.grants.values():
            grant.dead = ""
        google.workspace.scopes = {"https://www.googleapis.com/auth/gmail.send", "https://mail.google.com/"}


class ApiBench(Grants, Bench):
    """The Gmail API behind a gate that does what networks do."""

    def __init__(self, stage: Stage, gate: Gate, settings: dict[str, Any]) -> None:
        super().__init__(INFO)
        self.stage = stage
        self.gate = gate
        self._settings = settings

    @classmethod
    @contextmanager
    def of(cls, **settings: Any) -> "Iterator[ApiBench]":
        with Stage() as stage, Gate(stage.google.port) as gate:
            yield cls(stage, gate, settings)

    def found(self, number: int = 1) -> Found:
        return with_grant(number, **self._settings)

    def context(self, found: Found) -> Context:
        return self.granted(found, api_root=f"https://127.0.0.1:{self.gate.port}")

    def arrived(self) -> Sequence[Arrived]:
        return self.stage.google.messages

    def behave(self) -> None:
        self.restore()
        self.stage.google.gmail.maximum = 36_700_160
        self.gate.behave()

    def let_idle(self, session: Session) -> None:
        if (kept := session._line.http._kept) is not None:  # type: ignore[attr-defined]
            kept[1].idle_since -= 3600

    def wrong_secrets(self, found: Found) -> Found:
        return Found(found.profile, Secrets(), "wrong")

    def refuse_sender(self) -> None:
        self._answer(400, "invalidArgument", "Invalid From header")

    def refuse_recipient(self, address: str) -> None:
        self.stage.google.refused.add(address)

    def limit_size(self, size: int) -> None:
        self.stage.google.gmail.maximum = size

    def answer_temporarily(self) -> None:
        self._answer(503, "backendError", "Backend Error", {"Retry-After": "30"})

    def throttle(self) -> None:
        self._answer(
            429, "rateLimitExceeded", "User-rate limit exceeded.  Retry after 2099-01-01T00:00:00.000Z"
        )

    def lose_sign_in(self) -> None:
        self.lose()

    def lose_before_content(self) -> None:
        self.gate.closing = True

    def lose_after_content(self) -> None:
        self.stage.google.fail(UPLOAD, how="lost", times=None)

    def drop_idle(self, ending: Ending) -> None:
        self.gate.drop(ending)

    def hold(self) -> AbstractContextManager[None]:
        return self.stage.google.hold()

    def held(self) -> int:
        return self.stage.google.held()

    def stall(self) -> AbstractContextManager[None]:
        return self.gate.stall()

    def sent_copies(self) -> int:
        # Gmail files every message that it takes; the stand-in keeps what it took.
        return len(self.stage.google.messages)

    def _answer(self, status: int, reason: str, said: str, headers: dict[str, str] | None = None) -> None:
        body = api_error(status, reason, said).body
        self.stage.google.fail(UPLOAD, status=status, body=body, headers=headers, times=None)


class SmtpTokenBench(Grants, SmtpBench):
    """Gmail's SMTP server, which takes the very tokens that its stand-in has issued."""

    def __init__(self, stage: Stage, server: SmtpServer, settings: dict[str, Any]) -> None:
        self.stage = stage
        self._settings = settings
        super().__init__(INFO, with_password, server, {})

    @classmethod
    @contextmanager
    def within(cls, **settings: Any) -> "Iterator[SmtpTokenBench]":
        with Stage() as stage, stage.google.smtp() as server:
            yield cls(stage, server, settings)

    def found(self, number: int = 1) -> Found:
        return with_grant(number, **self._settings)

    def context(self, found: Found) -> Context:
        return self.granted(found, smtp_host="localhost", smtp_port=self.server.port)

    def behave(self) -> None:
        super().behave()
        self.restore()

    def lose_sign_in(self) -> None:
        super().lose_sign_in()
        self.lose()

    def wrong_secrets(self, found: Found) -> Found:
        return Found(found.profile, Secrets(), "wrong")

    def sent_copies(self) -> int:
        return len(self.server.messages)


class PasswordBench(SmtpBench):
    @classmethod
    def of(cls, info: TransportInfo, profile: Any, **server: Any) -> Any:
        return super().of(info, profile, **server)

    def __init__(self, info: TransportInfo, profile: Any, server: SmtpServer, secrets: Any) -> None:
        there = Google(smtp_host="localhost", smtp_port=server.port)
        super().__init__(replace(info, factory=lambda: Gmail(there)), profile, server, secrets)
        # People paste the password with the spaces that Google shows; the server knows it without.
        server.users = {user: password.replace(" ", "") for user, password in secrets.items()}
        self.remember()

    def sent_copies(self) -> int:
        # Gmail files every message that its server takes; the kit's server keeps what it took.
        return len(self.server.messages)
