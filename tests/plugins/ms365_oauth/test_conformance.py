"""ms365_oauth against the contract in every mode: a person's mailbox and the app's, Graph, its drafts, and SMTP.

Microsoft is the kit's stand-in; tokens come from the plugin's own sign-ins, by requests to it.
"""

import email
import email.policy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from ms365_stage import ACCOUNTS, Gate, GrantContext, Stage

from recapito.profile import Found, Profile
from recapito.secret import Secrets
from recapito.testing import Arrived, Bench, SmtpBench, SmtpServer, TransportConformance
from recapito.testing.graph_api import Draft
from recapito.testing.stored import Ending
from recapito.transport import Context, Session
from recapito_ms365_oauth.plugin import INFO
from recapito_ms365_oauth.transport import Ms365


def profile(number: int, **settings: Any) -> Found:
    user = ACCOUNTS[number - 1]
    name = user.partition("@")[0]
    return Found(Profile.of(name, sender=user, transport="ms365_oauth", settings=settings), Secrets(), "1")


class Grants:
    """What every way out has of a grant: contexts, and how Microsoft ends it."""

    stage: Stage

    def granted(self, found: Found, **client: Any) -> GrantContext:
        context = self.stage.session_context(found, **client)
        if found.revision == "wrong":
            # A grant that Microsoft has never heard of, and an app that it does not believe.
            context.grant = Stage().grant(found.profile)
            context.signs_in.client = replace(
                context.signs_in.client, secrets=Secrets({"client_secret": "the wrong one"})
            )
        return context

    def lose(self) -> None:
        for account in (*ACCOUNTS, ""):
            self.stage.microsoft.revoke(account)
        self.stage.microsoft.identity.expired = True

    def restore(self) -> None:
        microsoft = self.stage.microsoft
        microsoft.behave()
        microsoft.refused.clear()
        microsoft.identity.expired = False
        for grant in microsoft.grants.values():
            grant.dead = ""


class GraphBench(Grants, Bench):
    """Graph behind a gate that does what networks do. ``last`` is how the request ends that carries the message."""

    last = "/sendMail"

    def __init__(self, stage: Stage, gate: Gate, settings: dict[str, Any]) -> None:
        super().__init__(INFO)
        self.stage = stage
        self.gate = gate
        self._settings = settings
        # What the tokens are for follows the address that Graph is reached by.
        stage.microsoft.graph_root = f"https://127.0.0.1:{gate.port}"

    @classmethod
    @contextmanager
    def of(cls, **settings: Any) -> "Iterator[GraphBench]":
        with Stage() as stage, Gate(stage.microsoft.port) as gate:
            yield cls(stage, gate, settings)

    def found(self, number: int = 1) -> Found:
        return profile(number, **self._settings)

    def context(self, found: Found) -> Context:
        return self.granted(found, graph_root=f"https://127.0.0.1:{self.gate.port}")

    def account(self, found: Found) -> str:
        return found.profile.sender

    def arrived(self) -> Sequence[Arrived]:
        return self.stage.microsoft.messages

    def behave(self) -> None:
        self.restore()
        self.gate.behave()

    def let_idle(self, session: Session) -> None:
        if (kept := session._line.http._kept) is not None:
            kept[1].idle_since -= 3600

    def wrong_secrets(self, found: Found) -> Found:
        return Found(found.profile, Secrets(), "wrong")

    def refuse_sender(self) -> None:
        self._answer(403, "ErrorSendAsDenied", "The user account does not have the right to send mail")

    def refuse_recipient(self, address: str) -> None:
        self.stage.microsoft.refused.add(address)

    def limit_size(self, size: int) -> None:
        self._answer(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.")

    def answer_temporarily(self) -> None:
        self._answer(503, "serviceNotAvailable", "The service is unavailable.", {"Retry-After": "30"})

    def throttle(self) -> None:
        said = "Application is over its MailboxConcurrency limit."
        self._answer(429, "ApplicationThrottled", said, {"Retry-After": "30"})

    def lose_sign_in(self) -> None:
        self.lose()

    def lose_before_content(self) -> None:
        self.gate.closing = True

    def lose_after_content(self) -> None:
        self.stage.microsoft.fail("/v1.0/", how="lost", times=None, ending=self.last)

    def drop_idle(self, ending: Ending) -> None:
        self.gate.drop(ending)

    def hold(self) -> AbstractContextManager[None]:
        return self.stage.microsoft.hold(self.last)

    def held(self) -> int:
        return self.stage.microsoft.held()

    def stall(self) -> AbstractContextManager[None]:
        return self.gate.stall()

    def sent_copies(self) -> int:
        # Exchange files every message that it takes; the stand-in keeps what it took.
        return len(self.arrived())

    def _answer(self, status: int, code: str, said: str, headers: dict[str, str] | None = None) -> None:
        body = {"error": {"code": code, "message": said}}
        self.stage.microsoft.fail(
            "/v1.0/", status=status, body=body, headers=headers, times=None, ending=self.last
        )


class DraftBench(GraphBench):
    """Every message goes as a draft, whatever its size."""

    last = "/send"

    def __init__(self, stage: Stage, gate: Gate, settings: dict[str, Any]) -> None:
        super().__init__(stage, gate, settings)
        self.info = replace(INFO, factory=lambda: Ms365(at_once=0))

    def arrived(self) -> Sequence[Arrived]:
        return [_as_mail(draft) for draft in self.stage.microsoft.graph.sent_drafts]

    def same(self, sent: bytes, arrived: bytes) -> bool:
        """Exchange writes the MIME anew: the text and the fields are what can be compared."""
        one, other = (email.message_from_bytes(each, policy=email.policy.default) for each in (sent, arrived))
        fields = all(one[name] == other[name] for name in ("From", "To", "Subject", "Message-ID"))
        return fields and one.get_content() == other.get_content()


def _as_mail(draft: Draft) -> Arrived:
    message = draft.message
    people = {
        name: [each["emailAddress"]["address"] for each in message.get(f"{name}Recipients", [])]
        for name in ("to", "cc", "bcc")
    }
    sender = message["from"]["emailAddress"]["address"]
    head = [
        f"From: {sender}",
        *(f"{name}: {', '.join(people[name])}" for name in ("to", "cc") if people[name]),
        f"Subject: {message['subject']}",
        f"Message-ID: {message['internetMessageId']}",
        "Content-Type: text/plain; charset=utf-8",
    ]
    content = "\r\n".join([*head, "", message["body"]["content"]])
    everybody = (*people["to"], *people["cc"], *people["bcc"])
    return Arrived(sender, everybody, content.encode(), draft.account)


class ExchangeBench(Grants, SmtpBench):
    """Exchange's SMTP server, which takes the very tokens that its stand-in has issued."""

    def __init__(self, stage: Stage, server: SmtpServer, settings: dict[str, Any]) -> None:
        self.stage = stage
        self._settings = settings
        super().__init__(INFO, lambda *_: profile(1), server, {})

    @classmethod
    @contextmanager
    def within(cls, **settings: Any) -> "Iterator[ExchangeBench]":
        extensions = ("8BITMIME", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES", "PIPELINING", "SMTPUTF8")
        with Stage() as stage, stage.microsoft.smtp(extensions=extensions) as server:
            yield cls(stage, server, settings)

    def found(self, number: int = 1) -> Found:
        return profile(number, send_by="smtp", **self._settings)

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


WHOLE = {"test_refused_recipient_does_not_stop_the_others": "Graph answers for the message as a whole"}
MIME = WHOLE | {
    "test_claimed_streaming_waits_for_the_server": "2 MB fit into what the kernel keeps for one line",
}
DRAFTS = WHOLE | {
    "test_claimed_maximum_size_is_kept": "150 MB are attachments, never one text; test_large.py sends such a message",
    "test_claimed_streaming_waits_for_the_server": "a text goes in one small request; test_large.py measures a file",
}


class TestGraph(TransportConformance):
    unsupported = MIME

    def make_bench(self) -> Any:
        return GraphBench.of()


class TestGraphByApp(TransportConformance):
    unsupported = MIME

    def make_bench(self) -> Any:
        return GraphBench.of(sign_in="app-only")


class TestDrafts(TransportConformance):
    unsupported = DRAFTS

    def make_bench(self) -> Any:
        return DraftBench.of(large_attachments=True)


class TestDraftsByApp(TransportConformance):
    unsupported = DRAFTS

    def make_bench(self) -> Any:
        return DraftBench.of(large_attachments=True, sign_in="app-only")


class TestSmtp(TransportConformance):
    def make_bench(self) -> Any:
        return ExchangeBench.within()


class TestSmtpByApp(TransportConformance):
    def make_bench(self) -> Any:
        return ExchangeBench.within(sign_in="app-only")
