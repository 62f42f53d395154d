"""The messages of a batch, read only as they are needed, where their iterator belongs."""

from collections.abc import AsyncIterable, Iterable
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
        self._plain = None if asynchronous else _Reader(messages)  # type: ignore[arg-type]

    async def take(self, most: int) -> list[Item]:
        """See :class:`Feed`; of an asynchronous iterable one at a time, since the next may be long in coming."""
        if self._plain is not None:
            return self._plain.take(most)
        assert self._waits is not None
        try:
            return [_item(await anext(self._waits))]
        except StopAsyncIteration:
            return []


class CallerFeed:
    """Reads in the thread of the caller, whose iterator may hang on it (a cursor of a database)."""

    def __init__(self, messages: Iterable[AnyMessage | Item], call: CallHook) -> None:
        self._plain = _Reader(messages)
        self._call = call

    async def take(self, most: int) -> list[Item]:
        """See :class:`Feed`."""
        return await self._call(self._plain.take, most)


class _Reader:
    """What the iterator gave before it failed is not lost: it fails at the next call."""

    def __init__(self, messages: Iterable[AnyMessage | Item]) -> None:
        self._messages = iter(messages)
        self._failure: Exception | None = None

    def take(self, most: int) -> list[Item]:
        """See :class:`Feed`."""
        items: list[Item] = []
        if self._failure is not None:
            raise self._failure
        try:
            for given in islice(self._messages, most):
                items.append(_item(given))  # noqa: PERF401 - those before a failure are kept
        except Exception as exc:
            if not items:
                raise
            self._failure = exc
        return items


def _item(given: AnyMessage | Item) -> Item:
    return given if isinstance(given, Item) else Item(given)
