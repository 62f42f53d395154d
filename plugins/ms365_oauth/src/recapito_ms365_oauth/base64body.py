"""Base64 made as it is sent: standard alphabet, no line ends (learn: send a message in MIME format)."""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable

from recapito.oauth import Streamed

__all__ = ["encoded_size", "streamed_base64"]


def encoded_size(size: int) -> int:
    """Bytes of ``size`` bytes when encoded."""
    return 4 * ((size + 2) // 3)


def streamed_base64(
    size: int, chunks: Callable[[], AsyncIterator[bytes]], *, before: bytes = b"", after: bytes = b""
) -> Streamed:
    """A body of ``before``, ``size`` bytes of ``chunks`` encoded, and ``after``."""

    async def parts() -> AsyncIterator[bytes]:
        if before:
            yield before
        rest = b""
        async for chunk in chunks():
            whole = rest + chunk
            # Three bytes make four letters: what is left over waits for the next chunk.
            kept = len(whole) - len(whole) % 3
            rest = whole[kept:]
            if kept:
                yield b64encode(memoryview(whole)[:kept])
        if rest or after:
            yield b64encode(rest) + after

    return Streamed(len(before) + encoded_size(size) + len(after), parts)
