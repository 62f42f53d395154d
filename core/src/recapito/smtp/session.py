"""A signed-in line that carries messages, in the quickest way that its server understands."""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from recapito.catalogue import builtin
from recapito.errors import RecapitoError
from recapito.receipt import Receipt
from recapito.smtp.channel import LineFailure, Lost
from recapito.smtp.commands import lines
from recapito.smtp.delivery import Delivery
from recapito.smtp.door import Door
from recapito.smtp.explain import Explainer
from recapito.smtp.flight import Flight
from recapito.smtp.learned import is_confused, remember
from recapito.smtp.need import check_addresses, check_offer, needs_smtputf8
from recapito.smtp.transaction import Transaction
from recapito.smtp.turns import Turn, Turns

if TYPE_CHECKING:
    from recapito.content import Content
    from recapito.envelope import Envelope
    from recapito.profile import Profile
    from recapito.smtp.auth import Authenticate
    from recapito.smtp.extensions import Extensions
    from recapito.smtp.settings import SmtpSettings
    from recapito.transport import Context

__all__ = ["SmtpSession", "open_session"]


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
        self._channel = door.channel
        self._socket = door.socket
        self._settings = settings
        self._patience = settings.patience
        #: Who explains what goes wrong on this line.
        self.explainer = explainer
        self._usable_until = usable_until
        self._loop = asyncio.get_running_loop()
        #: What the server offers; for checks and tests.
        self.extensions = door.extensions
        self._mode = _mode(settings, door.extensions)
        #: How many messages may be under way: with BDAT as many as the profile asks for.
        self.depth = {"bdat": max(1, settings.window), "data": 2, "one": 1}[self._mode]
        #: Who has the line, and who is next.
        self.turns = Turns(self._channel, most=self.depth, rides=self._mode == "data")
        #: Recipients of one transaction; None: no limit is known.
        self.most = _least(
            settings.recipients,
            door.extensions.recipients,
            explainer.profile.limits.recipients_per_message,
            _provider_limit(settings.host, explainer.profile.sender),
        )
        self._transactions_left = door.extensions.transactions
        #: When the line was last used, on the loop's clock.
        self.idle_since = self._loop.time()

    @property
    def usable_until(self) -> datetime | None:
        """When the token expires; None with a password."""
        return self._usable_until

    @property
    def usable(self) -> bool:
        """False once the line is closed, or its order is in doubt, or the server takes no more messages on it."""
        return self._channel.usable and not self.turns.doomed and self._transactions_left != 0

    async def deliver(self, envelope: "Envelope", content: "Content", *, deadline: float) -> Receipt:
        """Send one message; see :class:`~recapito.transport.Session`.

        More recipients than one transaction takes go in several. A refusal that covers everybody is raised
        with the receipt of each.
        """
        check_addresses(envelope)
        if self._settings.notify and not envelope.notify:
            envelope = replace(envelope, notify=self._settings.notify)
        delivery = Delivery(self, envelope, content, deadline)
        try:
            async with asyncio.timeout_at(deadline):
                await delivery.run()
        except BaseException as exc:
            if delivery.begun and isinstance(exc, RecapitoError):
                return delivery.failed_by(exc)
            if isinstance(exc, (LineFailure, TimeoutError, asyncio.CancelledError)):
                return delivery.ended_by(exc)
            raise
        finally:
            if delivery.begun:
                self.idle_since = self._loop.time()
        return delivery.settled()

    async def close(self) -> None:
        """Say QUIT where the line is in order; at most a few seconds; never raises.

        A message under way is given up: *not sent*, or *unknown* after its content.
        """
        limit = self._patience.goodbye
        if self.turns.busy:
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
        if self._socket is not None:
            self._socket.close()

    async def transaction(self, envelope: "Envelope", content: "Content") -> Transaction:
        """A transaction for this message; Refused where the server lacks what it needs."""
        smtputf8 = envelope.needs_smtputf8 or (not content.is_7bit and await needs_smtputf8(content))
        check_offer(self.extensions, envelope, content, self.explainer, smtputf8=smtputf8)
        return Transaction(
            self._channel,
            self.explainer,
            self._patience,
            self.extensions,
            envelope,
            content,
            smtputf8=smtputf8,
        )

    def batch(self, recipients: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Those of ``recipients`` who go in one transaction, and the rest."""
        most = self.most or len(recipients)
        return (recipients, ()) if len(recipients) <= most else (recipients[:most], recipients[most:])

    def turn(self, transaction: Transaction, recipients: tuple[str, ...]) -> Turn:
        """A place in the line for ``transaction``, with what it says first."""
        transaction.recipients = recipients
        allowance = self._patience.end_of(transaction.body.size)
        if self._mode == "one":
            return Turn(allowance=allowance)
        commands = transaction.head(recipients)
        if self._mode == "data":
            commands.append("DATA")
        shown = " | ".join(commands) if self._channel.shows else ""
        return Turn(lines(commands), len(commands), allowance, shown)

    async def fly(self, transaction: Transaction, turn: Turn, recipients: tuple[str, ...]) -> None:
        """Send ``transaction``, which has the line, in the way that the server understands."""
        if self._mode == "one":
            self.turns.hold(turn)
            await transaction.run(recipients)
            return
        flight = Flight(transaction, self._channel, self.turns, turn)
        await (flight.bdat() if self._mode == "bdat" else flight.data())

    def check_order(self) -> None:
        """Raise where the line has ended, or said something unasked."""
        self._channel.check_order()
        if self._transactions_left == 0:
            raise Lost("the server takes no more messages on this line")

    def ended(self, transaction: Transaction, turn: Turn) -> None:
        """Note how ``transaction`` left the line."""
        if self._transactions_left:
            self._transactions_left -= 1
        if transaction.strange and self._mode != "one":
            remember(self._settings.host, self._settings.port)
        if transaction.over:
            self.turns.give_up(turn)
        else:
            self.turns.leave(turn, open_=transaction.open)

    async def in_order(self, turn: Turn, deadline: float) -> None:
        """A line that was idle, or left in the middle of a transaction, is tried before anything is said on it.

        A third of what is left until ``deadline`` at most: a line that is silent is
        replaced by another, in time.
        """
        if not self.turns.answered:
            return
        idle = self._loop.time() - self.idle_since > self._patience.probe_after
        # A flight of commands has its RSET in front.
        if not (idle or (self.turns.needs_reset and self._mode == "one")):
            return
        turn.begun = True
        limit = self._patience.probe if idle else self._patience.command
        reply = await self._channel.command("RSET", min(limit, (deadline - self._loop.time()) / 3))
        if not reply.positive:
            self._channel.fail(Lost("RSET was refused", reply))
            self._channel.check_order()
        self.turns.needs_reset = False


def _mode(settings: "SmtpSettings", extensions: "Extensions") -> Literal["bdat", "data", "one"]:
    if "pipelining" not in extensions or is_confused(settings.host, settings.port):
        return "one"
    return "bdat" if "chunking" in extensions else "data"


def _provider_limit(host: str, sender: str) -> int | None:
    provider = builtin().for_host(host)
    return provider.limits_for(sender).recipients_per_message if provider else None


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit), default=None)
