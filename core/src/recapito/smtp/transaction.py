"""One transaction: MAIL, RCPT for each recipient, the content, and what the server's reply to each of them means.

What a reply means is apart from when its command was written: one by one (:meth:`Transaction.run`), or all in one
flight (:mod:`recapito.smtp.flight`).
"""

from typing import TYPE_CHECKING

from recapito.outcome import Outcome
from recapito.receipt import RecipientReceipt
from recapito.smtp.commands import lines, mail_command, recipient_command
from recapito.smtp.group import CLOSING
from recapito.smtp.pieces import SMALL, pieces, whole
from recapito.smtp.reply import Reply
from recapito.smtp.stuffing import DotStuffer

if TYPE_CHECKING:
    from recapito.content import Content
    from recapito.envelope import Envelope
    from recapito.problem import Problem
    from recapito.smtp.channel import Channel
    from recapito.smtp.explain import Explainer
    from recapito.smtp.extensions import Extensions
    from recapito.smtp.settings import Patience
    from recapito.transport import StepName

__all__ = ["Transaction"]

_START = 354
#: To DATA or BDAT in a flight, after recipients were taken: the server does not do what it offers.
_NOT_UNDERSTOOD = (500, 502, 503)
#: What completes a content. Any other 2xx answers some other command, and proves nothing.
_TAKEN = (250, 251, 252)


class Transaction:
    """One content for some of an envelope's recipients."""

    def __init__(
        self,
        channel: "Channel",
        explainer: "Explainer",
        patience: "Patience",
        extensions: "Extensions",
        envelope: "Envelope",
        content: "Content",
        *,
        smtputf8: bool = False,
    ) -> None:
        self._channel = channel
        self._explainer = explainer
        self.patience = patience
        self._extensions = extensions
        self._envelope = envelope
        self.body = content
        self._smtputf8 = smtputf8
        #: MAIL was accepted and the content not yet answered: RSET must come before another MAIL.
        self.open = False
        #: The content's last byte was handed to the line: it may have left.
        self.ended = False
        #: Recipients of this transaction, and those whom the server took.
        self.recipients: tuple[str, ...] = ()
        self.accepted: list[str] = []
        #: What became of each recipient, as soon as it is known.
        self.rows: dict[str, RecipientReceipt] = {}
        #: The line carries nothing more: the server said 421, or what is no answer to what it was asked.
        self.over = False
        #: Its commands go in one flight.
        self.flies = False
        #: It answered out of order: what it was told in one flight, it did not understand.
        self.strange = False
        #: Recipients that the server would take in another transaction.
        self.deferred: tuple[str, ...] = ()
        #: The reply to the content, and how it may be shown.
        self.reply: Reply | None = None
        self.said: str | None = None
        self.step: StepName = "sender"
        self._crowded: list[str] = []

    def again(self) -> "Transaction":
        """The same message, for further recipients."""
        return Transaction(
            self._channel,
            self._explainer,
            self.patience,
            self._extensions,
            self._envelope,
            self.body,
            smtputf8=self._smtputf8,
        )

    def head(self, recipients: tuple[str, ...]) -> list[str]:
        """MAIL, and RCPT for each of ``recipients``."""
        self.recipients = recipients
        notify = self._envelope.notify
        return [self._mail_command(), *[recipient_command(address, notify) for address in recipients]]

    def _mail_command(self) -> str:
        return mail_command(self._envelope, self.body, self._extensions, smtputf8=self._smtputf8)

    # What the replies mean

    def heard_mail(self, reply: Reply) -> None:
        """The reply to MAIL: a refusal is the outcome of all recipients."""
        self.open = reply.positive
        if not reply.positive:
            self._settle(self.recipients, reply, "sender")

    def heard_recipient(self, address: str, reply: Reply) -> None:
        """The reply to RCPT: a refusal is the recipient's own, and 421 everybody's whose turn has not come."""
        if not self.open:
            return  # without MAIL there is nobody to be taken
        if reply.positive:
            self.accepted.append(address)
            return
        if _one_too_many(reply):
            self._crowded.append(address)
        self._settle((address,), reply, "recipient")

    def heard_start(self, reply: Reply) -> bool:
        """The reply to DATA; whether the content may come."""
        if reply.status != _START:
            if self.accepted:
                self._settle(tuple(self.accepted), reply, "message")
            elif not reply.negative:
                self.over = self.strange = True
        return reply.status == _START

    def heard_end(self, reply: Reply) -> None:
        """The reply to the whole content."""
        self.reply, self.open = reply, False
        accepted = tuple(self.accepted)
        if reply.status in _TAKEN and reply.clean:
            self.said = self._explainer.shown(reply)
            for address in accepted:
                self.rows[address] = RecipientReceipt(address, Outcome.ACCEPTED, self.said)
            return
        self.said = self._explainer.shown(reply)
        if reply.negative:
            self._settle(accepted, reply, "message")
        else:
            self.over = self.strange = True
            self.fill(accepted, self._uncertain(str(reply)))

    def heard_refusal(self, reply: Reply) -> None:
        """The content was refused before its end: the server waits for RSET."""
        self._settle(tuple(self.accepted), reply, "message")

    def heard_nonsense(self, reply: Reply) -> None:
        """A content was taken where none could be, or not all of it: nobody knows what became of it."""
        self.over = self.strange = True
        self.rows.clear()
        self.uncertain(str(reply))

    def heard_goodbye(self, reply: Reply) -> None:
        """The server said 421, and nothing more: what it was told after that it did not hear."""
        self.over = True
        self._settle(tuple(other for other in self.recipients if other not in self.rows), reply, self.step)

    def defer(self) -> None:
        """Where some were taken, those who were one too many wait for another transaction."""
        if self.accepted and self._crowded:
            self.deferred = tuple(self._crowded)
            for address in self.deferred:
                self.rows.pop(address, None)

    def fill(self, recipients: tuple[str, ...], problem: "Problem") -> None:
        """``problem`` for those of ``recipients`` of whom nothing is known yet."""
        for address in recipients:
            self.rows.setdefault(address, RecipientReceipt(address, problem.outcome, problem.reply, problem))

    def uncertain(self, reply: str | None = None) -> None:
        """The line ended after the content: for whoever was not refused, *unknown*."""
        left = tuple(address for address in self.recipients if address not in self.deferred)
        self.fill(left, self._uncertain(reply))

    def changed(self) -> "Problem":
        """The content is no longer what it was when its size was said."""
        return self._explainer.own("MSG-CHANGED", step="message", file=self.body.message_id)

    def _uncertain(self, reply: str | None) -> "Problem":
        return self._explainer.own("UNCERTAIN", step="message", reply=reply)

    def _settle(self, recipients: tuple[str, ...], reply: Reply, step: "StepName") -> None:
        """What ``reply`` says is the outcome of each of ``recipients``."""
        self.step = step
        understood = reply.negative and not (
            self.flies and step == "message" and reply.status in _NOT_UNDERSTOOD
        )
        self.strange = self.strange or not understood
        self.over = self.over or reply.status == CLOSING or not understood
        shown = self._explainer.shown(reply)
        own = self._envelope.sender.lower() == self._explainer.profile.sender.lower()
        for address in recipients:
            if understood:
                problem = self._explainer.reply(
                    reply, step, sender=self._envelope.sender, own_sender=own, recipient=address
                )
            else:  # a 3xx to MAIL, a 250 to DATA, a 502 to what EHLO offers: no answer to what was asked
                problem = self._explainer.own("REPLY-STRANGE", step=step, reply=str(reply))
            if problem.outcome in (Outcome.UNKNOWN, Outcome.ACCEPTED):
                problem = problem.with_(outcome=Outcome.NOT_SENT)
            self.rows[address] = RecipientReceipt(address, problem.outcome, shown, problem)

    # One command at a time

    async def run(self, recipients: tuple[str, ...]) -> None:
        """All of it, for ``recipients``: afterwards each is in :attr:`rows` or :attr:`deferred`.

        Raises what the channel and the content raise; ``ended`` then tells whether the content may have left.
        """
        if not await self.mail(recipients):
            return
        for position, address in enumerate(recipients):
            reply = await self.recipient(address)
            if self.over:
                self.heard_goodbye(reply)
                return
            if self.accepted and self._crowded:
                self._crowded = list(recipients[position:])
                break
        self.defer()
        if self.accepted:
            await self.content()

    async def mail(self, recipients: tuple[str, ...]) -> bool:
        """MAIL; where it is refused, that is the outcome of all ``recipients``."""
        self.step, self.recipients = "sender", recipients
        self.heard_mail(await self._command(self._mail_command(), self.patience.command))
        return self.open

    async def recipient(self, address: str) -> Reply:
        """RCPT; a refusal is the recipient's own."""
        self.step = "recipient"
        line = recipient_command(address, self._envelope.notify)
        reply = await self._command(line, self.patience.command)
        self.heard_recipient(address, reply)
        return reply

    async def content(self) -> None:
        """DATA and the content, for those that were accepted."""
        self.step = "message"
        if not self.heard_start(await self._command("DATA", self.patience.data)):
            return
        self._channel.write(await self.stream(), shown=f"({self.body.size} octets of content) .")
        self.ended = True
        limit = self.patience.end_of(self.body.size)
        self.heard_end(await self._channel.wait(self._channel.expect(), limit))

    async def _command(self, line: str, limit: float) -> Reply:
        return await self._channel.command(lines([line])[:-2].decode(), limit)

    async def stream(self) -> bytes:
        """Write the content for DATA, but for its end: the bytes that are left, with the final dot.

        Raises NotSent (MSG-CHANGED), and what the channel raises: then the final dot must never be sent.
        """
        stuffer = DotStuffer()
        if self.body.size <= SMALL:
            stuffed = stuffer.chunk(await whole(self.body, self.changed))
            self._channel.check_order()
            return stuffed + stuffer.end()
        async for piece, last in pieces(self.body, self.changed):
            # A server that answers in the middle of the content refuses it: nothing more is sent, and no final dot.
            self._channel.check_order()
            stuffed = stuffer.chunk(piece)
            if last:
                return stuffed + stuffer.end()
            self._channel.write(stuffed)
            await self._channel.drain(self.patience.block)
        self._channel.check_order()
        return stuffer.end()


def _one_too_many(reply: Reply) -> bool:
    """Whether the server takes no more recipients in this transaction, but would in another.

    RFC 5321 §4.5.3.1.10: some say 552 where they mean 452.
    """
    return reply.status in (450, 451, 452, 552) and (
        reply.enhanced in ("4.5.3", "5.5.3")
        or (not reply.enhanced and "too many recipients" in reply.text.lower())
    )
