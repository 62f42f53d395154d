"""A signed-in line that carries messages, in the quickest way that its server understands."""

import asyncio
import os
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from recapito.errors import RecapitoError
from recapito.receipt import Receipt
from recapito.smtp.channel import LineFailure, Lost, NoAnswer
from recapito.smtp.delivery import Delivery
from recapito.smtp.door import Door
from recapito.smtp.explain import Explainer
from recapito.smtp.line import Line
from recapito.smtp.need import check_addresses

if TYPE_CHECKING:
    from recapito.content import Content
    from recapito.envelope import Envelope
    from recapito.profile import Profile
    from recapito.smtp.auth import Authenticate
    from recapito.smtp.extensions import Extensions
    from recapito.smtp.settings import SmtpSettings
    from recapito.smtp.transaction import Transaction
    from recapito.transport import Context

__all__ = ["SmtpSession", "open_session"]

#: Seconds. A deadline that is farther away bounds each wait for an answer, at the cost of the line; a nearer one has
#: a clock of its own, which is paid for each message.
_FAR = 60.0


async def open_session(
    settings: "SmtpSettings", authenticate: "Authenticate | None", profile: "Profile", context: "Context"
) -> "SmtpSession":
    """Connect, encrypt and sign in. Raises Held, NotSent or Refused with the problem."""
    explainer = explainer_of(settings, authenticate, profile, context)
    door = Door(settings, authenticate, explainer)
    await door.open()
    return SmtpSession(door, settings, explainer, authenticate.usable_until if authenticate else None)


def explainer_of(
    settings: "SmtpSettings", authenticate: "Authenticate | None", profile: "Profile", context: "Context"
) -> Explainer:
    """Who explains what goes wrong on this profile's line."""
    return Explainer(context, profile, settings, authenticate)


class SmtpSession:
    """A :class:`~recapito.transport.Session` on one line.

    What the server offers decides how messages go: all of one in a flight with CHUNKING, its commands in a flight
    and the next one's commands with its final dot with PIPELINING (``depth`` 2), else one command at a time.
    """

    def __init__(
        self, door: Door, settings: "SmtpSettings", explainer: Explainer, usable_until: datetime | None
    ) -> None:
        #: The line itself, for checks and tests.
        self.line = Line(door, settings, explainer)
        self._channel = door.channel
        self._socket = door.socket
        self._settings = settings
        #: Who explains what goes wrong on this line.
        self.explainer = explainer
        self._usable_until = usable_until

    @property
    def ordered(self) -> bool:
        """Messages go one after the other on one line: see :class:`~recapito.transport.Ordered`."""
        return True

    @property
    def depth(self) -> int:
        """How many messages may be under way at once: more than one where that saves a round trip each."""
        return self.line.depth

    @property
    def extensions(self) -> "Extensions":
        """What the server offers; for checks and tests."""
        return self.line.extensions

    @property
    def idle_since(self) -> float:
        """When the line was last used, on the loop's clock."""
        return self.line.idle_since

    @idle_since.setter
    def idle_since(self, moment: float) -> None:
        """For tests, which do not wait for a line to grow old."""
        self.line.idle_since = moment

    @property
    def usable_until(self) -> datetime | None:
        """When the token expires; None with a password."""
        return self._usable_until

    @property
    def usable(self) -> bool:
        """False once the line is closed, or its order is in doubt, or the server takes no more messages on it."""
        return self.line.usable

    async def deliver(self, envelope: "Envelope", content: "Content", *, deadline: float) -> Receipt:
        """Send one message; see :class:`~recapito.transport.Session`.

        More recipients than one transaction takes go in several. A refusal that covers everybody is raised
        with the receipt of each.
        """
        check_addresses(envelope)
        if self._settings.notify and not envelope.notify:
            envelope = replace(envelope, notify=self._settings.notify)
        delivery = Delivery(self.line, envelope, content, deadline)
        loop = asyncio.get_running_loop()
        try:
            if deadline - loop.time() > _FAR:
                await delivery.run()
            else:
                async with asyncio.timeout_at(deadline):
                    await delivery.run()
        except BaseException as exc:
            if isinstance(exc, (NoAnswer, asyncio.CancelledError)) and loop.time() >= deadline:
                return delivery.ended_by(TimeoutError())
            if delivery.begun and isinstance(exc, RecapitoError):
                return delivery.failed_by(exc)
            if isinstance(exc, (LineFailure, TimeoutError, asyncio.CancelledError)):
                return delivery.ended_by(exc)
            raise
        finally:
            if delivery.begun:
                self.line.idle_since = loop.time()
        return delivery.settled()

    async def close(self) -> None:
        """Say QUIT where the line is in order; at most a few seconds; never raises.

        A message under way is given up: *not sent*, or *unknown* after its content.
        """
        limit = self._settings.patience.goodbye
        if self.line.turns.busy:
            self._channel.fail(Lost("closed"))
        elif self._channel.usable:
            try:
                await self._channel.command("QUIT", limit)
            except LineFailure:
                pass
            except asyncio.CancelledError:
                self._channel.fail(Lost("given up"))
                raise
        await self._channel.close(limit)

    def abandon(self) -> None:
        """Close the descriptor without a byte, in a forked child: the line belongs to the parent."""
        # Not close(), which waits for a loop that says it uses the socket, as uvloop does.
        if self._socket is not None and (descriptor := self._socket.detach()) >= 0:
            os.close(descriptor)

    async def transaction(self, envelope: "Envelope", content: "Content") -> "Transaction":
        """A transaction for this message, for a check; Refused where the server lacks what it needs."""
        return await self.line.transaction(envelope, content)
