"""The bench of any transport that speaks SMTP: a server of the kit's, and what it is told to do."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias

from recapito.envelope import Notify
from recapito.profile import Found
from recapito.secret import Secret
from recapito.testing.bench import Arrived, Bench
from recapito.testing.context import TestContext
from recapito.testing.smtp_server import SmtpServer
from recapito.testing.stored import Ending, StoredMessage
from recapito.transport import Context, Session, TransportInfo

__all__ = ["MakeProfile", "SmtpBench"]

#: Makes the profile that reaches ``server`` and signs in as ``user`` with ``secret`` (a password, or a token).
MakeProfile: TypeAlias = Callable[[SmtpServer, str, Secret], Found]

#: Users and passwords, with all that breaks careless encodings: space, colon, quotes, backslash, accents.
_USERS = {
    "anna@example.it": 'Perché: «no»? "3\\4" d\'Anna',
    "bruno@example.it": 'Così: «sì»? "5\\6" di Bruno',
}


class SmtpBench(Bench):
    """A transport's author writes how a profile is made, and has the rest::

        def profile(server, user, password):
            settings = {"host": server.host, "port": server.port, "security": server.tls, "username": user}
            mine = Profile.of(user.partition("@")[0], sender=user, transport="mine", settings=settings)
            return Found(mine, Secrets({"password": password}), "1")

        class TestMine(TransportConformance):
            def make_bench(self):
                return SmtpBench.of(INFO, profile, tls="starttls")

    The kit's ``TestContext`` trusts the server's certificate. A session that measures how long it was idle by an
    attribute ``idle_since`` (on the loop's clock), as :class:`recapito.smtp.SmtpSession` does, is made to believe
    that it was long; for another one override :meth:`let_idle`.
    """

    def __init__(
        self, info: TransportInfo, profile: MakeProfile, server: SmtpServer, secrets: Mapping[str, str]
    ) -> None:
        super().__init__(info)
        self.server = server
        self._profile = profile
        self._secrets = {user: Secret(secret) for user, secret in secrets.items()}
        self.remember()

    @classmethod
    @contextmanager
    def of(
        cls,
        info: TransportInfo,
        profile: MakeProfile,
        *,
        users: Mapping[str, str] = _USERS,
        tokens: bool = False,
        **server: Any,
    ) -> "Iterator[SmtpBench]":
        """What ``make_bench`` returns. ``users`` are two addresses and their passwords (with ``tokens``: access
        tokens, for XOAUTH2); the rest is :class:`SmtpServer`'s.
        """
        signs_in = {"tokens": users, "mechanisms": ["XOAUTH2"]} if tokens else {"users": users}
        with SmtpServer(**(signs_in | server)) as running:
            yield cls(info, profile, running, users)

    def found(self, number: int = 1) -> Found:
        """The profile of the first or second user."""
        user = list(self._secrets)[number - 1]
        return self._profile(self.server, user, self._secrets[user])

    def context(self, found: Found) -> Context:
        """One that trusts the server's authority, and issues the user's token where tokens sign in."""
        user = found.profile.sender
        tokens = [self._secrets[user].reveal()] if self.server.tokens or self._good[1] else []
        return TestContext(found, trust=self.server.pem, tokens=tokens)

    def account(self, found: Found) -> str:
        """The user who signed in: the profile's sender."""
        return found.profile.sender

    def arrived(self) -> Sequence[Arrived]:
        """What the server stored."""
        return [_arrived(message) for message in self.server.messages]

    def let_idle(self, session: Session) -> None:
        """An hour, where the session keeps ``idle_since``."""
        if hasattr(session, "idle_since"):
            session.idle_since -= 3600

    def remember(self) -> None:
        """Take the server as it is now for how it behaves, after a change of its users or limits."""
        server = self.server
        self._good = (dict(server.users), dict(server.tokens), server.size_limit, set(server.extensions))

    def behave(self) -> None:
        """Users, limits and extensions as at first, and no rules."""
        users, tokens, size, extensions = self._good
        self.server.allow()
        self.server.users, self.server.tokens = dict(users), dict(tokens)
        self.server.size_limit, self.server.extensions = size, set(extensions)

    def refuse_sender(self) -> None:
        """At MAIL."""
        self.server.refuse("mail", "553 5.7.1 Sender address rejected: not owned by user")

    def refuse_recipient(self, address: str) -> None:
        """At RCPT."""
        self.server.refuse("rcpt", "550 5.1.1 Recipient address rejected: User unknown", address=address)

    def limit_size(self, size: int) -> None:
        """Announced in EHLO, and kept."""
        self.server.size_limit = size

    def answer_temporarily(self) -> None:
        """After the final dot."""
        self.server.refuse("content", "451 4.3.0 Temporary failure, please try again later")

    def lose_sign_in(self) -> None:
        """The passwords, or tokens, are others now; open lines have to sign in again."""
        self.server.users = dict.fromkeys(self.server.users, "another password")
        self.server.tokens = dict.fromkeys(self.server.tokens, "another-token")

    def throttle(self) -> None:
        """At MAIL."""
        self.server.refuse("mail", "421 4.7.0 Too many messages, try again later, closing connection")

    def lose_before_content(self) -> None:
        """At DATA; before MAIL where the server takes chunks, since the content may come in the same flight."""
        self.server.drop("ehlo" if "CHUNKING" in self.server.extensions else "data")

    def lose_after_content(self) -> None:
        """After the final dot."""
        self.server.drop("content")

    def drop_idle(self, ending: Ending) -> None:
        """Every open line."""
        self.server.drop_idle(ending)

    def hold(self) -> AbstractContextManager[None]:
        """The reply to the final dot."""
        return self.server.hold("content")

    def held(self) -> int:
        """How many such replies wait."""
        return self.server.waiting["content"]

    def stall(self) -> AbstractContextManager[None]:
        """After the 354."""
        return self.server.stall()

    def offer_notices(self, offered: bool) -> None:
        """DSN in the EHLO reply, or not."""
        (self.server.extensions.add if offered else self.server.extensions.discard)("DSN")


def _arrived(message: StoredMessage) -> Arrived:
    words = {word.upper() for options in message.rcpt_options for word in options}
    notify = {
        Notify(kind.lower())
        for word in words
        if word.startswith("NOTIFY=")
        for kind in word.removeprefix("NOTIFY=").split(",")
        if kind != "NEVER"
    }
    return Arrived(
        message.envelope_from, message.rcpt_tos, message.content, message.user or "", frozenset(notify)
    )
