"""Dots at the start of a line are doubled in DATA, wherever the content was cut into chunks."""

__all__ = ["DotStuffer"]


class DotStuffer:
    """Takes a content's chunks in order (lines end in CRLF) and gives the bytes for the wire."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b"\r\n"

    def chunk(self, data: bytes) -> bytes:
        """``data`` as it goes onto the wire, seen after what went before."""
        if not data:
            return data
        tail = (self._tail + data[-2:])[-2:]
        if b"." in data:
            data = self._stuffed(data)
        self._tail = tail
        return data

    def end(self) -> bytes:
        """What ends the content: a line end where the last line has none, and the final dot."""
        return b".\r\n" if self._tail == b"\r\n" else b"\r\n.\r\n"

    def _stuffed(self, data: bytes) -> bytes:
        stuffed = data.replace(b"\r\n.", b"\r\n..")
        if self._tail == b"\r\n" and data[:1] == b".":
            return b"." + stuffed
        if self._tail[-1:] == b"\r" and data[:2] == b"\n.":
            return b"\n." + stuffed[1:]
        return stuffed
