"""Specimens keep the promises of content, so that what a check says about a transport is about the transport."""

import asyncio
from email import message_from_bytes, policy

import pytest

from recapito.errors import NotSent
from recapito.testing import Specimen

A, B, C = "a@example.it", "b@example.com", "c@example.com"


async def octets(content: Specimen) -> bytes:
    return b"".join([chunk async for chunk in content.chunks()])


@pytest.mark.parametrize("size", [None, 10, 1_400, 1_401, 1_500, 65_536, 200_000, 1_000_001])
def test_the_size_is_exact_and_lines_are_as_they_must_be(size: int | None) -> None:
    content = Specimen.of(A, [B, C], size=size)
    data = asyncio.run(octets(content))
    assert len(data) == content.size
    if size is not None and size > 1_400:
        assert content.size == size
    assert data.endswith(b"\r\n")
    assert b"\n" not in data.replace(b"\r\n", b"")
    assert b"\r" not in data.replace(b"\r\n", b"")
    assert max(map(len, data.split(b"\r\n"))) == 998
    assert data.isascii() is content.is_7bit is True


def test_each_reading_begins_anew_and_is_counted() -> None:
    content = Specimen.of(A, [B], size=100_000)
    assert asyncio.run(octets(content)) == asyncio.run(octets(content))
    assert (content.readings, content.handed) == (2, content.size)
    assert asyncio.run(content.whole()) == asyncio.run(octets(content))
    assert content.readings == 3


def test_headers_are_what_a_parser_finds() -> None:
    content = Specimen.of(A, [B, C], mark="seven")
    parsed = message_from_bytes(asyncio.run(octets(content)), policy=policy.default)
    assert dict(content.headers) == {name: str(value) for name, value in parsed.items()}
    assert parsed["To"].addresses[1].addr_spec == C
    assert parsed["Message-ID"] == content.message_id == "<seven@example.it>"


def test_one_more_header_leaves_the_rest_as_it_was() -> None:
    content = Specimen.of(A, [B], size=5_000)
    longer = content.with_header("Bcc", C)
    assert asyncio.run(octets(longer)) == f"Bcc: {C}\r\n".encode() + asyncio.run(octets(content))
    assert longer.size == content.size + len(f"Bcc: {C}\r\n")


def test_a_file_that_changes_breaks_the_reading_off() -> None:
    content = Specimen.of(A, [B], size=100_000, changes_after=50_000)
    with pytest.raises(NotSent) as broken:
        asyncio.run(octets(content))
    assert broken.value.problem.code == "MSG-CHANGED"


@pytest.mark.parametrize("size", [None, 100_000])
def test_its_only_part_is_its_text(size: int | None) -> None:
    content = Specimen.of(A, [B], size=size)
    (part,) = content.parts()
    data = asyncio.run(_joined(part.chunks()))
    assert len(data) == part.size
    assert part.content_type == "text/plain"
    assert data.startswith(b".\r\n..\r\n.text")
    assert asyncio.run(octets(content)).endswith(b"\r\n\r\n" + data)


def test_a_file_that_changes_breaks_its_part_off() -> None:
    (part,) = Specimen.of(A, [B], size=100_000, changes_after=50_000).parts()
    with pytest.raises(NotSent) as broken:
        asyncio.run(_joined(part.chunks()))
    assert broken.value.problem.code == "MSG-CHANGED"


async def _joined(chunks: object) -> bytes:
    return b"".join([chunk async for chunk in chunks])  # type: ignore[attr-defined]
