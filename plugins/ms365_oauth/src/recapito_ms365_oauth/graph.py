"""Microsoft Graph: one request a message, on a kept-open connection; for large ones a draft."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import uuid4

from recapito.catalogue import problem
from recapito.errors import DeliveryError, NotSent, RecapitoError, Refused, UnknownOutcome, delivery_error
from recapito.message import Message
from recapito.oauth import Answer, ApiLine, api_steps
from recapito.outcome import Outcome
from recapito.problem import Scope
from recapito.receipt import Receipt
from recapito.rendering import render
from recapito.texts import N_, preferred_language, translation
from recapito.transport import CheckStep
from recapito_ms365_oauth.addressed import hidden_recipients
from recapito_ms365_oauth.base64body import streamed_base64
from recapito_ms365_oauth.draft import Drafts
from recapito_ms365_oauth.limit import AT_ONCE, BY_DRAFT, RECIPIENTS
from recapito_ms365_oauth.settings import mailbox_of, own_mailbox, sends_large
from recapito_ms365_oauth.shape import shape

if TYPE_CHECKING:
    from recapito.content import Content
    from recapito.envelope import Envelope
    from recapito.profile import Profile
    from recapito.transport import Context
    from recapito_ms365_oauth.microsoft import Microsoft

__all__ = ["GraphSession", "check_steps", "open_session"]

# Seconds for a check, and characters of an answer that are kept.
_CHECK_LIMIT = 60.0
_TELLS_LATER = N_("Microsoft tells only when a message is sent.")


async def open_session(
    microsoft: "Microsoft", profile: "Profile", context: "Context", at_once: int = AT_ONCE
) -> "GraphSession":
    """A session that is ready to send. Raises Held and NotSent where no token can be had."""
    await context.token("graph")
    return GraphSession(microsoft, profile, context, at_once)


async def check_steps(
    microsoft: "Microsoft",
    profile: "Profile",
    context: "Context",
    send_to: str | None,
    at_once: int = AT_ONCE,
) -> AsyncGenerator[CheckStep, None]:
    """Each step as it is done, ending at the first problem; with ``send_to`` a small message is really sent."""
    session = GraphSession(microsoft, profile, context, at_once)
    try:
        async with aclosing(session.steps()) as steps:
            async for step in steps:
                yield step
                if step.problem:
                    return
        yield CheckStep("sender", skipped=_TELLS_LATER)
        yield CheckStep("recipient", skipped=_TELLS_LATER)
        if send_to is None:
            yield CheckStep("message", skipped=N_("No address was given to send a message to."))
        else:
            yield await session.trial(send_to)
    finally:
        await session.close()


class GraphSession:
    """A :class:`~recapito.transport.Session`: one message at a time on one connection to Graph.

    What is larger than ``at_once`` bytes, and allowed, becomes a draft first.
    """

    def __init__(
        self, microsoft: "Microsoft", profile: "Profile", context: "Context", at_once: int = AT_ONCE
    ) -> None:
        self._microsoft = microsoft
        self._profile = profile
        self._context = context
        self._large = sends_large(profile.settings)
        self._at_once = at_once
        who = "me" if own_mailbox(profile) else f"users/{quote(profile.sender, safe='@')}"
        self._root = f"{microsoft.graph_root}/v1.0/{who}"
        self._line = self._fresh_line()
        self._busy = asyncio.Lock()

    @property
    def depth(self) -> int:
        """One: HTTP/1.1 answers in order, so a second message would wait for the first anyway."""
        return 1

    @property
    def usable_until(self) -> datetime | None:
        """None: each message asks for a token, which is renewed under the session."""
        return None

    @property
    def usable(self) -> bool:
        """False once it is closed, or its connection is in doubt."""
        return self._line.usable

    async def deliver(self, envelope: "Envelope", content: "Content", *, deadline: float) -> Receipt:
        """Send one message; see :class:`~recapito.transport.Session`. Only 202 is accepted, and means queued."""
        self._refuse_unclaimed(envelope, content)
        hidden = hidden_recipients(self._profile, envelope, content)
        await self._take_turn(deadline)
        try:
            if not self.usable:
                raise NotSent(problem("NET-LOST", step="message", host=self._microsoft.graph_host))
            answer = await self._sent(content, hidden, deadline)
        except DeliveryError as exc:
            raise self._refined(exc, envelope) from exc.__cause__
        except asyncio.CancelledError as exc:
            # Let through by the line where the whole message had left.
            raise UnknownOutcome(
                problem("UNCERTAIN", step="message", host=self._microsoft.graph_host)
            ) from exc
        finally:
            self._busy.release()
        identity = answer.headers.get("request-id", "")
        reply = f"{answer.status} Accepted" + (f" (request-id {identity})" if identity else "")
        receipt = Receipt.for_all(
            envelope.recipients, Outcome.ACCEPTED, reply=reply, provider_id=identity or None
        )
        return receipt.with_(message_id=content.message_id)

    async def close(self) -> None:
        """Release the connection; never raises."""
        await self._line.aclose()

    def abandon(self) -> None:
        """Close the descriptor without a byte, in a forked child."""
        self._line.abandon()

    def steps(self) -> AsyncGenerator[CheckStep, None]:
        """The way to Graph and a token for it, step by step."""
        deadline = asyncio.get_running_loop().time() + _CHECK_LIMIT
        return api_steps(self._line, self._microsoft.graph_root, deadline=deadline)

    async def trial(self, recipient: str) -> CheckStep:
        """The last step of a check: a small message to ``recipient``."""
        started = perf_counter()
        try:
            rendered = render(_message(recipient), self._profile)
            try:
                deadline = asyncio.get_running_loop().time() + _CHECK_LIMIT
                receipt = await self.deliver(rendered.envelope, rendered.content, deadline=deadline)
            finally:
                rendered.content.close()
        except RecapitoError as exc:
            return CheckStep("message", perf_counter() - started, exc.problem)
        return CheckStep("message", perf_counter() - started, detail=receipt.server_reply or "")

    async def _take_turn(self, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._busy.acquire()
        except (TimeoutError, asyncio.CancelledError) as exc:
            code = "SEND-TIMEOUT" if isinstance(exc, TimeoutError) else "SEND-CANCELLED"
            raise NotSent(problem(code, step="message", host=self._microsoft.graph_host)) from exc

    async def _sent(self, content: "Content", hidden: tuple[str, ...], deadline: float) -> Answer:
        # Microsoft's support finds a request by it (learn: Microsoft Graph, best practices).
        traced = {"client-request-id": str(uuid4()), "return-client-request-id": "true"}
        if self._large and content.size > self._at_once:
            try:
                made = await shape(content, hidden)
            except asyncio.CancelledError as exc:  # nothing was asked of anybody yet
                host = self._microsoft.graph_host
                raise NotSent(problem("SEND-CANCELLED", step="message", host=host)) from exc
            drafts = Drafts(f"{self._root}/messages", self._line, self._fresh_line, self._context)
            return await drafts.send(made, traced, deadline)
        carried = content.with_header("Bcc", ", ".join(hidden)) if hidden else content
        return await self._line.call(
            "POST",
            f"{self._root}/sendMail",
            accept={202},
            headers={"Content-Type": "text/plain", **traced},
            body=streamed_base64(carried.size, carried.chunks),
            deadline=deadline,
        )

    def _fresh_line(self) -> ApiLine:
        return ApiLine(
            self._context,
            "graph",
            tls=self._context.tls(self._microsoft.ca),
            host=self._microsoft.graph_host,
            account=mailbox_of(self._profile),
            proxy=self._microsoft.proxy,
        )

    def _refuse_unclaimed(self, envelope: "Envelope", content: "Content") -> None:
        """Refuse what Graph cannot do, or the profile does not allow, rather than drop it."""
        count, host = len(envelope.recipients), self._microsoft.graph_host
        most = BY_DRAFT if self._large else AT_ONCE
        if not count:
            raise Refused(problem("MSG-NO-RECIPIENTS", host=host))
        if envelope.notify:
            raise Refused(problem("DSN-NOT-OFFERED", host=host, transport=self._profile.transport))
        if count > RECIPIENTS:
            raise Refused(problem("RCPT-OVER-LIMIT", host=host, count=count, limit=RECIPIENTS))
        if content.size > most:
            size, limit = f"{content.size / 1_000_000:.1f}", f"{most / 1_000_000:g}"
            raise Refused(problem("MSG-TOO-BIG", step="message", host=host, n=size, max=limit))

    def _refined(self, error: DeliveryError, envelope: "Envelope") -> DeliveryError:
        """The same error with what only the message knows: its sender, and whose app it is."""
        found = error.problem
        if found.scope is Scope.CLIENT:
            found = found.with_(params={"client": "microsoft", **found.params})
        if found.code == "SENDER-MS":
            found = found.with_(params={**found.params, "b": envelope.sender})
            if envelope.sender.lower() != self._profile.sender.lower():
                # The message chose an alias: one missing right must not stop the others.
                found = found.with_(outcome=Outcome.REFUSED, scope=Scope.MESSAGE)
        return error if found is error.problem else delivery_error(found)


def _message(recipient: str) -> Message:
    core = translation("recapito", preferred_language()).gettext
    return Message(
        to=[recipient],
        subject=core("Test message"),
        text=core("This message was sent to try the settings of a mailbox. Nothing needs to be done."),
    )
