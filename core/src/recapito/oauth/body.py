"""What a request carries: bytes, a secret text, or a stream of known size."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeAlias

from recapito.secret import Secret

__all__ = ["Body", "Outgoing", "Streamed"]

# Bytes that are handed on at a time: between two pieces an early answer is noticed.
_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Streamed:
    """A body of exactly ``size`` bytes; ``chunks`` makes a fresh iterator of it each time it is called."""

    size: int
    chunks: Callable[[], AsyncIterator[bytes]]


#: What a request may carry. A Secret is a text that is sent as UTF-8, a form with a password in it, say.
Body: TypeAlias = bytes | Secret | Streamed


class Outgoing:
    """A body on its way. ``sent`` turns True just before its last byte may leave, and stays so."""

    __slots__ = ("_chunks", "sent", "size")

    def __init__(self, body: Body) -> None:
        self.sent = False
        if isinstance(body, Streamed):
            self.size, self._chunks = body.size, body.chunks
            return
        octets = body.reveal().encode() if isinstance(body, Secret) else body
        self.size = len(octets)

        async def once() -> AsyncIterator[bytes]:
            yield octets

        self._chunks = once

    async def pieces(self) -> AsyncGenerator[tuple[bytes | memoryview, bool], None]:
        """Each piece and whether it is the last. ValueError where there are more or fewer bytes than announced."""
        count, chunks = 0, self._chunks()
        try:
            async for chunk in chunks:
                whole = memoryview(chunk)
                for start in range(0, len(whole), _PIECE):
                    piece = whole[start : start + _PIECE]
                    count += len(piece)
                    if count > self.size:
                        raise ValueError(f"a body of {self.size} bytes was announced, and more came")
                    yield piece, count == self.size
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
        if count < self.size:
            raise ValueError(f"a body of {self.size} bytes was announced, {count} came")
