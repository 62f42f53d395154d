"""Content is read as it is sent: sizes known, memory flat, a file that changes is noticed in time."""

import asyncio
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recapito.errors import NotSent
from recapito.message import Message
from recapito.outcome import Outcome
from recapito.rendering import render

MB = 1 << 20


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "grande.bin"
    path.write_bytes(os.urandom(MB))
    return path


@pytest.mark.parametrize(
    "size", [0, 1, 2, 3, 56, 57, 58, 114, 57 * 4096 - 1, 57 * 4096, 57 * 4096 + 1, 700_001]
)
def test_the_size_is_known_before_the_first_octet(send: Any, tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(os.urandom(size))
    arrived = send(Message(to=["a@x.it"], text="ciao", attachments=[path]))
    assert next(arrived.message.iter_attachments()).get_payload(decode=True) == path.read_bytes()
    lines = arrived.octets.split(b"\r\n")
    assert max(map(len, lines)) <= 78


def test_the_standard_library_would_write_the_same_lines(send: Any) -> None:
    import base64

    data = os.urandom(100_000)
    arrived = send(Message(to=["a@x.it"], attachments=[("a.bin", data)]))
    assert base64.encodebytes(data).replace(b"\n", b"\r\n") in arrived.octets


@pytest.mark.parametrize("parts", [False, True])
def test_memory_stays_flat(profile: Any, tmp_path: Path, parts: bool) -> None:
    path = tmp_path / "enorme.bin"
    with path.open("wb") as file:
        file.truncate(50 * MB)

    async def read(streams: Any) -> int:
        return sum([len(chunk) for stream in streams async for chunk in stream.chunks()])

    tracemalloc.start()
    try:
        content = render(Message(to=["a@x.it"], text="x", attachments=[path]), profile).content
        size = asyncio.run(read(content.parts() if parts else [content]))
        assert tracemalloc.get_traced_memory()[1] < 5 * MB
    finally:
        tracemalloc.stop()
        content.close()
    assert size == (50 * MB + 1 if parts else content.size)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def shrink(path: Path) -> None:
    os.truncate(path, MB // 2)


def touch(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


@pytest.mark.parametrize("change", [grow, shrink, touch])
@pytest.mark.parametrize("sent", [0, 1, 2, 3])
def test_a_file_that_changes_stops_the_content_before_its_end(
    profile: Any, large: Path, change: Callable[[Path], None], sent: int
) -> None:
    async def read() -> None:
        position = 0
        async for _ in content.chunks():
            if position == sent:
                change(large)
            position += 1

    content = render(Message(to=["a@x.it"], text="x", attachments=[large]), profile).content
    with pytest.raises(NotSent) as caught:
        asyncio.run(read())
    assert caught.value.problem.code == "MSG-CHANGED"
    assert caught.value.problem.outcome is Outcome.NOT_SENT
    assert caught.value.problem.params == {"file": "grande.bin"}
    with pytest.raises(NotSent):  # and so does every later try
        asyncio.run(read())
    content.close()


def test_a_file_that_changes_stops_its_part_too(profile: Any, large: Path) -> None:
    async def read() -> None:
        async for _ in part.chunks():
            grow(large)

    (part,) = render(Message(to=["a@x.it"], attachments=[large]), profile).content.parts()
    with pytest.raises(NotSent, match="MSG-CHANGED"):
        asyncio.run(read())


def test_a_file_that_is_replaced_or_removed_is_sent_as_it_was(profile: Any, read: Any, large: Path) -> None:
    data = large.read_bytes()
    content = render(Message(to=["a@x.it"], attachments=[large]), profile).content
    before = read(content)
    other = large.with_name("altro.bin")
    other.write_bytes(b"x" * len(data))
    other.replace(large)
    assert read(content) == before
    large.unlink()
    assert read(content) == before


def test_two_readers_at_once_do_not_disturb_each_other(profile: Any, large: Path) -> None:
    content = render(Message(to=["a@x.it"], attachments=[large]), profile).content

    async def both() -> tuple[bytes, bytes]:
        one, other = content.chunks(), content.chunks()
        pieces: tuple[list[bytes], list[bytes]] = ([], [])
        async for chunk in one:
            pieces[0].append(chunk)
            pieces[1].append(await anext(other))
        return b"".join(pieces[0]), b"".join(pieces[1])

    first, second = asyncio.run(both())
    assert first == second
    assert len(first) == content.size


def test_closed_content_says_so_and_not_half_of_it(profile: Any, read: Any, large: Path) -> None:
    content = render(Message(to=["a@x.it"], attachments=[large]), profile).content
    content.close()
    with pytest.raises(NotSent):
        read(content)


def test_finished_bytes_are_given_out_in_pieces(profile: Any) -> None:
    data = b"From: anna@example.it\r\nTo: a@x.it\r\n\r\n" + b"x" * 70 + b"\r\n" * 500_000

    async def longest() -> int:
        return max([len(chunk) async for chunk in render(data, profile).content.chunks()])

    assert asyncio.run(longest()) < 300_000
