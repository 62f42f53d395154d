"""A content in the pieces in which it is written: small chunks joined, large ones as they are, the last one marked."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from recapito.errors import NotSent

if TYPE_CHECKING:
    from recapito.content import Content
    from recapito.problem import Problem

__all__ = ["SMALL", "pieces", "whole"]

#: Small chunks are joined in one write up to this many bytes; larger ones are not copied.
SMALL = 65_536


async def whole(content: "Content", changed: "Callable[[], Problem]") -> bytes:
    """All of a content that is no larger than :data:`SMALL`. NotSent as :func:`pieces`."""
    data = b"".join([chunk async for chunk in content.chunks()])
    if len(data) != content.size:
        raise NotSent(changed())
    return data


async def pieces(content: "Content", changed: "Callable[[], Problem]") -> AsyncIterator[tuple[bytes, bool]]:
    """Each piece, and whether it is the last. NotSent, with the problem that ``changed`` gives, before the last
    piece of a content whose size is not what it said."""
    left = content.size
    held = b""
    async for chunk in content.chunks():
        left -= len(chunk)
        if left < 0:
            raise NotSent(changed())
        if len(held) + len(chunk) <= SMALL:
            held = held + chunk if held else chunk
            continue
        if held:
            yield held, False
        held = chunk
        # Where the socket takes all of it at once, nobody else would have a turn until the last byte.
        await asyncio.sleep(0)
    if left:
        raise NotSent(changed())
    yield held, True
