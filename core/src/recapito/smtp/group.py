"""The replies to several commands that were written together."""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recapito.smtp.reply import Reply

__all__ = ["CLOSING", "Group"]

#: "Service closing transmission channel" (RFC 5321 §3.8): what comes after it, if anything, still counts.
CLOSING = 421


class Group:
    """So many replies, kept in order as they come; ``replies`` is what is known, also when the line has ended."""

    __slots__ = ("_size", "_waiter", "goodbye", "replies")

    def __init__(self, size: int) -> None:
        self._size = size
        #: Where the server has said that it closes the line.
        self.goodbye: Reply | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.replies: list[Reply] = []

    @property
    def size(self) -> int:
        """How many there will be."""
        return self._size

    @property
    def complete(self) -> bool:
        """Whether each command has its reply."""
        return len(self.replies) >= self._size

    def grow(self) -> None:
        """One more command was written."""
        self._size += 1

    def take(self, reply: "Reply") -> bool:
        """The next reply; True once there are all of them."""
        self.replies.append(reply)
        if reply.status == CLOSING:
            self.goodbye = self.goodbye or reply
        over = len(self.replies) >= self._size
        if (over or self.goodbye) and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        return over

    def waiter(self, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[None]":
        """Done once all replies are there, or the line is about to end; it fails with the line."""
        self._waiter = loop.create_future()
        return self._waiter

    def fail(self, failure: Exception) -> None:
        """The line has ended: nobody must wait."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(failure)
            self._waiter.exception()  # seen, so that asyncio does not complain where nobody waits any more
