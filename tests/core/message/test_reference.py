"""What is sent is, octet for octet, what the slow and obvious way gives: the standard library, a loop over lines."""

import base64
import re
from email import message_from_bytes, policy
from email.generator import BytesGenerator
from email.message import EmailMessage
from email.message import Message as StandardMessage
from io import BytesIO

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recapito.message import AnyMessage, Attachment, Message
from recapito.profile import Profile
from recapito.rendering import render
from recapito.rendering.base64stream import BLOCK
from recapito.smtp.stuffing import DotStuffer

PROFILE = Profile.of("anna", sender="anna@example.it", sender_name="Società Però", transport="x")
LITERAL = policy.SMTP.clone(refold_source="none", max_line_length=None)

texts = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\u2028\u2029"), max_size=200
)
bodies = st.lists(texts, max_size=8).map("\n".join).filter(bool)  # a parser writes an empty part its own way
#: Around what fits a line of base64, and what is read at once.
sizes = st.one_of(
    st.integers(1, 200), st.sampled_from([56, 57, 58, 114, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 56])
)
files = st.builds(
    lambda size, seed: (bytes([seed, 13, 10, 46, 255]) * (size // 5 + 1))[:size], sizes, st.integers(0, 255)
)
quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def sent(message: AnyMessage) -> bytes:
    """Every octet as it leaves, its size as it was said beforehand."""
    content = render(message, PROFILE, to=["cliente@example.com"]).content

    async def read() -> bytes:
        return b"".join([chunk async for chunk in content.chunks()])

    data = anyio.run(read)
    assert len(data) == content.size
    return data


def written_again(data: bytes) -> bytes:
    """The standard library's own rendering of what it reads in ``data``, its base64 made line by line."""
    message = message_from_bytes(data, policy=LITERAL)
    for part in message.walk():
        if part["Content-Transfer-Encoding"] == "base64":
            octets = part.get_payload(decode=True)
            assert isinstance(octets, bytes)
            lines = base64.encodebytes(octets).decode()
            # The line end before a boundary belongs to the boundary (RFC 2046, 5.1.1).
            part.set_payload(lines if part is message else lines.removesuffix("\n"))
    stream = BytesIO()
    BytesGenerator(stream, mangle_from_=False, policy=LITERAL).flatten(message)
    # After the end of a multipart inside another it leaves an empty line, which nothing asks for.
    return re.sub(rb"(--=_[0-9a-f]+--\r\n)\r\n(?=--=_)", rb"\1", stream.getvalue())


def payloads(data: bytes) -> list[bytes]:
    parts = [
        part for part in message_from_bytes(data, policy=policy.default).walk() if not part.is_multipart()
    ]
    return [bytes(part.get_payload(decode=True) or b"") for part in parts]


@quickly
@given(subject=texts, text=bodies, html=st.none() | bodies.filter(bool), attached=st.lists(files, max_size=3))
def test_a_message_is_what_the_standard_library_would_write(
    subject: str, text: str, html: str | None, attached: list[bytes]
) -> None:
    given_files = [
        Attachment(octets, filename=f"file {number}.pdf") for number, octets in enumerate(attached)
    ]
    message = Message(
        to=["cliente@example.com"], subject=subject, text=text, html=html, attachments=given_files
    )
    data = sent(message)
    assert written_again(data) == data
    read = message_from_bytes(data, policy=policy.default)
    assert str(read["Subject"] or "").strip() == subject.strip() or "  " in subject
    assert payloads(data)[-len(attached) or len(payloads(data)) :] == attached


@quickly
@given(text=bodies, attached=st.lists(files, min_size=1, max_size=3))
def test_an_email_message_is_what_the_standard_library_would_write(text: str, attached: list[bytes]) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "anna@example.it", "cliente@example.com", "Fattura"
    message.set_content(text)
    for number, octets in enumerate(attached):
        message.add_attachment(octets, maintype="application", subtype="pdf", filename=f"{number}.pdf")
    data = sent(message)
    assert written_again(data) == data
    assert payloads(data)[1:] == attached


@quickly
@given(body=st.lists(st.binary(max_size=60).filter(lambda line: not {0, 10, 13} & set(line)), max_size=12))
def test_finished_octets_are_left_as_they_are(body: list[bytes]) -> None:
    head = b"From: anna@example.it\r\nTo: c@example.com\r\nMessage-ID: <a@b.it>\r\n"
    head += b"Date: Mon, 01 Jun 2026 10:00:00 +0200\r\n"
    given_octets = head + b"Subject: x\r\n\r\n" + b"".join(line + b"\r\n" for line in body)
    assert sent(given_octets) == given_octets


@quickly
@given(
    lines=st.lists(st.sampled_from([b"", b".", b"..", b".x", b"x.", b"x" * 70]), max_size=30), data=st.data()
)
def test_dots_are_doubled_as_by_a_loop_over_lines_wherever_the_chunks_end(
    lines: list[bytes], data: st.DataObject
) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    literal = (
        b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines) + b".\r\n"
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=6)))
    pieces = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    stuffer = DotStuffer()
    assert b"".join(map(stuffer.chunk, pieces)) + stuffer.end() == literal


def test_the_reference_tells_a_wrong_octet_from_a_right_one() -> None:
    data = sent(Message(to=["c@example.com"], text="x", attachments=[("a.pdf", b"a" * 200)]))
    wrong = data.replace(base64.b64encode(b"a" * 57), base64.b64encode(b"a" * 57)[:75] + b"\r\n" + b"h", 1)
    assert wrong != data
    assert written_again(wrong) != wrong
    assert isinstance(message_from_bytes(data), StandardMessage)
