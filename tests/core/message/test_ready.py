"""Ready messages, EmailMessage and bytes: checked, freed of Bcc, and otherwise left as they are."""

import asyncio
import email.message
from datetime import UTC, datetime
from email import message_from_bytes, message_from_string, policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from recapito.message import Message
from recapito.profile import Profile
from recapito.rendering import is_cheap, render


def finished(*lines: str, body: str = "ciao") -> bytes:
    return "\r\n".join([*lines, "", body, ""]).encode()


def ready(**fields: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in ({"From": "anna@example.it", "To": "a@x.it"} | fields).items():
        message[name.replace("_", "-")] = value
    message.set_content("Perché no?\n")
    return message


def as_bytes(message: EmailMessage) -> bytes:
    return message.as_bytes(policy=policy.SMTP)


#: Every fact here holds for both kinds.
both = pytest.mark.parametrize("form", [lambda message: message, as_bytes], ids=["EmailMessage", "bytes"])


@both
@pytest.mark.parametrize("name", ["Bcc", "bcc", "BCC", "bCc"])
def test_bcc_is_taken_out_and_gets_it(send: Any, form: Any, name: str) -> None:
    message = ready(Cc="b@x.it")
    message[name] = "Nascosto <c@x.it>, d@x.it"
    before = as_bytes(message)
    arrived = send(form(message))
    assert arrived.envelope.recipients == ("a@x.it", "b@x.it", "c@x.it", "d@x.it")
    for hidden in (b"bcc:", b"nascosto", b"c@x.it", b"d@x.it"):
        assert hidden not in arrived.octets.lower()
    assert as_bytes(message) == before, "the caller's own message is not changed"


@both
def test_a_folded_bcc_is_taken_out_whole(send: Any, form: Any) -> None:
    message = ready()
    message["Bcc"] = ", ".join(f"Nascosto numero {n} <h{n}@x.it>" for n in range(50))
    arrived = send(form(message))
    assert len(arrived.envelope.recipients) == 51
    assert b"nascosto" not in arrived.octets.lower()


@both
def test_a_resent_message_goes_to_whom_it_was_resent_to(send: Any, form: Any) -> None:
    message = ready(Resent_From="anna@example.it", Resent_To="b@x.it", Resent_Bcc="c@x.it")
    arrived = send(form(message))
    assert arrived.envelope.recipients == ("b@x.it", "c@x.it")
    assert b"c@x.it" not in arrived.octets
    assert b"resent-bcc" not in arrived.octets.lower()


@both
def test_an_envelope_of_its_own_replaces_the_recipients(send: Any, form: Any) -> None:
    arrived = send(form(ready(Bcc="c@x.it")), to=["z@x.it", "Z <z@X.it>"])
    assert arrived.envelope.recipients == ("z@x.it",)
    assert arrived.message["To"] == "a@x.it"
    assert b"c@x.it" not in arrived.octets


@both
def test_from_is_checked_and_not_changed(send: Any, form: Any) -> None:
    message = ready()
    message.replace_header("From", "Un altro nome <fatture@example.it>")
    arrived = send(form(message))
    assert str(arrived.message["From"]) == "Un altro nome <fatture@example.it>"
    assert arrived.envelope.sender == "fatture@example.it"


@both
@pytest.mark.parametrize("name", ["From", "Sender", "Resent-From", "Resent-Sender"])
def test_nobody_else_may_stand_as_the_author(refused: Any, form: Any, name: str) -> None:
    message = ready()
    del message[name]
    message[name] = "Capo <evil@y.it>"
    assert refused(form(message), "SENDER-NOT-ALLOWED").problem.params["address"] == "evil@y.it"


@both
def test_several_authors_need_a_sender(send: Any, refused: Any, form: Any) -> None:
    message = ready()
    message.replace_header("From", "anna@example.it, fatture@example.it")
    refused(form(message), "MSG-SENDER")
    message["Sender"] = "fatture@example.it"
    arrived = send(form(message))
    assert arrived.envelope.sender == "fatture@example.it"
    message.replace_header("From", "anna@example.it, evil@y.it")
    refused(form(message), "SENDER-NOT-ALLOWED")


def test_a_missing_from_is_added_to_an_emailmessage_and_refused_in_bytes(send: Any, refused: Any) -> None:
    message = ready()
    del message["From"]
    arrived = send(message)
    assert str(arrived.message["From"]) == "Anna Verdi <anna@example.it>"
    assert arrived.message["Reply-To"] == "ufficio@example.it"
    refused(as_bytes(message), "MSG-FROM")
    refused(finished("From:", "To: a@x.it"), "MSG-FROM")


def test_finished_bytes_get_no_reply_to(send: Any) -> None:
    assert "Reply-To" not in send(as_bytes(ready())).message


@both
def test_ids_and_date_that_are_well_formed_are_kept(send: Any, form: Any) -> None:
    message = ready(
        References="<a=?b?=@c>",
        Message_ID="<CAF=?x?=.1@altrove.example>",
        Date="Tue, 03 Feb 2026 04:05:06 +0100",
    )
    arrived = send(form(message))
    assert arrived.message["Message-ID"] == arrived.rendered.message_id == "<CAF=?x?=.1@altrove.example>"
    assert arrived.message["References"] == "<a=?b?=@c>"
    assert arrived.message["Date"] == "Tue, 03 Feb 2026 04:05:06 +0100"


@pytest.mark.parametrize(
    "value", ["", "abc", "<abc>", "<a b@x.it>", "<a@b@c>", "a@x.it", "<a@x.it> <b@x.it>", "<@x>"]
)
def test_an_ill_formed_id_is_replaced(send: Any, value: str) -> None:
    arrived = send(finished("From: anna@example.it", "To: a@x.it", f"Message-Id: {value}"))
    assert arrived.octets.lower().count(b"message-id") == 1
    assert arrived.rendered.message_id.endswith("@example.it>")
    assert arrived.message["Message-ID"] == arrived.rendered.message_id


@pytest.mark.parametrize(
    "value",
    [
        "",
        "boh",
        "2026-02-03",
        "Tue, 31 Feb 2026 04:05:06 +0100",
        "3 Feb 2026 04:05:61 +0100",
        "3 Feb 0026 04:05 +0100",
        "Tue, 03 Feb 2026 25:05:06 +0100",
        "03/02/2026",
    ],
)
def test_an_ill_formed_date_is_replaced(send: Any, value: str) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    arrived = send(finished("From: anna@example.it", "To: a@x.it", f"Date: {value}"))
    assert arrived.octets.lower().count(b"\r\ndate:") == 1
    assert parsedate_to_datetime(arrived.message["Date"]) >= before


def test_an_ill_formed_date_of_an_emailmessage_is_replaced(send: Any) -> None:
    arrived = send(ready(Date="boh"))
    assert parsedate_to_datetime(arrived.message["Date"]).year >= 2026


@pytest.mark.parametrize("value", ["3 Feb 2026 04:05 GMT", "Tue, 3 Feb 2026 04:05:06 -0330 (ora locale)"])
def test_dates_in_older_forms_are_kept(send: Any, value: str) -> None:
    assert (
        f"Date: {value}\r\n".encode()
        in send(finished("From: anna@example.it", "To: a@x.it", f"Date: {value}")).octets
    )


def test_of_two_ids_the_first_good_one_stays(send: Any) -> None:
    arrived = send(
        finished(
            "From: anna@example.it", "To: a@x.it", "Message-ID: x", "Message-ID: <b@c>", "Message-ID: <d@e>"
        )
    )
    assert arrived.octets.count(b"Message-ID") == 1
    assert arrived.rendered.message_id == "<b@c>"


@pytest.mark.parametrize("name", ["From", "Sender", "To", "Cc", "Subject", "Reply-To"])
def test_a_field_that_may_stand_once_stands_once(refused: Any, name: str) -> None:
    fields = [
        "From: anna@example.it",
        "To: a@x.it",
        f"{name}: anna@example.it",
        f"{name.lower()}: anna@example.it",
    ]
    assert refused(finished(*fields), "MSG-HEADER-TWICE").problem.params == {"name": name}


def test_finished_bytes_stay_as_they_are_but_for_what_must_change(send: Any) -> None:
    body = "--x\r\nContent-Type: text/plain\r\n\r\nciao  \r\n.\r\n--x--\r\n\tepilogo"
    fields = [
        "DKIM-Signature: v=1; a=rsa-sha256;\r\n\tb=abc",
        "From: =?utf-8?Q?Anna?= Verdi\r\n <anna@example.it>",
        "TO: a@x.it",
        "subject:senza spazio",
        "Date: Tue, 03 Feb 2026 04:05:06 +0100",
        "Message-ID: <a@b>",
        'Content-Type: multipart/mixed; boundary="x"',
    ]
    arrived = send(finished(*fields, body=body))
    for field in fields:
        assert f"{field}\r\n".encode() in arrived.head
    assert arrived.octets.endswith(f"\r\n\r\n{body}\r\n".encode())


def test_finished_bytes_beyond_ascii_are_kept_and_said(send: Any) -> None:
    arrived = send("From: anna@example.it\nTo: a@x.it\nContent-Transfer-Encoding: 8bit\n\nPerché\n".encode())
    assert not arrived.content.is_7bit
    assert arrived.octets.endswith("\r\n\r\nPerché\r\n".encode())


def test_raw_utf8_in_a_header_of_finished_bytes_is_encoded(send: Any) -> None:
    arrived = send(
        "From: Niccolò <anna@example.it>\nTo: Città <a@caffè.it>\nSubject: Perché =?utf-8?q?s=C3=AC?=\n\nx\n".encode()
    )
    assert arrived.octets.isascii()
    assert arrived.message["Subject"] == "Perché sì"
    assert str(arrived.message["To"]) == "Città <a@xn--caff-8oa.it>"
    assert arrived.envelope.recipients == ("a@xn--caff-8oa.it",)


def test_a_local_part_beyond_ascii_in_a_header_of_finished_bytes_stays(send: Any) -> None:
    arrived = send("From: anna@example.it\nTo: perché@x.it\n\nx\n".encode())
    assert arrived.envelope.needs_smtputf8
    assert "perché@x.it".encode() in arrived.head


@both
def test_a_local_part_beyond_ascii_that_gets_nothing_is_refused(refused: Any, form: Any) -> None:
    message = EmailMessage(policy=policy.SMTPUTF8)
    message["From"], message["To"], message["Reply-To"] = "anna@example.it", "a@x.it", "perché@x.it"
    message.set_content("x")
    given = message if form is not as_bytes else message.as_bytes(policy=policy.SMTPUTF8)
    refused(given, "ADDR-ASCII")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"\r\nciao",
        b"ciao",
        b"ciao\n\nmondo",
        b" From: anna@example.it\nTo: a@x.it\n\n",
        b"From anna@example.it Mon\nFrom: anna@example.it\nTo: a@x.it\n\n",
        b"From: anna@example.it\nSubject : x\nTo: a@x.it\n\n",
        b"From: anna@example.it\nsenza due punti\nTo: a@x.it\n\n",
        b": x\nFrom: anna@example.it\nTo: a@x.it\n\n",
        b"From: anna@example.it\nTo: a@x.it\nSubject: \xe8 latin-1\n\n",
        b"From: anna@example.it\nTo: a@x.it\nSubject: =?utf-8?q?=0D=0AX-Injected:_1?=\n\n",
        b"From: anna@example.it\nTo: a@x.it\nSubject: a\x07b\n\n",
    ],
)
def test_what_is_no_message_is_refused(profile: Profile, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"MSG-(FROM|HEADER-NAME|CHARACTER)"):
        render(data, profile)


@both
@pytest.mark.parametrize("name", ["To", "Cc", "Bcc"])
@pytest.mark.parametrize(
    "value",
    ["a@x.it;evil@y.it", "a@x.it <evil@y.it>", "amici: a@x.it, b@x.it;", "a b@x.it", "a@[192.0.2.1]", "anna"],
)
def test_a_doubtful_recipient_is_refused(profile: Profile, form: Any, name: str, value: str) -> None:
    message = ready()
    del message[name]
    if form is as_bytes:
        given: Any = as_bytes(message).replace(
            b"Content-Type", f"{name}: {value}\r\nContent-Type".encode(), 1
        )
    else:
        message[name] = value
        given = message
    with pytest.raises(ValueError, match="ADDR-"):
        render(given, profile)


@both
def test_no_recipients_are_refused(refused: Any, form: Any) -> None:
    for to in ("undisclosed-recipients:;", None):
        message = ready()
        del message["To"]
        if to:
            message["To"] = to
        refused(form(message), "MSG-NO-RECIPIENTS")
    assert render(form(message), Profile.of("a", sender="anna@example.it", transport="x"), to=["a@x.it"])


def test_an_empty_group_beside_hidden_recipients_stays(send: Any) -> None:
    message = ready(Bcc="c@x.it")
    message.replace_header("To", "undisclosed-recipients:;")
    for given in (message, as_bytes(message)):
        arrived = send(given)
        assert arrived.envelope.recipients == ("c@x.it",)
        assert arrived.message["To"] == "undisclosed-recipients:;"


def test_ten_thousand_recipients_are_one_message(send: Any) -> None:
    message = ready()
    message.replace_header("To", tuple(Address(f"Cliente {n}", f"c{n}", "x.it") for n in range(10_000)))
    everyone = ",\r\n ".join(f"Cliente {n} <c{n}@x.it>" for n in range(10_000))
    for given in (message, finished("From: anna@example.it", f"To: {everyone}", "Bcc: c1@x.it")):
        assert len(send(given).envelope.recipients) == 10_000


def test_domains_beyond_ascii_leave_as_a_labels(send: Any) -> None:
    message = ready(Cc="Città <b@città.it>", Reply_To="r@è.it")
    message.replace_header("From", "Ordini <ordini@caffè.it>")
    arrived = send(message)
    assert arrived.octets.isascii()
    assert str(arrived.message["From"]) == "Ordini <ordini@xn--caff-8oa.it>"
    assert arrived.message["Cc"].addresses[0].addr_spec == "b@xn--citt-3na.it"
    assert arrived.envelope.sender == "ordini@xn--caff-8oa.it"
    assert arrived.message["Message-ID"].endswith("@xn--caff-8oa.it>")


def test_an_emailmessage_arrives_as_it_was_written(send: Any) -> None:
    message = ready(Subject="Perché " * 30, X_Note="nota è", Comments="c" * 200, List_ID="<l.example.it>")
    message.add_alternative("<p>Perché no?</p><img src='cid:logo'>", subtype="html")
    html = message.get_body(("html",))
    assert isinstance(html, EmailMessage)
    html.add_related(b"\x89PNG", "image", "png", cid="<logo>", filename="logo.png")
    message.add_attachment(b"%PDF" * 5000, maintype="application", subtype="pdf", filename="fattura è.pdf")
    message.add_attachment("a;b\n1;è\n", subtype="csv", filename="dati.csv")
    message.add_attachment("grüße".encode("utf-16"), maintype="text", subtype="plain", filename="u.txt")
    arrived = send(message)
    assert arrived.octets.isascii()
    for name in ("From", "To", "Subject", "X-Note", "Comments", "List-ID"):
        assert arrived.message[name] == message[name]
    sent = [part for part in message.walk() if not part.is_multipart()]
    found = [part for part in arrived.message.walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in arrived.message.walk()] == [
        p.get_content_type() for p in message.walk()
    ]
    for one, other in zip(found, sent, strict=True):
        assert one.get_filename() == other.get_filename()
        assert one["Content-ID"] == other["Content-ID"]
        assert one.get_content_disposition() == other.get_content_disposition()
        first, second = one.get_payload(decode=True), other.get_payload(decode=True)
        assert isinstance(first, bytes)
        assert isinstance(second, bytes)
        if one.get_content_maintype() == "text" and b"\0" not in first:
            first, second = first.replace(b"\r\n", b"\n"), second.replace(b"\r\n", b"\n")
        assert first.rstrip() == second.rstrip()


def test_a_message_in_the_message_arrives(send: Any) -> None:
    inner = ready(Subject="Perché", Bcc="resta@x.it")
    inner["X-Inner"] = "è"
    message = ready()
    message.add_attachment(inner)
    arrived = send(message)
    (part,) = arrived.message.iter_attachments()
    found = part.get_content()
    assert (found["Subject"], found["X-Inner"], found.get_content().strip()) == ("Perché", "è", "Perché no?")
    assert arrived.octets.isascii()


def test_a_parsed_message_arrives_as_it_was(send: Any) -> None:
    source = (
        "From: anna@example.it\nTo: =?utf-8?q?Citt=C3=A0?=\n <a@x.it>\nSubject: =?iso-8859-1?q?Perch=E9?=\n"
        "X-Raw: già qui\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\n"
    ).encode() + "Perché\n".encode("latin-1")
    for rules in (policy.default, policy.SMTP, policy.compat32):
        arrived = send(message_from_bytes(source, policy=rules))
        assert arrived.octets.isascii()
        assert arrived.message["Subject"] == "Perché"
        assert arrived.message["X-Raw"] == "già qui"
        assert str(arrived.message["To"]) == "Città <a@x.it>"
        assert arrived.message.get_content().strip() == "Perché"


def test_the_older_classes_of_the_library_are_taken_too(send: Any) -> None:
    message = MIMEMultipart("alternative")
    message["From"], message["To"], message["Subject"] = "anna@example.it", "a@x.it", "Perché"
    message.attach(MIMEText("Perché", "plain"))
    message.attach(MIMEText("<p>ciao", "html"))
    arrived = send(message)
    assert arrived.message["Subject"] == "Perché"
    assert [part.get_content().strip() for part in arrived.message.iter_parts()] == ["Perché", "<p>ciao"]


def test_a_signed_part_is_not_touched(send: Any) -> None:
    signed = "Content-Type: text/plain;\n\tcharset=us-ascii\nX-Odd: two  blanks\n\nSigned  text \n.\n"
    source = (
        "From: anna@example.it\nTo: a@x.it\nMIME-Version: 1.0\n"
        'Content-Type: multipart/signed; micalg=sha-256; protocol="application/pkcs7-signature"; boundary=bb\n\n'
        f"--bb\n{signed}\n--bb\nContent-Type: application/pkcs7-signature\n"
        "Content-Transfer-Encoding: base64\n\nAAAA\n--bb--\n"
    )
    for given in (message_from_string(source, policy=policy.default), source.encode()):
        arrived = send(given)
        assert signed.replace("\n", "\r\n").encode() in arrived.octets
        assert [part.content_type for part in arrived.content.parts()] == [
            "text/plain",
            "application/pkcs7-signature",
        ]
        assert [part.get_content_type() for part in arrived.message.iter_parts()] == [
            "text/plain",
            "application/pkcs7-signature",
        ]


def test_a_report_keeps_its_header_blocks(send: Any) -> None:
    source = (
        "From: anna@example.it\nTo: a@x.it\nMIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=bb\n\n"
        "--bb\n\nLetto.\n--bb\nContent-Type: message/disposition-notification\n\n"
        "Final-Recipient: rfc822;a@x.it\n--bb--\n"
    )
    arrived = send(message_from_string(source, policy=policy.default))
    assert b"Final-Recipient: rfc822;a@x.it" in arrived.octets
    assert arrived.message["Content-Type"].params["report-type"] == "disposition-notification"


def test_parts_inside_parts_end_somewhere(refused: Any) -> None:
    message = ready()
    for _ in range(60):
        outer = ready()
        outer.add_attachment(message)
        message = outer
    refused(message, "MSG-NESTED")


def test_a_tree_that_makes_no_sense_is_refused(refused: Any) -> None:
    empty = EmailMessage()
    empty["To"], empty["Content-Type"] = "a@x.it", "multipart/mixed"
    refused(empty, "MSG-STRUCTURE")
    torn = message_from_string(
        "To: a@x.it\nContent-Type: multipart/mixed; boundary=b\n\nno parts\n", policy=policy.default
    )
    refused(torn, "MSG-STRUCTURE")


@both
def test_the_parts_of_a_ready_message_are_its_leaves(send: Any, form: Any) -> None:
    message = ready()
    message.add_attachment(
        b"\0\xff" * 300_000, maintype="application", subtype="pdf", filename="fattura è.pdf"
    )
    text, pdf = send(form(message)).content.parts()
    assert (text.content_type, text.filename) == ("text/plain", None)
    assert (pdf.content_type, pdf.filename, pdf.size) == ("application/pdf", "fattura è.pdf", 600_000)
    assert "fattura è.pdf" in pdf.headers["content-disposition"]

    async def read(part: Any) -> bytes:
        return b"".join([chunk async for chunk in part.chunks()])

    assert asyncio.run(read(pdf)) == b"\0\xff" * 300_000
    assert asyncio.run(read(text)).decode().rstrip() == "Perché no?"


def test_small_messages_are_cheap_and_what_touches_a_file_is_not() -> None:
    assert is_cheap(Message(to=["a@x.it"], text="ciao", attachments=[("a.txt", b"x" * 1000)]))
    assert is_cheap(finished("From: anna@example.it"))
    assert not is_cheap(Message(to=["a@x.it"], text="x" * 100_000))
    assert not is_cheap(Message(to=[f"a{n}@x.it" for n in range(200)]))
    assert not is_cheap(Message(to=["a@x.it"], attachments=["fattura.pdf"]))
    assert not is_cheap(Message(to=["a@x.it"], attachments=[("a.bin", b"x" * 100_000)]))
    assert not is_cheap(b"x" * 100_000)
    assert not is_cheap(email.message.EmailMessage())
