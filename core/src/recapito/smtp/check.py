"""Trying a profile step by step, through the same code as a send."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from recapito.errors import DeliveryError, RecapitoError
from recapito.smtp.channel import LineFailure
from recapito.smtp.door import Door
from recapito.smtp.session import SmtpSession, explainer_of
from recapito.texts import preferred_language, translation
from recapito.transport import CheckStep

if TYPE_CHECKING:
    from recapito.profile import Profile
    from recapito.rendering import Rendered
    from recapito.smtp.auth import Authenticate
    from recapito.smtp.settings import SmtpSettings
    from recapito.smtp.transaction import Transaction
    from recapito.transport import Context, StepName

__all__ = ["check_steps"]

# Seconds for each of the last three steps: the message of a check is small.
_STEP_LIMIT = 120.0


def N_(text: str) -> str:  # noqa: N802 - gettext's own name: marks a text for the catalogue
    """``text`` itself: it is translated where it is shown."""
    return text


async def check_steps(
    settings: "SmtpSettings",
    authenticate: "Authenticate | None",
    profile: "Profile",
    context: "Context",
    send_to: str | None = None,
) -> AsyncGenerator[CheckStep, None]:
    """Each step as it is done, ending at the first problem; with ``send_to`` a small message is really sent."""
    explainer = explainer_of(settings, authenticate, profile, context)
    door = Door(settings, authenticate, explainer)
    try:
        for name, function in door.steps:
            step = await _timed(name, partial(door.run, name, function))
            yield step
            if step.problem:
                return
            if name == "answer" and settings.security.startswith("plain"):
                yield CheckStep("encryption", skipped=N_("The settings ask for none."))
        if authenticate is None:
            yield CheckStep("sign-in", skipped=N_("The settings ask for none."))
        session = SmtpSession(door, settings, explainer, None)
        try:
            async with aclosing(_try_message(session, profile, send_to)) as steps:
                async for step in steps:
                    yield step
        finally:
            await session.close()
    finally:
        await door.abandon()


async def _try_message(
    session: SmtpSession, profile: "Profile", send_to: str | None
) -> AsyncGenerator[CheckStep, None]:
    """The last three steps: a transaction that stops before the content, or a real one."""
    recipient = send_to or profile.sender
    try:
        rendered = _message(profile, recipient)
    except RecapitoError as exc:
        yield CheckStep("recipient" if send_to else "sender", problem=exc.problem)
        return
    try:
        transaction = await session.transaction(rendered.envelope, rendered.content)
        trial = _Trial(session, transaction, recipient)
        steps: list[tuple[StepName, Callable[[], Awaitable[object]], str]] = [
            ("sender", lambda: transaction.mail((recipient,)), profile.sender),
            ("recipient", lambda: transaction.recipient(recipient), recipient),
            ("message", transaction.content, ""),
        ]
        for name, function, detail in steps[: 3 if send_to else 2]:
            step = await _timed(name, partial(trial.run, name, function, detail))
            yield step
            if step.problem:
                return
        if not send_to:
            yield CheckStep("message", skipped=N_("No address was given to send a message to."))
    except DeliveryError as exc:
        yield CheckStep("sender", problem=exc.problem)
    finally:
        rendered.content.close()


class _Trial:
    """A transaction for one recipient, whose outcome is the next step's problem."""

    def __init__(self, session: SmtpSession, transaction: "Transaction", recipient: str) -> None:
        self._session = session
        self._transaction = transaction
        self._recipient = recipient

    async def run(self, name: "StepName", function: Callable[[], Awaitable[object]], found: str) -> str:
        """One step of it; its detail, or a DeliveryError."""
        transaction, explainer = self._transaction, self._session.explainer
        try:
            async with asyncio.timeout(_STEP_LIMIT):
                await function()
        except (LineFailure, TimeoutError) as exc:
            if transaction.ended:
                transaction.uncertain()
            else:
                raise explainer.error(explainer.line(exc, name)) from exc
        row = transaction.rows.get(self._recipient)
        if row is not None and row.problem is not None:
            raise explainer.error(row.problem)
        return (row.reply if row else None) or found


async def _timed(name: "StepName", function: Callable[[], Awaitable[str]]) -> CheckStep:
    started = perf_counter()
    try:
        detail = await function()
    except RecapitoError as exc:
        return CheckStep(name, perf_counter() - started, exc.problem)
    return CheckStep(name, perf_counter() - started, detail=detail)


def _message(profile: "Profile", recipient: str) -> "Rendered":
    from recapito.message import Message
    from recapito.rendering import render

    _ = translation("recapito", preferred_language()).gettext
    return render(
        Message(
            to=[recipient],
            subject=_("Test message"),
            text=_("This message was sent to try the settings of a mailbox. Nothing needs to be done."),
        ),
        profile,
    )
