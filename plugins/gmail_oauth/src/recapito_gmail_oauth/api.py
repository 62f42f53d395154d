"""The Gmail API: one upload a message, on a kept-open connection."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING

from recapito.catalogue import problem
from recapito.errors import DeliveryError, NotSent, RecapitoError, Refused, UnknownOutcome, delivery_error
from recapito.message import Message
from recapito.oauth import Answer, ApiLine, Streamed, api_steps
from recapito.outcome import Outcome
from recapito.problem import Scope
from recapito.receipt import Receipt
from recapito.rendering import render
from recapito.texts import N_, preferred_language, translation
from recapito.transport import CheckStep
from recapito_gmail_oauth.google import MAXIMUM_RECIPIENTS, MAXIMUM_SIZE, SEND, Google
from recapito_gmail_oauth.headers import addressed
from recapito_gmail_oauth.settings import client_of, mailbox_of

if TYPE_CHECKING:
    from recapito.content import Content
    from recapito.envelope import Envelope
    from recapito.profile import Profile
    from recapito.transport import Context

__all__ = ["ApiSession", "check_steps", "open_session"]

_UPLOAD = "/upload/gmail/v1/users/me/messages/send?uploadType=media"
# "User-rate limit exceeded.  Retry after 2026-11-25T10:15:00.000Z": what Gmail's limits on sending say.
_RETRY_AFTER = re.compile(
    r"retry after (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)(Z|[+-]\d\d:\d\d)", re.IGNORECASE
)
# Seconds for a check, and characters of an answer that are kept.
_CHECK_LIMIT = 60.0
_SHOWN = 500
# No limit of Gmail's lasts longer than a day (support.google.com/a/answer/166852).
_LONGEST = timedelta(hours=24)


async def open_session(google: Google, profile: "Profile", context: "Context") -> "ApiSession":
    """A session that is ready to send. Raises Held and NotSent where no token can be had."""
    await context.token(SEND)
    return ApiSession(google, profile, context)


async def check_steps(
    google: Google, profile: "Profile", context: "Context", send_to: str | None
) -> AsyncGenerator[CheckStep, None]:
    """Each step as it is done, ending at the first problem; with ``send_to`` a small message is really sent."""
    session = ApiSession(google, profile, context)
    try:
        async with aclosing(session.steps()) as steps:
            async for step in steps:
                yield step
                if step.problem:
                    return
        yield CheckStep("sender", skipped=N_("Gmail tells only when a message is sent."))
        yield CheckStep("recipient", skipped=N_("Gmail tells only when a message is sent."))
        if send_to is None:
            yield CheckStep("message", skipped=N_("No address was given to send a message to."))
        else:
            yield await session.trial(send_to)
    finally:
        await session.close()


class ApiSession:
    """A :class:`~recapito.transport.Session`: one message at a time on one connection to the Gmail API."""

    def __init__(self, google: Google, profile: "Profile", context: "Context") -> None:
        self._google = google
        self._profile = profile
        self._line = ApiLine(
            context,
            SEND,
            tls=context.tls(google.ca),
            host=google.api_host,
            account=mailbox_of(profile.settings, profile.sender),
            proxy=google.proxy,
        )
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
        """Send one message; see :class:`~recapito.transport.Session`. Accepted only with 200 and an id."""
        self._refuse_unclaimed(envelope)
        carried = addressed(self._profile, envelope, content)
        if carried.size > MAXIMUM_SIZE:
            size, most = (f"{octets / 1_000_000:.1f}" for octets in (carried.size, MAXIMUM_SIZE))
            raise Refused(
                problem("MSG-TOO-BIG", step="message", host=self._google.api_host, n=size, max=most)
            )
        await self._turn(deadline)
        try:
            if not self.usable:
                raise NotSent(problem("NET-LOST", step="message", host=self._google.api_host))
            answer = await self._upload(carried, deadline)
        finally:
            self._busy.release()
        return self._receipt(envelope, content, answer)

    async def close(self) -> None:
        """Release the connection; never raises."""
        await self._line.aclose()

    def abandon(self) -> None:
        """Close the descriptor without a byte, in a forked child."""
        self._line.abandon()

    def steps(self) -> AsyncGenerator[CheckStep, None]:
        """The way to the API and a token for it, step by step."""
        deadline = asyncio.get_running_loop().time() + _CHECK_LIMIT
        return api_steps(self._line, self._google.api_root, deadline=deadline)

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

    async def _turn(self, deadline: float) -> None:
        """Wait for the message before; nothing of this one is on the line yet."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._busy.acquire()
        except (TimeoutError, asyncio.CancelledError) as exc:
            code = "SEND-TIMEOUT" if isinstance(exc, TimeoutError) else "SEND-CANCELLED"
            raise NotSent(problem(code, step="message", host=self._google.api_host)) from exc

    async def _upload(self, content: "Content", deadline: float) -> Answer:
        try:
            return await self._line.call(
                "POST",
                self._google.api_root + _UPLOAD,
                accept={200},
                headers={"Content-Type": "message/rfc822"},
                body=Streamed(content.size, content.chunks),
                deadline=deadline,
            )
        except asyncio.CancelledError as exc:
            # The line lets it through only where the last byte may have left.
            raise UnknownOutcome(
                problem("UNCERTAIN", step="message", host=self._google.api_host)
            ) from exc.with_traceback(None)
        except DeliveryError as exc:
            raise _refined(exc, client_of(self._profile.settings)) from exc.__cause__

    def _receipt(self, envelope: "Envelope", content: "Content", answer: Answer) -> Receipt:
        data = answer.json() or {}
        reply = " ".join(f"{answer.status} {answer.text}".split())[:_SHOWN]
        identity = data.get("id")
        if not isinstance(identity, str) or not identity:
            raise UnknownOutcome(
                problem("HTTP-UNKNOWN", step="message", host=self._google.api_host, reply=reply)
            )
        receipt = Receipt.for_all(envelope.recipients, Outcome.ACCEPTED, reply=reply, provider_id=identity)
        return receipt.with_(message_id=content.message_id)

    def _refuse_unclaimed(self, envelope: "Envelope") -> None:
        """Refuse what the API cannot do, rather than drop it."""
        count, host = len(envelope.recipients), self._google.api_host
        if not count:
            raise Refused(problem("MSG-NO-RECIPIENTS", host=host))
        if envelope.notify:
            raise Refused(problem("DSN-NOT-OFFERED", host=host, transport=self._profile.transport))
        if count > MAXIMUM_RECIPIENTS:
            raise Refused(problem("RCPT-OVER-LIMIT", host=host, count=count, limit=MAXIMUM_RECIPIENTS))


def _refined(error: DeliveryError, client: str) -> DeliveryError:
    """The same error with the moment that Gmail's words name, and the registration that is at fault."""
    found = error.problem
    if found.scope is Scope.CLIENT:
        found = found.with_(params={"client": client, **found.params})
    if found.outcome is Outcome.NOT_SENT and (moment := _moment(found.reply or "")):
        found = found.with_(retry_at=moment)
    return error if found is error.problem else delivery_error(found)


def _moment(said: str) -> datetime | None:
    """When Gmail allows another try, where it says so and it can be meant."""
    found = _RETRY_AFTER.search(said)
    if found is None:
        return None
    now = datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(found[1][:19] + found[2].replace("Z", "+00:00"))
    except ValueError:
        return None
    return min(moment, now + _LONGEST) if moment > now else None


def _message(recipient: str) -> Message:
    _ = translation("recapito_gmail_oauth", preferred_language()).gettext
    return Message(
        to=[recipient],
        subject=_("Test message"),
        text=_("This message was sent to try the settings of a mailbox. Nothing needs to be done."),
    )
