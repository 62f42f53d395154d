"""One transaction: MAIL, RCPT for each recipient, DATA, and what the server says to each.

Its commands and what becomes of each reply are apart from the order in which they are written (``mail``,
``recipient``, ``content``), so that a group of them can go in one flight where the server pipelines.
"""

import re
from typing import TYPE_CHECKING

from recapito.envelope import Notify
from recapito.errors import NotSent
from recapito.outcome import Outcome
from recapito.receipt import RecipientReceipt
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

__all__ = ["Transaction", "mail_command", "recipient_command"]

_CLOSING = 421
_START = 354
#: What completes a content. Any other 2xx answers some other command, and proves nothing.
_TAKEN = (250, 251, 252)
#: Small chunks, and the final dot, are joined in one write up to this many bytes; larger ones are not copied.
_JOINED = 65_536
#: RFC 3461 §4.4.
_ENVID_LIMIT = 100


class Transaction:
    """One content for some of an envelope's recipients, on a line that has no other transaction open."""

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
        self._patience = patience
        self._extensions = extensions
        self._envelope = envelope
        self._content = content
        self._smtputf8 = smtputf8
        #: MAIL was accepted and the content not yet answered: RSET must come before another MAIL.
        self.open = False
        #: The final dot was handed to the line: the content may have left.
        self.ended = False
        self.accepted: list[str] = []
        #: What became of each recipient, as soon as it is known.
        self.rows: dict[str, RecipientReceipt] = {}
        #: The line carries nothing more: the server said 421, or what is no answer to what it was asked.
        self.over = False
        #: Recipients that the server would take in another transaction.
        self.deferred: tuple[str, ...] = ()
        self.reply: Reply | None = None
        self.step: StepName = "sender"

    async def run(self, recipients: tuple[str, ...]) -> None:
        """All of it, for ``recipients``: afterwards each is in :attr:`rows` or :attr:`deferred`.

        Raises what the channel and the content raise; ``ended`` then tells whether the content may have left.
        """
        if not await self.mail(recipients):
            return
        for position, address in enumerate(recipients):
            reply = await self.recipient(address)
            if self.over:
                self._settle(tuple(other for other in recipients if other not in self.rows), reply)
                return
            if self.accepted and _one_too_many(reply):
                self.rows.pop(address)
                self.deferred = recipients[position:]
                break
        if self.accepted:
            await self.content()

    def again(self) -> "Transaction":
        """The same message, for further recipients."""
        return Transaction(
            self._channel,
            self._explainer,
            self._patience,
            self._extensions,
            self._envelope,
            self._content,
            smtputf8=self._smtputf8,
        )

    async def mail(self, recipients: tuple[str, ...]) -> bool:
        """MAIL; where it is refused, that is the outcome of all ``recipients``."""
        self.step = "sender"
        line = mail_command(self._envelope, self._content, self._extensions, smtputf8=self._smtputf8)
        reply = await self._channel.command(line, self._patience.command)
        self.open = reply.positive
        if not reply.positive:
            self._settle(recipients, reply)
        return self.open

    async def recipient(self, address: str) -> Reply:
        """RCPT; a refusal is the recipient's own."""
        self.step = "recipient"
        line = recipient_command(address, self._envelope.notify)
        reply = await self._channel.command(line, self._patience.command)
        if reply.positive:
            self.accepted.append(address)
        else:
            self._settle((address,), reply)
        return reply

    async def content(self) -> None:
        """DATA and the content, for those that were accepted."""
        self.step = "message"
        accepted = tuple(self.accepted)
        reply = await self._channel.command("DATA", self._patience.data)
        if reply.status != _START:
            self._settle(accepted, reply)
            return
        await self._stream()
        reply = await self._channel.wait(self._channel.expect(), self._patience.end_of(self._content.size))
        self.reply = reply
        self.open = False
        if reply.status in _TAKEN and reply.clean:
            shown = self._explainer.shown(reply)
            for address in accepted:
                self.rows[address] = RecipientReceipt(address, Outcome.ACCEPTED, shown)
        elif reply.negative:
            self._settle(accepted, reply)
        else:
            self.over = True
            self.fill(accepted, self._uncertain(str(reply)))

    def fill(self, recipients: tuple[str, ...], problem: "Problem") -> None:
        """``problem`` for those of ``recipients`` of whom nothing is known yet."""
        for address in recipients:
            self.rows.setdefault(address, RecipientReceipt(address, problem.outcome, problem.reply, problem))

    def uncertain(self, reply: str | None = None) -> None:
        """The line ended after the final dot: for those that were accepted, *unknown*."""
        self.fill(tuple(self.accepted), self._uncertain(reply))

    def _uncertain(self, reply: str | None) -> "Problem":
        return self._explainer.own("UNCERTAIN", step="message", reply=reply)

    async def _stream(self) -> None:
        stuffer = DotStuffer()
        left = self._content.size
        held = b""  # waits for what comes next: a small message is one write and one TLS record, its dot included
        async for chunk in self._content.chunks():
            left -= len(chunk)
            stuffed = stuffer.chunk(chunk)
            if len(held) + len(stuffed) <= _JOINED:
                held += stuffed
                continue
            if held:
                await self._write(held)
            held = stuffed
        if left:
            raise NotSent(self._explainer.own("MSG-CHANGED", step="message", file=self._content.message_id))
        if len(held) > _JOINED:
            await self._write(held)
            held = b""
        self._channel.check_order()
        self._channel.write(held + stuffer.end(), shown=f"({self._content.size} octets of content) .")
        self.ended = True

    async def _write(self, data: bytes) -> None:
        # A server that answers in the middle of the content refuses it: nothing more is sent, and no final dot.
        self._channel.check_order()
        self._channel.write(data)
        await self._channel.drain(self._patience.block)

    def _settle(self, recipients: tuple[str, ...], reply: Reply) -> None:
        """What ``reply`` says is the outcome of each of ``recipients``."""
        self.over = self.over or reply.status == _CLOSING or not reply.negative
        shown = self._explainer.shown(reply)
        own = self._envelope.sender.lower() == self._explainer.profile.sender.lower()
        for address in recipients:
            if reply.negative:
                problem = self._explainer.reply(
                    reply, self.step, sender=self._envelope.sender, own_sender=own, recipient=address
                )
            else:  # a 3xx to MAIL, a 250 to DATA: no answer to what was asked
                problem = self._explainer.own("REPLY-STRANGE", step=self.step, reply=str(reply))
            if problem.outcome in (Outcome.UNKNOWN, Outcome.ACCEPTED):
                problem = problem.with_(outcome=Outcome.NOT_SENT)
            self.rows[address] = RecipientReceipt(address, problem.outcome, shown, problem)


def mail_command(
    envelope: "Envelope", content: "Content", extensions: "Extensions", *, smtputf8: bool = False
) -> str:
    """MAIL with what the server offers and this message needs."""
    words = [f"MAIL FROM:<{envelope.sender}>"]
    if "size" in extensions:
        words.append(f"SIZE={content.size}")
    if not content.is_7bit or smtputf8:
        words.append("BODY=8BITMIME")
    if smtputf8:
        words.append("SMTPUTF8")
    if envelope.notify:
        words.append("RET=HDRS")
        if (mark := _xtext(content.message_id.strip("<>"))).isascii() and 0 < len(mark) <= _ENVID_LIMIT:
            words.append(f"ENVID={mark}")
    return " ".join(words)


def recipient_command(address: str, notify: frozenset[Notify]) -> str:
    """RCPT, with the notices that are asked for (RFC 3461)."""
    if not notify:
        return f"RCPT TO:<{address}>"
    wanted = ",".join(kind.value.upper() for kind in Notify if kind in notify)
    kind = "rfc822" if address.isascii() else "utf-8"
    return f"RCPT TO:<{address}> NOTIFY={wanted} ORCPT={kind};{_xtext(address)}"


def _xtext(text: str) -> str:
    """RFC 3461 §4; beyond ASCII as it is, which RFC 6533 allows where SMTPUTF8 was asked for."""
    return re.sub(r"[\x00-\x20+=\x7f]", lambda match: f"+{ord(match[0]):02X}", text)


def _one_too_many(reply: Reply) -> bool:
    """Whether the server takes no more recipients in this transaction, but would in another.

    RFC 5321 §4.5.3.1.10: some say 552 where they mean 452.
    """
    return reply.status in (450, 451, 452, 552) and (
        reply.enhanced in ("4.5.3", "5.5.3")
        or (not reply.enhanced and "too many recipients" in reply.text.lower())
    )
