"""The messages of a batch, read only as they are needed, where their iterator belongs."""

from collections.abc import AsyncIterable, Iterable, Iterator
from itertools import islice
from typing import Protocol, TypeAlias

from recapito.following import CallHook
from recapito.message import AnyMessage, Item

__all__ = ["CallerFeed", "Feed", "LoopFeed", "Messages"]

#: What a batch is made of.
Messages: TypeAlias = Iterable[AnyMessage | Item] | AsyncIterable[AnyMessage | Item]


class Feed(Protocol):
    """Gives the next messages."""

    async def take(self, most: int) -> list[Item]:
        """At least one and at most ``most`` of them; none once there are no more. Raises what the iterator raises."""
        ...


class LoopFeed:
    """Reads on the loop: a plain iterable must not block, an asynchronous one may take its time."""

    def __init__(self, messages: Messages) -> None:
        asynchronous = isinstance(messages, AsyncIterable)
        self._waits = messages.__aiter__() if isinstance(messages, AsyncIterable) else None
        self._plain = None if asynchronous else iter(messages)  # type: ignore[arg-type]

    async def take(self, most: int) -> list[Item]:
        """See :class:`Feed`; of an asynchronous iterable one at a time, since the next may be long in coming."""
        if self._plain is not None:
            return _taken(self._plain, most)
        assert self._waits is not None
        try:
            return [_item(await anext(self._waits))]
        except StopAsyncIteration:
            return []


class CallerFeed:
    """Reads in the thread of the caller, whose iterator may hang on it (a cursor of a database)."""

    def __init__(self, messages: Iterable[AnyMessage | Item], call: CallHook) -> None:
        self._plain = iter(messages)
        self._call = call

    async def take(self, most: int) -> list[Item]:
        """See :class:`Feed`."""
        return await self._call(_taken, self._plain, most)


def _taken(messages: Iterator[AnyMessage | Item], most: int) -> list[Item]:
    return [_item(each) for each in islice(messages, most)]


def _item(given: AnyMessage | Item) -> Item:
    return given if isinstance(given, Item) else Item(given)
