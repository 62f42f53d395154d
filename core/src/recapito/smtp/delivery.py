"""One message's way through a session: what is known of each recipient so far, and what it adds up to."""

import asyncio
import re
from typing import TYPE_CHECKING

from recapito.errors import DeliveryError, RecapitoError, delivery_error
from recapito.receipt import Receipt, RecipientReceipt
from recapito.smtp.channel import LineFailure

if TYPE_CHECKING:
    from recapito.content import Content
    from recapito.envelope import Envelope
    from recapito.problem import Problem
    from recapito.smtp.line import Line
    from recapito.smtp.reply import Reply
    from recapito.smtp.transaction import Transaction
    from recapito.smtp.turns import Turn

__all__ = ["Delivery", "provider_id"]

# "250 2.0.0 OK <id> [Hostname=…]" (Microsoft), "queued as 4F2A…", "id=1r2B…", "OK  1700000000 a1-2b.3 - gsmtp".
_IDS = (
    re.compile(r"^OK <([^<>\s]{3,250})>(?: |$)", re.IGNORECASE),
    re.compile(r"\bqueued (?:mail for delivery )?(?:as|with id)[ :]+<?([\w.@+-]{3,250})>?", re.IGNORECASE),
    re.compile(r"\bid[=: ]<?([\w.@+-]{3,250})>?", re.IGNORECASE),
    re.compile(r"^OK +(\d+ [\w.-]{3,250}) - g(?:smtp|cdp)\b", re.IGNORECASE),
)


def provider_id(reply: "Reply") -> str | None:
    """The id that the server gave the message in its last reply, where it is known how it writes one."""
    text = reply.text
    for pattern in _IDS:
        if found := pattern.search(text):
            return found[1].rstrip(".")
    return None


class Delivery:
    """Made for each call of ``deliver``; ``deadline`` is on the loop's clock."""

    def __init__(self, line: "Line", envelope: "Envelope", content: "Content", deadline: float) -> None:
        self._line = line
        self._envelope = envelope
        self._content = content
        self._deadline = deadline
        self._rows: dict[str, RecipientReceipt] = {}
        self._transaction: Transaction | None = None
        self._turn: Turn | None = None
        self._transactions = 0
        self._reply: Reply | None = None
        self._said: str | None = None

    @property
    def begun(self) -> bool:
        """Whether something of it may be on the line."""
        return self._transactions > 0 or (self._turn is not None and self._turn.begun)

    async def run(self) -> None:
        """All its transactions, one after the other."""
        line = self._line
        transaction = await line.transaction(self._envelope, self._content)
        left = self._envelope.recipients
        while left:
            batch, left = line.batch(left)
            left = await self._transact(transaction, batch) + left
            if left:
                transaction = transaction.again()

    async def _transact(self, transaction: "Transaction", batch: tuple[str, ...]) -> tuple[str, ...]:
        line = self._line
        turn = self._turn = line.turn(transaction, batch)
        turn.deadline = self._deadline
        try:
            await line.turns.enter(turn)
            if not turn.begun:
                line.check_order()
                if asyncio.get_running_loop().time() >= self._deadline:
                    raise TimeoutError  # noqa: TRY301 - handled where every end is
                await line.in_order(turn, self._deadline)
            self._transaction = transaction
            await line.fly(transaction, turn, batch)
        except BaseException:
            # Whatever it was (a file changed, a rule failed), the order of the line is in doubt: no final dot,
            # no reuse.
            if turn.begun:
                line.turns.give_up(turn)
            else:
                line.turns.leave(turn)
            raise
        self._transactions += 1
        self._transaction = None
        self._rows.update(transaction.rows)
        if transaction.reply is not None:
            self._reply, self._said = transaction.reply, transaction.said
        line.ended(transaction, turn)
        return transaction.deferred

    def ended_by(self, exc: BaseException) -> Receipt:
        """What is known when the line ended early; raised where that is the same for everybody."""
        transaction = self._transaction
        explainer = self._line.explainer
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
        return self.settled(self._line.explainer.error(problem).problem, exc)

    def _doubt(self, said: "Reply | None") -> None:
        """Keep what the transaction knows; after its content, what it does not know is *unknown*."""
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
        rows = tuple([self._rows[address] for address in self._envelope.recipients])
        why = _reason(rows)
        said = self._said or next((row.reply for row in rows if row.reply), None)
        receipt = Receipt(
            rows,
            said,
            self._provider_id(),
            why,
            self._content.message_id,
            transactions=max(1, self._transactions),
        )
        if why is not None and all(row.outcome is receipt.outcome for row in rows):
            raise delivery_error(why, receipt) from cause
        return receipt

    def _provider_id(self) -> str | None:
        given = provider_id(self._reply) if self._reply and self._reply.positive else None
        # In most replies it is part of what may be shown as it is.
        return given if given is None or given in (self._said or "") else self._line.explainer.shown(given)


def _reason(rows: tuple[RecipientReceipt, ...]) -> "Problem | None":
    """The problem to tell for the message: that of its outcome, or else the first."""
    if all(row.problem is None for row in rows):
        return None
    outcome = Receipt(rows).outcome
    why = next((row.problem for row in rows if row.problem and row.outcome is outcome), None)
    return why or next(row.problem for row in rows if row.problem)
