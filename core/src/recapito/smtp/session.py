"""A signed-in line that carries messages, one after the other."""

import asyncio
import re
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from recapito.catalogue import builtin
from recapito.errors import DeliveryError, RecapitoError, delivery_error
from recapito.receipt import Receipt, RecipientReceipt
from recapito.smtp.channel import LineFailure, Lost
from recapito.smtp.door import Door
from recapito.smtp.explain import Explainer
from recapito.smtp.need import check_addresses, check_offer, needs_smtputf8
from recapito.smtp.transaction import Transaction

if TYPE_CHECKING:
    from recapito.content import Content
    from recapito.envelope import Envelope
    from recapito.problem import Problem
    from recapito.profile import Profile
    from recapito.smtp.auth import Authenticate
    from recapito.smtp.reply import Reply
    from recapito.smtp.settings import SmtpSettings
    from recapito.transport import Context

__all__ = ["SmtpSession", "open_session", "provider_id"]

# "250 2.0.0 OK <id> [Hostname=…]" (Microsoft), "queued as 4F2A…", "id=1r2B…", "OK  1700000000 a1-2b.3 - gsmtp".
_IDS = (
    re.compile(r"^OK <([^<>\s]{3,250})>(?: |$)", re.IGNORECASE),
    re.compile(r"\bqueued (?:mail for delivery )?(?:as|with id)[ :]+<?([\w.@+-]{3,250})>?", re.IGNORECASE),
    re.compile(r"\bid[=: ]<?([\w.@+-]{3,250})>?", re.IGNORECASE),
    re.compile(r"^OK +(\d+ [\w.-]{3,250}) - g(?:smtp|cdp)\b", re.IGNORECASE),
)


def provider_id(reply: "Reply") -> str | None:
    """The id that the server gave the message in its last reply, where it is known how it writes one."""
    for pattern in _IDS:
        if found := pattern.search(reply.text):
            return found[1].rstrip(".")
    return None


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
    """A :class:`~recapito.transport.Session` on one line; one message at a time (``depth`` 1)."""

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
        self._busy = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._needs_reset = False
        #: Recipients of one transaction; None: no limit is known.
        self.most = _least(
            settings.recipients,
            door.extensions.recipients,
            explainer.profile.limits.recipients_per_message,
            _provider_limit(settings.host, explainer.profile.sender),
        )
        #: What the server offers; for checks and tests.
        self.extensions = door.extensions
        #: When the line was last used, on the loop's clock.
        self.idle_since = self._loop.time()

    @property
    def depth(self) -> int:
        """One: the next message only after the last."""
        return 1

    @property
    def usable_until(self) -> datetime | None:
        """When the token expires; None with a password."""
        return self._usable_until

    @property
    def usable(self) -> bool:
        """False once the line is closed, or its order is in doubt."""
        return self._channel.usable

    async def deliver(self, envelope: "Envelope", content: "Content", *, deadline: float) -> Receipt:
        """Send one message; see :class:`~recapito.transport.Session`.

        More recipients than one transaction takes go in several. A refusal that covers everybody is raised
        with the receipt of each.
        """
        check_addresses(envelope)
        if self._settings.notify and not envelope.notify:
            envelope = replace(envelope, notify=self._settings.notify)
        delivery = _Delivery(self, envelope, content, deadline)
        try:
            async with asyncio.timeout_at(deadline), self._busy:
                await delivery.run()
        except BaseException as exc:
            if delivery.begun:
                # Whatever it was (a file changed, a rule failed), the order of the line is in doubt: no final dot,
                # no reuse. Nothing runs between the end of the turn and this.
                self._channel.fail(Lost("given up"))
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

        A message under way is given up: *not sent*, or *unknown* after its final dot.
        """
        limit = self._patience.goodbye
        if self._busy.locked():
            self._channel.fail(Lost("closed"))
        elif self.usable:
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
        smtputf8 = await needs_smtputf8(envelope, content)
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

    def check_order(self) -> None:
        """Raise where the line has ended, or said something unasked."""
        self._channel.check_order()

    def ended(self, transaction: Transaction) -> None:
        """Note how ``transaction`` left the line."""
        self._needs_reset = transaction.open
        if transaction.over:
            self._channel.fail(Lost("the server ended it"))

    async def in_order(self, deadline: float) -> None:
        """A line that was idle, or left in the middle of a transaction, is tried before anything is said on it.

        A third of what is left until ``deadline`` at most: a line that is silent is replaced by another, in time.
        """
        idle = self._loop.time() - self.idle_since > self._patience.probe_after
        if not (idle or self._needs_reset):
            return
        limit = self._patience.probe if idle else self._patience.command
        reply = await self._channel.command("RSET", min(limit, (deadline - self._loop.time()) / 3))
        if not reply.positive:
            self._channel.fail(Lost("RSET was refused", reply))
            self._channel.check_order()
        self._needs_reset = False


class _Delivery:
    """One message's way through a session: what is known of each recipient so far."""

    def __init__(
        self, session: SmtpSession, envelope: "Envelope", content: "Content", deadline: float
    ) -> None:
        self._session = session
        self._envelope = envelope
        self._content = content
        self._deadline = deadline
        self._rows: dict[str, RecipientReceipt] = {}
        self._transaction: Transaction | None = None
        self._transactions = 0
        self._reply: Reply | None = None
        #: Something may be on the line.
        self.begun = False

    async def run(self) -> None:
        session = self._session
        transaction = await session.transaction(self._envelope, self._content)
        session.check_order()
        if asyncio.get_running_loop().time() >= self._deadline:
            raise TimeoutError
        self.begun = True
        await session.in_order(self._deadline)
        left = self._envelope.recipients
        most = session.most or len(left)
        while left:
            batch, left = left[:most], left[most:]
            left = await self._transact(transaction, batch) + left
            if left:
                session.check_order()
                await session.in_order(self._deadline)
                transaction = transaction.again()

    async def _transact(self, transaction: Transaction, batch: tuple[str, ...]) -> tuple[str, ...]:
        self._transaction = transaction
        self._transactions += 1
        await transaction.run(batch)
        self._transaction = None
        self._rows.update(transaction.rows)
        self._reply = transaction.reply or self._reply
        self._session.ended(transaction)
        return transaction.deferred

    def ended_by(self, exc: BaseException) -> Receipt:
        """What is known when the line ended early; raised where that is the same for everybody."""
        transaction = self._transaction
        explainer = self._session.explainer
        self._doubt(exc.reply if isinstance(exc, LineFailure) else None)
        step = transaction.step if transaction else "answer"
        if isinstance(exc, LineFailure):
            # Before the transaction: an idle line that has ended, whatever was said when it did (a 421, mostly).
            problem = explainer.line(exc, step) if transaction else explainer.net("lost", step)
        else:
            code = "SEND-TIMEOUT" if isinstance(exc, TimeoutError) else "SEND-CANCELLED"
            problem = explainer.own(code, step=step)
        return self.settled(explainer.error(problem).problem, exc)

    def failed_by(self, exc: RecapitoError) -> Receipt:
        """What is known when the content, or who explains it, raised ``exc``; raised as in :meth:`ended_by`."""
        self._doubt(None)
        problem = exc.problem
        if isinstance(exc, DeliveryError):
            problem = problem.with_(outcome=exc.outcome)
        return self.settled(self._session.explainer.error(problem).problem, exc)

    def _doubt(self, said: "Reply | None") -> None:
        """Keep what the transaction knows; after its final dot, what it does not know is *unknown*."""
        if (transaction := self._transaction) is not None:
            if transaction.ended:
                transaction.uncertain(str(said) if said else None)
            self._rows.update(transaction.rows)

    def settled(self, problem: "Problem | None" = None, cause: BaseException | None = None) -> Receipt:
        """The receipt; raised as an error where nobody was accepted and all share one outcome."""
        if problem is not None:
            for address in self._envelope.recipients:
                self._rows.setdefault(
                    address, RecipientReceipt(address, problem.outcome, problem.reply, problem)
                )
        rows = tuple(self._rows[address] for address in self._envelope.recipients)
        shown = self._session.explainer.shown
        given = provider_id(self._reply) if self._reply and self._reply.positive else None
        receipt = Receipt(
            rows,
            server_reply=shown(self._reply)
            if self._reply
            else next((row.reply for row in rows if row.reply), None),
            provider_id=shown(given) if given else None,
            message_id=self._content.message_id,
            transactions=max(1, self._transactions),
        )
        why = next((row.problem for row in rows if row.problem and row.outcome is receipt.outcome), None)
        why = why or next((row.problem for row in rows if row.problem), None)
        receipt = receipt.with_(problem=why)
        if why is not None and all(row.outcome is receipt.outcome for row in rows):
            raise delivery_error(why, receipt) from cause
        return receipt


def _provider_limit(host: str, sender: str) -> int | None:
    provider = builtin().for_host(host)
    return provider.limits_for(sender).recipients_per_message if provider else None


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit), default=None)
