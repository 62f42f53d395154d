"""A line and the way in which its server is told a message: the quickest that it understands."""

import asyncio
import math
from typing import TYPE_CHECKING, Literal

from recapito.catalogue import builtin
from recapito.smtp.channel import Lost
from recapito.smtp.commands import lines
from recapito.smtp.flight import Flight
from recapito.smtp.learned import is_confused, remember
from recapito.smtp.need import check_offer, needs_smtputf8
from recapito.smtp.transaction import Transaction
from recapito.smtp.turns import Turn, Turns

if TYPE_CHECKING:
    from recapito.content import Content
    from recapito.envelope import Envelope
    from recapito.smtp.door import Door
    from recapito.smtp.explain import Explainer
    from recapito.smtp.extensions import Extensions
    from recapito.smtp.settings import SmtpSettings

__all__ = ["Line"]


class Line:
    """What carries transactions: all of one in a flight with CHUNKING (``depth``: the profile's window), its commands
    in a flight and the next one's with its final dot with PIPELINING (``depth`` 2), else one command at a time."""

    def __init__(self, door: "Door", settings: "SmtpSettings", explainer: "Explainer") -> None:
        self.channel = door.channel
        self._settings = settings
        self._patience = settings.patience
        self.explainer = explainer
        #: What the server offers.
        self.extensions = door.extensions
        self._mode = _mode(settings, door.extensions)
        #: How many messages may be under way.
        self.depth = {"bdat": max(1, settings.window), "data": 2, "one": 1}[self._mode]
        #: Who has the line, and who is next.
        self.turns = Turns(self.channel, most=self.depth, rides=self._mode == "data")
        #: Recipients of one transaction; None: no limit is known.
        self.most = _least(
            settings.recipients,
            door.extensions.recipients,
            explainer.profile.limits.recipients_per_message,
            _provider_limit(settings.host, explainer.profile.sender),
        )
        self._domains: set[str] = set()
        self._transactions_left = door.extensions.transactions
        self._loop = asyncio.get_running_loop()
        #: When the line was last used, on the loop's clock.
        self.idle_since = self._loop.time()

    @property
    def usable(self) -> bool:
        """False once the line is closed, or its order is in doubt, or the server takes no more messages on it."""
        return self.channel.usable and not self.turns.doomed and self._transactions_left != 0

    async def transaction(self, envelope: "Envelope", content: "Content") -> Transaction:
        """A transaction for this message; Refused where the server lacks what it needs."""
        smtputf8 = envelope.needs_smtputf8 or (not content.is_7bit and await needs_smtputf8(content))
        check_offer(self.extensions, envelope, content, self.explainer, smtputf8=smtputf8)
        return Transaction(
            self.channel,
            self.explainer,
            self._patience,
            self.extensions,
            envelope,
            content,
            smtputf8=smtputf8,
        )

    def batch(self, recipients: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Those of ``recipients`` who go in one transaction, and the rest.

        Raises LineFailure where the server takes nobody else on this line.
        """
        most = self.most or len(recipients)
        if self.extensions.domains is None:
            return (recipients, ()) if len(recipients) <= most else (recipients[:most], recipients[most:])
        now = [address for address in recipients if self._takes(address.rpartition("@")[2].lower())][:most]
        if not now:
            self.turns.doom()
            raise Lost("the server takes no more domains on this line")
        return tuple(now), tuple(address for address in recipients if address not in now)

    def _takes(self, domain: str) -> bool:
        """Whether the line takes recipients of one more domain, where that is limited (RFC 9422 §3.3)."""
        if domain not in self._domains and len(self._domains) >= (self.extensions.domains or math.inf):
            return False
        self._domains.add(domain)
        return True

    def turn(self, transaction: Transaction, recipients: tuple[str, ...]) -> Turn:
        """A place in the line for ``transaction``, with what it says first.

        Raises LineFailure where the server takes no more transactions: they are counted before one rides on another.
        """
        if self._transactions_left == 0:
            raise Lost("the server takes no more messages on this line")
        if self._transactions_left:
            self._transactions_left -= 1
        transaction.recipients = recipients
        allowance = self._patience.end_of(transaction.body.size)
        if self._mode == "one":
            return Turn(allowance=allowance)
        commands = transaction.head(recipients)
        if self._mode == "data":
            commands.append("DATA")
        shown = " | ".join(commands) if self.channel.shows else ""
        return Turn(lines(commands), len(commands), allowance, shown)

    async def fly(self, transaction: Transaction, turn: Turn, recipients: tuple[str, ...]) -> None:
        """Send ``transaction``, which has the line, in the way that the server understands."""
        if self._mode == "one":
            self.turns.hold(turn)
            await transaction.run(recipients)
            return
        flight = Flight(transaction, self.channel, self.turns, turn)
        await (flight.bdat() if self._mode == "bdat" else flight.data())

    def check_order(self) -> None:
        """Raise where the line has ended, or said something unasked."""
        self.channel.check_order()

    def ended(self, transaction: Transaction, turn: Turn) -> None:
        """Note how ``transaction`` left the line."""
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
        reply = await self.channel.command("RSET", min(limit, (deadline - self._loop.time()) / 3))
        if not reply.positive:
            self.channel.fail(Lost("RSET was refused", reply))
            self.channel.check_order()
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
