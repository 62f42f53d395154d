"""The MIME tree: each kind of part where readers look for it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from recapito.message import Attachment, Message

IMAGE = Attachment(b"\x89PNG", "logo.png", inline=True, content_id="logo@example.it")


def outline(part: Any) -> Any:
    if part.is_multipart():
        return {part.get_content_subtype(): [outline(child) for child in part.iter_parts()]}
    return part.get_filename() or part.get_content_subtype()


OUTLINES = {
    "nothing": (Message(to=["a@x.it"]), "plain"),
    "text": (Message(to=["a@x.it"], text="ciao"), "plain"),
    "html": (Message(to=["a@x.it"], html="<p>ciao"), "html"),
    "both": (Message(to=["a@x.it"], text="ciao", html="<p>ciao"), {"alternative": ["plain", "html"]}),
    "file only": (Message(to=["a@x.it"], attachments=[("a.pdf", b"x")]), {"mixed": ["a.pdf"]}),
    "text and files": (
        Message(to=["a@x.it"], text="ciao", attachments=[("a.pdf", b"x"), ("b.pdf", b"y")]),
        {"mixed": ["plain", "a.pdf", "b.pdf"]},
    ),
    "image in html": (
        Message(to=["a@x.it"], html="<img src='cid:logo@example.it'>", attachments=[IMAGE]),
        {"related": ["html", "logo.png"]},
    ),
    "all of it": (
        Message(to=["a@x.it"], text="ciao", html="<p>ciao", attachments=[("a.pdf", b"x"), IMAGE]),
        {"mixed": [{"alternative": ["plain", {"related": ["html", "logo.png"]}]}, "a.pdf"]},
    ),
    "image without html": (
        Message(to=["a@x.it"], text="ciao", attachments=[IMAGE]),
        {"mixed": ["plain", "logo.png"]},
    ),
}


@pytest.mark.parametrize(("message", "expected"), OUTLINES.values(), ids=OUTLINES)
def test_each_part_is_where_readers_look_for_it(send: Any, message: Message, expected: Any) -> None:
    arrived = send(message)
    assert outline(arrived.message) == expected
    assert not arrived.message.defects
    assert all(not part.defects for part in arrived.message.walk())


def test_an_inline_image_is_found_by_its_content_id(send: Any) -> None:
    message = Message(
        to=["a@x.it"], html="x", attachments=[IMAGE, Attachment(b"y", "firma.png", inline=True)]
    )
    _, logo, signature = [part for part in send(message).message.walk() if not part.is_multipart()]
    assert logo["Content-ID"] == "<logo@example.it>"
    assert logo.get_content_disposition() == "inline"
    assert signature["Content-ID"] == "<firma.png>"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Buongiorno,\n\nin allegato la fattura.\n", "7bit"),
        ("Perché no?\n", "quoted-printable"),
        ("привет мир\n" * 3, "base64"),
        ("x" * 998, "7bit"),
        ("x" * 999, "quoted-printable"),
        ("a\0b, e altro", "quoted-printable"),
        ("a\x0cb, e altro", "quoted-printable"),
        ("", "7bit"),
    ],
)
def test_text_leaves_in_the_lightest_encoding_that_is_lawful(send: Any, text: str, encoding: str) -> None:
    arrived = send(Message(to=["a@x.it"], text=text))
    assert arrived.message["Content-Transfer-Encoding"] == encoding
    assert arrived.message.get_content().replace("\r\n", "\n").removesuffix("\n") == text.removesuffix("\n")
    assert arrived.octets.isascii()


def test_line_ends_of_every_kind_arrive_as_line_ends(send: Any) -> None:
    arrived = send(Message(to=["a@x.it"], text="a\rb\nc\r\nd\n\re"))
    assert arrived.octets.endswith(b"\r\n\r\na\r\nb\r\nc\r\nd\r\n\r\ne\r\n")


def test_every_message_gets_boundaries_of_its_own(send: Any) -> None:
    message = Message(to=["a@x.it"], text="ciao", html="<p>")
    assert send(message).message.get_boundary() != send(message).message.get_boundary()


def test_parts_are_the_leaves_decoded(send: Any, tmp_path: Path) -> None:
    path = tmp_path / "dati.bin"
    path.write_bytes(b"\0\xff" * 200_000)
    message = Message(to=["a@x.it"], text="Perché\n", html="<p>ciao</p>", attachments=[path, IMAGE])
    text, html, logo, data = send(message).content.parts()
    assert [part.content_type for part in (text, html, logo, data)] == [
        "text/plain",
        "text/html",
        "image/png",
        "application/octet-stream",
    ]
    assert [part.filename for part in (text, html, logo, data)] == [None, None, "logo.png", "dati.bin"]
    assert logo.headers["content-id"] == "<logo@example.it>"
    assert data.headers["content-disposition"] == 'attachment; filename="dati.bin"'

    async def decoded(part: Any) -> bytes:
        first, second = [[chunk async for chunk in part.chunks()] for _ in range(2)]
        assert first == second
        assert max(map(len, first)) < 300_000
        return b"".join(first)

    for part, octets in ((text, "Perché\r\n".encode()), (html, b"<p>ciao</p>"), (logo, b"\x89PNG")):
        assert asyncio.run(decoded(part)) == octets
        assert part.size == len(octets)
    assert asyncio.run(decoded(data)) == path.read_bytes()
    assert data.size == 400_000
