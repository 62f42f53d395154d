"""However a content is cut, what goes onto the wire is the same, and only the end ends it."""

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from recapito.smtp.stuffing import DotStuffer


def stuffed(chunks: list[bytes]) -> bytes:
    stuffer = DotStuffer()
    return b"".join(map(stuffer.chunk, chunks)) + stuffer.end()


def by_lines(content: bytes) -> bytes:
    lines = content.split(b"\r\n")
    if lines[-1] == b"":
        lines.pop()
    return b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines) + b".\r\n"


@given(st.lists(st.sampled_from([b".", b"..", b"\r\n", b"a", b".\r\n", b""]), max_size=12), st.data())
@example([b"a", b"\r\n", b".", b"\r\n"], None)
def test_every_line_is_stuffed_once_wherever_it_was_cut(
    pieces: list[bytes], data: st.DataObject | None
) -> None:
    content = b"".join(pieces)
    edges = [0, len(content)]
    if data is not None:
        edges = sorted({*edges, *data.draw(st.lists(st.integers(0, len(content)), max_size=6))})
    chunks = [content[start:end] for start, end in itertools.pairwise(edges)]
    assert stuffed(chunks) == by_lines(content)


@given(st.binary(max_size=40).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"\r\n")))
def test_byte_by_byte_is_the_same(content: bytes) -> None:
    assert stuffed([content[place : place + 1] for place in range(len(content))]) == by_lines(content)


def test_a_last_line_without_an_end_gets_one() -> None:
    assert stuffed([b"abc"]) == b"abc\r\n.\r\n"
