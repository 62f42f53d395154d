"""Bad input is refused before the wire, by the name of the field, whatever field it comes through."""

from collections.abc import Callable
from email.message import EmailMessage
from email.message import Message as StandardMessage
from typing import Any

import pytest

from recapito.errors import InvalidMessage
from recapito.message import Attachment, Message
from recapito.profile import Profile
from recapito.rendering import render

#: What ends a line somewhere, or is not text, and what hides such a thing.
NASTY = {
    "CR": "\r",
    "LF": "\n",
    "CRLF": "\r\nBcc: evil@y.it",
    "fold": "\r\n evil",
    "NUL": "\0",
    "BEL": "\x07",
    "ESC": "\x1b[31m",
    "TAB": "\t",
    "VT": "\x0b",
    "DEL": "\x7f",
    "NEL": "\x85",
    "CSI": "\x9b",
    "LS": "\u2028",
    "PS": "\u2029",
    "surrogate": "\udc80",
    "word": "=?utf-8?q?=0D=0AX-Injected:_1?=",
    "word-b": "=?utf-8?b?DQpYLUluamVjdGVkOiAx?=",
    "word-star": "=?utf-8*it?Q?=0aX-Injected:_1?=",
    "word-utf7": "=?utf-7?q?+AA0ACg-X-Injected:?=",
    "word-escape": "=?unicode_escape?q?=5Cr=5Cn?=",
}

FIELDS: dict[str, Callable[[str], Message]] = {
    "to": lambda bad: Message(to=[f"a{bad}@x.it"]),
    "to name": lambda bad: Message(to=[f"Anna{bad} <a@x.it>"]),
    "to quoted name": lambda bad: Message(to=[f'"Anna{bad}" <a@x.it>']),
    "to end": lambda bad: Message(to=[f"a@x.it{bad}"]),
    "cc": lambda bad: Message(to=["a@x.it"], cc=[f"a@x{bad}.it"]),
    "bcc": lambda bad: Message(to=["a@x.it"], bcc=[f"{bad}a@x.it"]),
    "reply_to": lambda bad: Message(to=["a@x.it"], reply_to=[f"b@x.it{bad}"]),
    "sender": lambda bad: Message(to=["a@x.it"], sender=f"Anna{bad} <anna@example.it>"),
    "subject": lambda bad: Message(to=["a@x.it"], subject=f"Fattura{bad} 12"),
    "headers[X-Note]": lambda bad: Message(to=["a@x.it"], headers={"X-Note": f"a{bad}b"}),
    "message_id": lambda bad: Message(to=["a@x.it"], message_id=f"<a{bad}b@x.it>"),
    "in_reply_to": lambda bad: Message(to=["a@x.it"], in_reply_to=f"<a{bad}b@x.it>"),
    "references": lambda bad: Message(to=["a@x.it"], references=[f"<a{bad}b@x.it>"]),
    "filename": lambda bad: Message(to=["a@x.it"], attachments=[(f"a{bad}b.pdf", b"x")]),
    "content_type": lambda bad: Message(
        to=["a@x.it"], attachments=[Attachment(b"x", "a", f"text/pl{bad}ain")]
    ),
    "content_type parameter": lambda bad: Message(
        to=["a@x.it"], attachments=[Attachment(b"x", "a", f'text/plain; charset="{bad}"')]
    ),
    "content_id": lambda bad: Message(
        to=["a@x.it"], html="x", attachments=[Attachment(b"x", "a", inline=True, content_id=f"a{bad}b")]
    ),
}


@pytest.mark.parametrize("bad", NASTY.values(), ids=NASTY)
@pytest.mark.parametrize("field", FIELDS)
def test_no_line_end_comes_through_a_field(refused: Any, field: str, bad: str) -> None:
    error = refused(FIELDS[field](bad), "MSG-CHARACTER")
    assert error.problem.params["field"] == field.split(maxsplit=1)[0]
    assert str(error.problem.params["character"]).startswith("U+")


@pytest.mark.parametrize("bad", NASTY.values(), ids=NASTY)
def test_no_line_end_comes_through_the_profile(refused: Any, profile: Profile, bad: str) -> None:
    message = Message(to=["a@x.it"])
    for broken, field in (
        (profile.with_(sender_name=f"Anna{bad}"), "profile.sender_name"),
        (profile.with_(sender=f"anna{bad}@example.it"), "profile.sender"),
        (profile.with_(reply_to=f"b@x.it{bad}"), "profile.reply_to"),
    ):
        assert refused(message, "MSG-CHARACTER", profile=broken).problem.params["field"] == field


@pytest.mark.parametrize("bad", NASTY.values(), ids=NASTY)
def test_no_line_end_comes_with_one_more_header(send: Any, bad: str) -> None:
    content = send(Message(to=["a@x.it"])).content
    for name in ("Bcc", "X-Note"):
        with pytest.raises(ValueError, match="MSG-CHARACTER"):
            content.with_header(name, f"c@x.it{bad}")


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "X Note",
        "X:Note",
        "X-Note:",
        "X-Città",
        "X\r\nBcc",
        "X\nA",
        "X\0",
        "X\x7f",
        "\u2028",
        "X" * 200,
    ],
)
def test_a_header_has_a_lawful_name(refused: Any, send: Any, name: str) -> None:
    refused(Message(to=["a@x.it"], headers={name: "x"}), "MSG-HEADER-NAME")
    with pytest.raises(ValueError, match="MSG-HEADER-NAME"):
        send(Message(to=["a@x.it"])).content.with_header(name, "x")


@pytest.mark.parametrize(
    "name",
    [
        "From",
        "TO",
        "cc",
        "Bcc",
        "bCC",
        "Sender",
        "Reply-To",
        "Subject",
        "Date",
        "Message-ID",
        "MIME-Version",
        "Content-Type",
        "content-transfer-encoding",
        "Content-Disposition",
        "Resent-Bcc",
        "Resent-From",
        "In-Reply-To",
        "References",
        "Return-Path",
        "Received",
    ],
)
def test_headers_that_the_message_owns_are_not_given_beside_it(refused: Any, name: str) -> None:
    error = refused(Message(to=["a@x.it"], headers={name: "evil@y.it"}), "MSG-HEADER-OWNED")
    assert error.problem.params["name"] == name


@pytest.mark.parametrize(
    "value", ["", "abc", "a@", "<a b@x.it>", "<a@x@y>", "<a@x.it> <b@x.it>", "a" * 2000 + "@x.it"]
)
def test_an_id_is_one_id(refused: Any, value: str) -> None:
    assert refused(Message(to=["a@x.it"], message_id=value), "MSG-ID").problem.params["field"] == "message_id"
    assert (
        refused(Message(to=["a@x.it"], in_reply_to=value), "MSG-ID").problem.params["field"] == "in_reply_to"
    )
    assert (
        refused(Message(to=["a@x.it"], references=[value]), "MSG-ID").problem.params["field"] == "references"
    )


@pytest.mark.parametrize("value", ["a b", "", 'a"b', "a<b", "è", "x" * 300])
def test_a_content_id_is_one_word(refused: Any, value: str) -> None:
    attachment = Attachment(b"x", "a.png", inline=True, content_id=value)
    refused(Message(to=["a@x.it"], html="x", attachments=[attachment]), "MSG-ID")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "pdf",
        "application",
        "application/",
        "a/b/c",
        "text/plain; charset",
        "text/plain, x",
        "é/b",
        "multipart/mixed",
        "message/rfc822",
        "Message/Partial",
        'text/plain; charset="x',
        "text/plain x",
    ],
)
def test_a_content_type_is_one_that_a_file_can_have(refused: Any, value: str) -> None:
    error = refused(Message(to=["a@x.it"], attachments=[Attachment(b"x", "a.bin", value)]), "FILE-TYPE")
    assert error.problem.params["file"] == "a.bin"


@pytest.mark.parametrize("text", ["\ud800", "ab\udfffc"])
def test_half_characters_in_a_text_are_refused(refused: Any, text: str) -> None:
    assert refused(Message(to=["a@x.it"], text=text), "MSG-CHARACTER").problem.params["field"] == "text"
    assert refused(Message(to=["a@x.it"], html=text), "MSG-CHARACTER").problem.params["field"] == "html"


def test_what_is_no_text_is_refused(refused: Any) -> None:
    number: Any = 12
    refused(Message(to=["a@x.it"], text=number), "MSG-TEXT")
    refused(Message(to=["a@x.it"], subject=number), "MSG-TEXT")
    refused(Message(to=[number]), "MSG-TEXT")
    refused(Message(to=["a@x.it"], headers={"X-A": number}), "MSG-TEXT")
    refused(number, "MSG-TYPE")


def test_an_encoded_word_in_a_field_stays_a_text(send: Any) -> None:
    word = "=?utf-8?q?ciao?="
    arrived = send(Message(to=[f"{word} <a@x.it>"], subject=word, headers={"X-A": word}))
    assert dict(arrived.content.headers)["Subject"] == word
    assert word.encode() not in arrived.octets


#: The standard library makes a blank of a tab, and U+FFFD of half a character.
NASTY_THERE = {name: bad for name, bad in NASTY.items() if name not in {"TAB", "surrogate"}}
NAMES = ["Subject", "To", "From", "Cc", "Reply-To", "X-Note", "Comments"]


def ready_message(name: str, value: str) -> EmailMessage:
    message = EmailMessage()
    message[name] = value
    for other, address in (("From", "anna@example.it"), ("To", "a@x.it")):
        if other != name:
            message[other] = address
    message.set_content("ciao")
    return message


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", NASTY_THERE.values(), ids=NASTY_THERE)
def test_no_line_end_comes_through_a_header_of_an_emailmessage(profile: Profile, name: str, bad: str) -> None:
    try:
        message = ready_message(name, f"Anna{bad} <anna@example.it>")
    except ValueError:
        return  # the standard library saw this one itself
    with pytest.raises(InvalidMessage, match=r"MSG-CHARACTER|ADDR-SYNTAX"):
        render(message, profile)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("harmless", ["\t", "\udc80"])
def test_what_the_standard_library_mends_is_sent_mended(send: Any, name: str, harmless: str) -> None:
    arrived = send(ready_message(name, f"Anna{harmless}Verdi <anna@example.it>"))
    assert "Verdi <anna@example.it>" in str(arrived.message[name])


@pytest.mark.parametrize(
    "bad", ["\r\nBcc: evil@y.it", "\nX: 1", "\r", "\0", "=?utf-8?q?=0D=0AX-Injected:_1?="]
)
def test_no_line_end_comes_through_a_policy_that_checks_nothing(profile: Profile, bad: str) -> None:
    for broken in (
        {"Subject": f"a{bad}b"},
        {"X-Note": f"a{bad}b"},
        {f"X{bad}": "b"},
    ):
        legacy = StandardMessage()
        for name, value in ({"From": "anna@example.it", "To": "a@x.it"} | broken).items():
            legacy[name] = value
        with pytest.raises(InvalidMessage, match=r"MSG-CHARACTER|MSG-HEADER-NAME"):
            render(legacy, profile)  # type: ignore[arg-type]


def attached(message: EmailMessage) -> Any:
    return next(iter(message.iter_attachments()))


@pytest.mark.parametrize("bad", ["\r\nBcc: evil@y.it", "\n", "\0", "=?utf-8?q?=0D=0AX-Injected:_1?="])
def test_no_line_end_comes_through_a_header_of_a_part(profile: Profile, bad: str) -> None:
    for name, value in (("X-Part", f"a{bad}b"), ("Content-Description", f"a{bad}b"), (f"X{bad}", "b")):
        message = ready_message("Subject", "x")
        message.add_attachment(b"x", maintype="application", subtype="pdf", filename="a.pdf")
        # Under the library's own checks, as text that was parsed would be.
        attached(message)._headers.append((name, value))
        with pytest.raises(InvalidMessage, match=r"MSG-CHARACTER|MSG-HEADER-NAME"):
            render(message, profile)


def test_no_line_end_comes_through_a_file_name_of_an_emailmessage(profile: Profile) -> None:
    for value in (
        'attachment; filename="=?utf-8?q?=0D=0AX-Injected:_1?="',
        "attachment; filename*=utf-8''a%0D%0Ab",
    ):
        message = ready_message("Subject", "x")
        message.add_attachment(b"x", maintype="application", subtype="pdf")
        part = attached(message)
        del part["Content-Disposition"]
        part["Content-Disposition"] = value
        with pytest.raises(InvalidMessage, match="MSG-CHARACTER"):
            render(message, profile)
