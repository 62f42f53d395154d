"""The order in which transactions take a line, and how many of them may wait for an answer at once.

Theory of operation. Whoever has the line writes (one at a time); once its content's last byte is written it passes
the line on, and waits for its reply while the next one writes: as many as ``most``, in the order of their coming.
In DATA the next one's commands ride in the same write as the final dot (RFC 2920 §3.1: a content may be the first
of a group); its content still waits for the 354, which comes after the reply to the one before, so that never more
than one message is in doubt. With BDAT ``most`` contents can be in doubt.

A transaction that is given up in the middle dooms the line: nobody new begins, those whose content has left hear
their replies, then the line is closed.
"""

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING

from recapito.smtp.channel import Channel, Lost
from recapito.smtp.group import Group

if TYPE_CHECKING:
    from recapito.smtp.reply import Reply

__all__ = ["Turn", "Turns"]

_RESET = b"RSET\r\n"


class Turn:
    """One transaction's place. ``head`` is what it writes first, ``commands`` how many that are (0: it cannot ride)."""

    __slots__ = ("allowance", "begun", "commands", "deadline", "granted", "group", "head", "resets", "shown")

    def __init__(self, head: bytes = b"", commands: int = 0, allowance: float = 0.0, shown: str = "") -> None:
        self.head = head
        self.commands = commands
        self.shown = shown
        #: Seconds that its content's reply may take: those behind it wait as much longer.
        self.allowance = allowance
        #: When its message must have ended, on the loop's clock.
        self.deadline = math.inf
        self.group: Group | None = None
        #: Whether RSET went before its head.
        self.resets = False
        #: Something of it may be on the line.
        self.begun = False
        self.granted: asyncio.Future[None] | None = None


class Turns:
    """The turns of one line. ``rides`` where DATA may be chained; ``most`` contents wait for an answer at once."""

    def __init__(self, channel: Channel, *, most: int, rides: bool) -> None:
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._most = most
        self._rides = rides
        self._queue: deque[Turn] = deque()
        self._writer: Turn | None = None
        self._flying: list[Turn] = []
        self._last: Turn | None = None
        #: A transaction was left open: RSET must lead the next.
        self.needs_reset = False
        #: The line takes no new transaction.
        self.doomed = False

    @property
    def busy(self) -> bool:
        """Whether a transaction is on the line, or waits for it."""
        return self._writer is not None or bool(self._flying) or bool(self._queue)

    @property
    def answered(self) -> bool:
        """Whether the line is quiet: nobody waits for an answer to a content."""
        return not self._flying

    async def enter(self, turn: Turn) -> None:
        """Wait until ``turn`` has the line; its head may have been written by then (:attr:`Turn.group`).

        Raises LineFailure where the line ended before.
        """
        if self.doomed:
            raise Lost("given up")
        if self._writer is None and not self._queue and len(self._flying) < self._most:
            self._writer = turn
            return
        turn.granted = self._loop.create_future()
        self._queue.append(turn)
        await turn.granted

    def hold(self, turn: Turn) -> None:
        """``turn``, which has the line, writes its commands itself, one at a time."""
        turn.begun = True
        self._last = turn

    def begin(self, turn: Turn, data: bytes = b"", commands: int = 0) -> Group:
        """Write the head, unless it rode, and ``data`` with ``commands`` more in the same write; the replies to all."""
        turn.begun = True
        if turn.group is None:
            turn.resets = self.needs_reset or bool(self._flying)
            lead = _RESET if turn.resets else b""
            self._channel.write(lead + turn.head + data, shown=turn.shown)
            turn.group = self._channel.expect_group(turn.resets + turn.commands + commands)
            self._last = turn
            self.needs_reset = False
        return turn.group

    def limit(self, turn: Turn, own: float) -> float:
        """Seconds that ``turn`` waits for an answer: its ``own``, what those before it may take, never too long."""
        if len(self._flying) > (turn in self._flying):
            own += sum(other.allowance for other in self._flying if other is not turn)
        return min(own, turn.deadline - self._loop.time())

    def finish(self, turn: Turn, data: bytes, *, shown: str) -> "asyncio.Future[Reply]":
        """Write the end of a content, and the head of the next turn where one waits; the reply to the content."""
        rider = self._rider()
        if rider is None:
            self._channel.write(data, shown=shown)
            reply = self._channel.expect()
            self.pass_on(turn)
            return reply
        self._channel.write(data + _RESET + rider.head, shown=f"{shown}, {rider.shown}")
        reply = self._channel.expect()
        rider.resets = rider.begun = True
        rider.group = self._channel.expect_group(1 + rider.commands)
        self._last = rider
        self.pass_on(turn)
        return reply

    def _rider(self) -> Turn | None:
        if not self._rides or self.doomed or not self._queue:
            return None
        first = self._queue[0]
        # One that was cancelled a moment ago must not begin.
        return first if first.commands and first.granted and not first.granted.done() else None

    def pass_on(self, turn: Turn) -> None:
        """All of ``turn`` is written: the next one may write, while this one waits for its reply."""
        if self._writer is turn:
            self._writer = None
            self._flying.append(turn)
        self._advance()

    def leave(self, turn: Turn, *, open_: bool = False) -> None:
        """What became of ``turn`` is known; ``open_`` where the server still has its transaction open."""
        if self._writer is turn:
            self._writer = None
        elif turn in self._flying:
            self._flying.remove(turn)
        elif turn in self._queue:
            self._queue.remove(turn)
        if self._last is turn:
            self.needs_reset = open_
        self._advance()

    def give_up(self, turn: Turn) -> None:
        """``turn`` ends where the order of the line is in doubt: no other message may be said on it."""
        self.doomed = True
        self.leave(turn)

    def doom(self) -> None:
        """No other message may be said on the line, which is in order."""
        self.doomed = True
        self._advance()

    def _advance(self) -> None:
        if self.doomed:
            while self._queue:
                _refuse(self._queue.popleft())
            if not self._flying:
                self._channel.fail(Lost("given up"))
        while (
            self._queue
            and self._writer is None
            and (len(self._flying) < self._most or self._queue[0].group is not None)
        ):
            turn = self._queue.popleft()
            if turn.granted is not None and not turn.granted.done():
                self._writer = turn
                turn.granted.set_result(None)


def _refuse(turn: Turn) -> None:
    if turn.granted is not None and not turn.granted.done():
        turn.granted.set_exception(Lost("given up"))
        turn.granted.exception()
