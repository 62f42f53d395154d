"""One request and its answer, on one connection."""

import re
from collections.abc import Callable, Mapping
from contextlib import aclosing

import h11

from recapito.oauth.answer import Answer
from recapito.oauth.body import Outgoing
from recapito.oauth.failure import HttpFailure
from recapito.oauth.wire import Wire

__all__ = ["Exchange", "next_event"]

_IDENTITY = ("", "identity")
_KEPT_FOR = re.compile(r"\btimeout=(\d{1,6})\b")


class Exchange:
    """One request on its way, and as much of the answer as has come. ``cap`` is the most of a body, in bytes."""

    def __init__(self, wire: Wire, outgoing: Outgoing, cap: int) -> None:
        self._wire = wire
        self._outgoing = outgoing
        self._cap = cap
        self._begun: h11.Event | type[h11.PAUSED] | None = None
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._body = bytearray()
        self._whole = False
        self._complete = False

    @property
    def answer(self) -> Answer | None:
        """What has been answered so far; None until there is a status."""
        if not self._status:
            return None
        return Answer(self._status, self._headers, bytes(self._body), self._whole, self._complete)

    @property
    def reusable(self) -> bool:
        """Whether the connection can carry another request."""
        http = self._wire.http
        both_done = http.our_state is h11.DONE and http.their_state is h11.DONE
        # What came behind the answer would be taken for the answer to the next request.
        return self._whole and both_done and not http.trailing_data[0] and not self._wire.stirring

    async def run(self, head: Callable[[], h11.Request]) -> Answer:
        """The answer. ``head`` makes the head, which no frame that can wait holds.

        HttpFailure where there is no answer; a body that ends early is an answer that is not whole.
        """
        try:
            await self._send(head)
        except HttpFailure:
            # The server ended it while we wrote: it may have said why.
            pass
        else:
            self._complete = self._wire.http.our_state is not h11.SEND_BODY
        await self._receive()
        answer = self.answer
        assert answer is not None
        return answer

    async def _send(self, head: Callable[[], h11.Request]) -> None:
        wire, outgoing = self._wire, self._outgoing
        outgoing.sent = not outgoing.size
        await wire.write(wire.http.send(head()) or b"")
        async with aclosing(outgoing.pieces()) as pieces:
            async for piece, last in pieces:
                if await self._answered():
                    return
                outgoing.sent = last
                await wire.write(wire.http.send(h11.Data(data=piece)) or b"")  # type: ignore[arg-type]
        wire.http.send(h11.EndOfMessage())

    async def _answered(self) -> bool:
        """Whether an answer has begun, or the connection ended. An informational one (1xx) does not count."""
        await self._wire.settle()
        while self._wire.stirring:
            event = await next_event(self._wire)
            if isinstance(event, h11.Response):
                self._begun = event
                return True
        return False

    async def _receive(self) -> None:
        event = self._begun
        while not isinstance(event, h11.Response):
            event = await next_event(self._wire)
        self._headers = headers = _joined(event)
        self._status = event.status_code
        if found := _KEPT_FOR.search(headers.get("keep-alive", "")):
            self._wire.kept_for = float(found[1])
        if headers.get("content-encoding", "").strip().lower() in _IDENTITY:
            try:
                self._whole = await self._read_body()
            except HttpFailure:
                self._whole = False

    async def _read_body(self) -> bool:
        while isinstance(event := await next_event(self._wire), h11.Data):
            self._body += event.data[: self._cap - len(self._body) + 1]
            if len(self._body) > self._cap:
                return False
        return isinstance(event, h11.EndOfMessage)


async def next_event(wire: Wire) -> "h11.Event | type[h11.PAUSED]":
    """What HTTP says next. HttpFailure: ``lost`` at the end of the connection, ``answer`` where it is no HTTP."""
    while True:
        try:
            event = wire.http.next_event()
        except h11.RemoteProtocolError:
            raise HttpFailure("answer", via="http") from None
        if event is h11.NEED_DATA:
            data = await wire.read()
            if not data and wire.http.their_state is h11.SEND_RESPONSE:
                raise HttpFailure("lost")
            wire.http.receive_data(data)
        elif isinstance(event, h11.ConnectionClosed):
            raise HttpFailure("lost")
        else:
            return event  # type: ignore[return-value]


def _joined(response: h11.Response) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in response.headers:
        key, text = name.decode("ascii").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
