"""What a large message becomes at Graph, and what is refused because it would be lost on the way."""

import base64
import json
from email.message import EmailMessage

import pytest

from recapito.errors import Refused
from recapito.message import Message
from recapito.profile import Profile
from recapito.rendering import render
from recapito_ms365_oauth.shape import shape

pytestmark = pytest.mark.anyio

ANNA = Profile.of("anna", sender="anna@ditta.example", transport="ms365_oauth", sender_name="Anna Però")
PDF = b"%PDF-1.7 \xff\x00 of some size"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def shaped(message, hidden=()) -> tuple[dict, list[dict], list[bytes]]:
    rendered = render(message, ANNA)
    made = await shape(rendered.content, tuple(hidden))
    contents = [b"".join([chunk async for chunk in file.chunks()]) for file in made.files]
    return json.loads(made.draft), [dict(file.described) for file in made.files], contents


def mail(**more) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "anna@ditta.example", "b@example.com", "Fattura"
    for name, value in more.items():
        message[name.replace("_", "-")] = value
    message.set_content("In allegato.\n")
    return message


async def test_a_message_keeps_its_people_texts_and_files(tmp_path) -> None:
    file = tmp_path / "però fattura.pdf"
    file.write_bytes(PDF)
    draft, files, contents = await shaped(
        Message(
            to=["Bruno Così <b@example.com>"],
            cc=["c@example.com"],
            bcc=["d@example.com"],
            reply_to=["ufficio@ditta.example"],
            subject="Fattura 12 però",
            text="In allegato.",
            html="<p>In allegato però.</p>",
            attachments=[file],
            headers={"X-Invoice": "12", "Importance": "high"},
            in_reply_to="<1@example.com>",
            references=["<0@example.com>", "<1@example.com>"],
            message_id="<fattura-12@ditta.example>",
        ),
        ["d@example.com"],
    )
    assert draft["from"] == {"emailAddress": {"address": "anna@ditta.example", "name": "Anna Però"}}
    assert draft["toRecipients"] == [{"emailAddress": {"address": "b@example.com", "name": "Bruno Così"}}]
    assert draft["ccRecipients"] == [{"emailAddress": {"address": "c@example.com"}}]
    assert draft["bccRecipients"] == [{"emailAddress": {"address": "d@example.com"}}]
    assert draft["replyTo"] == [{"emailAddress": {"address": "ufficio@ditta.example"}}]
    assert draft["subject"] == "Fattura 12 però"
    assert draft["internetMessageId"] == "<fattura-12@ditta.example>"
    assert draft["importance"] == "high"
    assert draft["internetMessageHeaders"] == [{"name": "X-Invoice", "value": "12"}]
    assert {each["id"]: each["value"] for each in draft["singleValueExtendedProperties"]} == {
        "String 0x1042": "<1@example.com>",
        "String 0x1039": "<0@example.com> <1@example.com>",
    }
    assert draft["body"]["contentType"] == "html"
    assert draft["body"]["content"].strip() == "<p>In allegato però.</p>"
    assert files == [{"name": "però fattura.pdf", "contentType": "application/pdf", "isInline": False}]
    assert contents == [PDF]


async def test_a_picture_of_the_text_stays_in_the_text() -> None:
    message = mail()
    message.add_alternative('<img src="cid:logo@ditta">', subtype="html")
    message.get_payload()[1].add_related(b"\x89PNG", "image", "png", cid="<logo@ditta>", disposition="inline")
    draft, [logo], [content] = await shaped(message)
    assert draft["body"] == {"contentType": "html", "content": '<img src="cid:logo@ditta">\r\n'}
    assert logo == {"name": "1.png", "contentType": "image/png", "isInline": True, "contentId": "logo@ditta"}
    assert content == b"\x89PNG"


async def test_a_text_that_is_attached_is_a_file() -> None:
    message = mail()
    message.add_attachment("uno;due\r\n", subtype="csv", filename="elenco.csv")
    message.add_attachment("nota", filename="nota.txt")
    draft, files, contents = await shaped(message)
    assert draft["body"]["content"] == "In allegato.\r\n"
    assert [file["name"] for file in files] == ["elenco.csv", "nota.txt"]
    assert contents[0] == b"uno;due\r\n"


async def test_a_signed_invoice_is_a_file_like_another() -> None:
    message = mail()
    message.add_attachment(b"0\x80", "application", "pkcs7-mime", filename="IT01234567890_00001.xml.p7m")
    message.add_attachment(b"0\x80", "application", "pkcs7-signature", filename="contratto.pdf.p7s")
    _, files, _ = await shaped(message)
    assert [file["name"] for file in files] == ["IT01234567890_00001.xml.p7m", "contratto.pdf.p7s"]


async def test_a_text_in_another_character_set_is_read() -> None:
    message = mail()
    message.set_content("però", charset="iso-8859-1")
    draft, _, _ = await shaped(message)
    assert draft["body"]["content"] == "però\r\n"


def signed() -> bytes:
    return (
        b"From: anna@ditta.example\r\nTo: b@example.com\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=x\r\n\r\n'
        b"--x\r\nContent-Type: text/plain\r\n\r\nciao\r\n"
        b"--x\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n"
        b"Content-Disposition: attachment; filename=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.b64encode(b"signature")
        + b"\r\n--x--\r\n"
    )


def wrapped() -> EmailMessage:
    message = mail()
    message.add_attachment(b"signature", "application", "pkcs7-signature", filename="smime.p7s")
    return message


def encrypted() -> bytes:
    head = b"From: anna@ditta.example\r\nTo: b@example.com\r\nMIME-Version: 1.0\r\n"
    return head + b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\nMIAG\r\n"


def invitation() -> EmailMessage:
    message = mail()
    message.add_alternative("BEGIN:VCALENDAR\r\n", subtype="calendar")
    return message


def doubled() -> EmailMessage:
    message = mail()
    message.add_attachment("altro testo", disposition="inline")
    return message


def forwarded() -> bytes:
    return (
        b"From: anna@ditta.example\r\nTo: b@example.com\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nciao\r\n"
        b"--x\r\nContent-Type: message/rfc822\r\n\r\nFrom: c@example.com\r\nSubject: prima\r\n\r\ntesto\r\n--x--\r\n"
    )


def beside() -> bytes:
    """A plain text and an HTML one that say different things."""
    return (
        b"From: anna@ditta.example\r\nTo: b@example.com\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nIBAN\r\n"
        b"--x\r\nContent-Type: text/html\r\n\r\n<p>disclaimer</p>\r\n--x--\r\n"
    )


@pytest.mark.parametrize(
    ("message", "en", "it"),
    [
        (signed(), "multipart/signed", "multipart/signed"),
        (encrypted(), "application/pkcs7-mime", "application/pkcs7-mime"),
        (wrapped(), "a signature", "una firma"),
        (invitation(), "several texts", "più testi"),
        (doubled(), "several texts", "più testi"),
        (beside(), "several texts", "più testi"),
        (forwarded(), "another message", "un altro messaggio"),
        (mail(List_Unsubscribe="<https://x.example>"), "List-Unsubscribe", "List-Unsubscribe"),
        (mail(**{f"X-{number}": "1" for number in range(6)}), "more than 5", "più di 5"),
        (Message(to=["b@example.com"], text="x" * 3_600_000), "more than 3 MB", "più di 3 MB"),
        (Message(to=["b@example.com"], text="è" * 1_790_000), "more than 3 MB", "più di 3 MB"),
        (Message(to=["b@example.com"], text='"' * 1_790_000), "more than 3 MB", "più di 3 MB"),
    ],
    ids=[
        "signed",
        "encrypted",
        "signature",
        "invitation",
        "texts",
        "beside",
        "forwarded",
        "header",
        "headers",
        "long",
        "octets",
        "JSON",
    ],
)
async def test_what_a_draft_cannot_hold_is_refused_by_its_name(message, en: str, it: str) -> None:
    with pytest.raises(Refused) as caught:
        await shaped(message)
    assert caught.value.problem.code == "M365-DRAFT"
    for language, said in (("en", en), ("it", it)):
        explained = caught.value.problem.explain(language)
        assert said in explained.what
        assert "--to smtp" in explained.do


async def test_a_character_set_that_nobody_knows_is_named() -> None:
    message = mail()
    message.replace_header("Content-Type", 'text/plain; charset="x-klingon"')
    with pytest.raises(Refused) as caught:
        await shaped(message)
    assert "x-klingon" in caught.value.problem.explain("en").what
