"""Nothing smuggles a second message: only CRLF ends a line, no NUL leaves, no line passes 998 octets."""

from email.message import EmailMessage
from typing import Any

import pytest

from recapito.message import Message

#: Ends of data as one server or another has read them, and what may not be in a line.
SEQUENCES = {
    "LF.LF": "\n.\n",
    "LF.CRLF": "\n.\r\n",
    "CR.CRLF": "\r.\r\n",
    "CR.CR": "\r.\r",
    "CRLF.CR": "\r\n.\r",
    "CRLF.LF": "\r\n.\n",
    "CRLF.CRLF": "\r\n.\r\n",
    "CR LF.": "\r\r\n.\r\n",
    "bare CR": "a\rb",
    "bare LF": "a\nb",
    "first dot": ".",
    "998": "x" * 998,
    "999": "x" * 999,
    "2400": "è" * 1200,
    "10000": "x " * 5000,
}
SMUGGLED = "MAIL FROM:<evil@y.it>\r\nRCPT TO:<victim@z.it>\r\nDATA\r\nFrom: evil@y.it\r\n\r\nhello\r\n.\r\n"


def lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


@pytest.mark.parametrize("sequence", SEQUENCES.values(), ids=SEQUENCES)
@pytest.mark.parametrize("field", ["text", "html"])
def test_no_sequence_in_a_message_leaves_as_it_is(send: Any, field: str, sequence: str) -> None:
    body = f"ciao{sequence}{SMUGGLED}fine\n"
    arrived = send(Message(to=["a@x.it"]).with_(**{field: body}))  # the fixture holds the octets to the rules
    assert lines(arrived.message.get_content()) == lines(body)


def test_a_nul_in_a_message_is_encoded(send: Any) -> None:
    arrived = send(Message(to=["a@x.it"], text="a\0b"))
    assert arrived.message.get_content().rstrip("\r\n") == "a\0b"


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "quoted-printable", "base64"])
@pytest.mark.parametrize("sequence", SEQUENCES.values(), ids=SEQUENCES)
def test_no_sequence_in_an_emailmessage_leaves_as_it_is(send: Any, encoding: str, sequence: str) -> None:
    if encoding == "7bit" and not sequence.isascii():
        encoding = "8bit"
    message = EmailMessage()
    message["From"], message["To"] = "anna@example.it", "a@x.it"
    body = f"ciao{sequence}{SMUGGLED}fine\n"
    message.set_content(body, cte=encoding)
    arrived = send(message)
    assert arrived.octets.isascii(), "never 8bit"
    assert lines(arrived.message.get_content()) == lines(message.get_content())


def test_no_payload_set_by_hand_leaves_as_it_is(send: Any) -> None:
    for encoding in ("7bit", "8bit", "binary", "nonsense", ""):
        message = EmailMessage()
        message["From"], message["To"] = "anna@example.it", "a@x.it"
        message["Content-Type"] = "text/plain; charset=utf-8"
        if encoding:
            message["Content-Transfer-Encoding"] = encoding
        message.set_payload("a\0b\r.\r\n" + "x" * 3000 + "\nperch\u00e9\r")
        content = send(message).message.get_content()
        assert "perch\u00e9" in content
        assert "x" * 3000 in content.replace("=\r\n", "")


@pytest.mark.parametrize(
    "sequence", [value for name, value in SEQUENCES.items() if name not in {"999", "2400", "10000"}]
)
def test_no_sequence_in_finished_bytes_leaves_as_it_is(send: Any, sequence: str) -> None:
    body = f"ciao{sequence}\r\nMAIL FROM:<evil@y.it>\r\nfine\n" if len(sequence) < 998 else sequence
    arrived = send(f"From: anna@example.it\r\nTo: a@x.it\r\n\r\n{body}".encode())
    assert lines(arrived.octets.decode().partition("\r\n\r\n")[2])[: len(lines(body))] == lines(body)


@pytest.mark.parametrize("line", ["x" * 999, "è" * 500, "x" * 100_000])
def test_a_long_line_in_finished_bytes_is_refused_by_its_number(refused: Any, line: str) -> None:
    for end in ("\n", "\r\n", ""):
        data = f"From: anna@example.it\nTo: a@x.it\n\nciao\n{line}{end}".encode()
        assert refused(data, "MSG-LINE-LONG").problem.params == {"line": 5}
    assert refused(
        f"From: anna@example.it\nX-A: {line}\nTo: a@x.it\n\nciao\n".encode(), "MSG-LINE-LONG"
    ).problem.params == {"line": 2}


def test_a_nul_in_finished_bytes_is_refused_by_its_line(refused: Any) -> None:
    for data, line in ((b"ciao\r\na\0b\r\n", 5), (b"\0", 4)):
        error = refused(b"From: anna@example.it\r\nTo: a@x.it\r\n\r\n" + data, "MSG-NUL")
        assert error.problem.params == {"line": line}


def test_a_bare_cr_in_the_header_of_finished_bytes_is_refused(refused: Any) -> None:
    for data in (
        b"From: anna@example.it\r\nSubject: x\rBcc: evil@y.it\r\nTo: a@x.it\r\n\r\nciao",
        b"From: anna@example.it\nSubject: x\r\r\nBcc: evil@y.it\nTo: a@x.it\n\nciao",
        b"From: anna@example.it\rTo: a@x.it\r\rciao",
    ):
        refused(data, "MSG-LINE-END")


def test_large_finished_bytes_are_looked_through_quickly(send: Any) -> None:
    # A scan that goes back over each line would take minutes for this.
    arrived = send(b"From: anna@example.it\r\nTo: a@x.it\r\n\r\n" + (b"x" * 997 + b"\r\n") * 20_000)
    assert arrived.content.size > 19_000_000
