"""A transaction whose commands go in one flight (RFC 2920), its content too where the server takes chunks (RFC 3030).

Replies come in the order of the commands. Whatever ends the flight early, those that had come are heard first: what
the server said of a recipient stays.
"""

from typing import TYPE_CHECKING

from recapito.smtp.channel import Lost, NoAnswer
from recapito.smtp.group import CLOSING
from recapito.smtp.pieces import SMALL, pieces, whole

if TYPE_CHECKING:
    from recapito.smtp.channel import Channel
    from recapito.smtp.group import Group
    from recapito.smtp.reply import Reply
    from recapito.smtp.transaction import Transaction
    from recapito.smtp.turns import Turn, Turns

__all__ = ["Flight"]


class Flight:
    """One transaction on a line that pipelines; ``turn`` has the line, its head may have ridden on another's."""

    def __init__(self, transaction: "Transaction", channel: "Channel", turns: "Turns", turn: "Turn") -> None:
        self._transaction = transaction
        transaction.flies = True
        self._channel = channel
        self._turns = turns
        self._turn = turn
        self._heard = 0
        # In DATA: 354 came. In BDAT: the first refusal of a chunk, and the answer to the last.
        self._starts = False
        self._refused: Reply | None = None
        self._answer: Reply | None = None

    async def data(self) -> None:
        """DATA: the content after its 354, the next one's head with the final dot. Raises as ``Transaction.run``."""
        transaction = self._transaction
        await self._hear(self._turns.begin(self._turn), transaction.patience.command)
        transaction.defer()
        if transaction.over or not self._starts:
            return
        if not transaction.open:  # it takes a content after it refused MAIL: whose would it be?
            transaction.over = transaction.strange = True
        elif not transaction.accepted:
            await self._nothing()
        else:
            await self._content()

    async def bdat(self) -> None:
        """BDAT: all of it in one write, or in chunks one after the other. Raises as ``Transaction.run``."""
        transaction = self._transaction
        if transaction.body.size <= SMALL:
            group = self._one(await whole(transaction.body, transaction.changed))
        else:
            group = await self._many()
        if transaction.ended:
            self._turns.pass_on(self._turn)
        await self._hear(group, transaction.patience.end_of(transaction.body.size))
        self._judge()

    def _one(self, data: bytes) -> "Group":
        group = self._turns.begin(self._turn, b"BDAT %d LAST\r\n%b" % (len(data), data), 1)
        self._transaction.ended = True
        return group

    async def _many(self) -> "Group":
        """Chunk after chunk, for as long as somebody may get it."""
        transaction = self._transaction
        group: Group | None = None
        async for piece, last in pieces(transaction.body, transaction.changed):
            command = b"BDAT %d LAST\r\n" % len(piece) if last else b"BDAT %d\r\n" % len(piece)
            if group is None:
                group = self._turns.begin(self._turn, command + piece, 1)
            else:
                self._chunk(group, command, piece)
            transaction.ended = last
            if not last:
                await self._channel.drain(transaction.patience.block)
                self._catch_up(group)
                if self._hopeless:
                    break
        assert group is not None
        return group

    def _chunk(self, group: "Group", command: bytes, piece: bytes) -> None:
        if len(piece) <= SMALL:
            self._channel.write(command + piece)
        else:
            self._channel.write(command)
            self._channel.write(piece)
        self._channel.expect_more(group)

    async def _content(self) -> None:
        transaction = self._transaction
        transaction.step = "message"
        end = await transaction.stream()
        size = transaction.body.size
        reply = self._turns.finish(self._turn, end, shown=f"({size} octets of content) .")
        transaction.ended = True
        limit = self._turns.limit(self._turn, transaction.patience.end_of(size))
        transaction.heard_end(await self._channel.wait(reply, limit))

    async def _nothing(self) -> None:
        """354 though it refused everybody: it waits for a content, of which nobody gets anything (RFC 2920 §3.1)."""
        self._channel.write(b".\r\n", shown=".")
        reply = await self._channel.wait(self._channel.expect(), self._transaction.patience.data)
        self._transaction.over = reply.status == CLOSING

    @property
    def _hopeless(self) -> bool:
        """Whether nobody will get the content, so that its rest can be spared."""
        transaction = self._transaction
        answered = self._heard > self._turn.resets + len(transaction.recipients)
        nobody = answered and not (transaction.open and transaction.accepted)
        return transaction.over or self._refused is not None or nobody

    def _judge(self) -> None:
        """What the answers to the chunks mean: the refusal of one is the refusal of all."""
        transaction, answer, refused = self._transaction, self._answer, self._refused
        transaction.defer()
        if answer is None:  # it was broken off, or the server has gone
            if refused is not None and transaction.accepted and not transaction.over:
                transaction.heard_refusal(refused)
        elif answer.positive and (refused is not None or not transaction.open or self._channel.out_of_step):
            transaction.heard_nonsense(answer)
        elif transaction.open and transaction.accepted:
            transaction.heard_end(refused or answer)
            # A server may hold on to what it had until it hears RSET.
            transaction.open = not answer.positive

    async def _hear(self, group: "Group", limit: float) -> None:
        """Wait for all replies, and take them in; after a 421 only as long as the line stays open."""
        transaction = self._transaction
        limit = self._turns.limit(self._turn, limit)
        try:
            await self._channel.wait_for(group, limit)
            if not group.complete:
                # For a server that said 421 to close the line, or to answer what it was told after that.
                await self._channel.wait_for(group, transaction.patience.goodbye, whole=True)
        except (Lost, NoAnswer) as exc:
            self._catch_up(group)
            # A server that closes after 421 has done nothing more. One that stays may have taken the content.
            if group.goodbye is None or (isinstance(exc, NoAnswer) and transaction.ended):
                raise
            transaction.heard_goodbye(group.goodbye)
        finally:
            self._catch_up(group)

    def _catch_up(self, group: "Group") -> None:
        """Take in the replies that have come."""
        transaction, mail = self._transaction, int(self._turn.resets)
        addresses = transaction.recipients
        while self._heard < len(group.replies):
            position, reply = self._heard, group.replies[self._heard]
            self._heard += 1
            if position < mail:
                transaction.over = reply.status == CLOSING
            elif position == mail:
                transaction.heard_mail(reply)
            elif position <= mail + len(addresses):
                transaction.heard_recipient(addresses[position - mail - 1], reply)
            elif self._turn.commands > 1 + len(addresses):
                self._starts = transaction.heard_start(reply)
            elif transaction.ended and position == group.size - 1:
                self._answer = reply
            elif not reply.positive and self._refused is None:
                self._refused = reply
