"""What leaves is checked by a server that is strict about it: Debian's Postfix."""

import email
import os
import re
import smtplib
import ssl
from collections.abc import Callable, Iterator
from email import policy
from email.message import EmailMessage
from pathlib import Path
from uuid import uuid4

import pytest
from postfix_server import PASSWORD, REFUSED, SIZE_LIMIT, Postfix

from recapito import (
    Attachment,
    Found,
    Held,
    InvalidMessage,
    Mailer,
    Message,
    Notify,
    Outcome,
    Profile,
    Refused,
    Secrets,
)

pytestmark = pytest.mark.postfix

Send = Callable[[Message], EmailMessage]


def anna(postfix: Postfix, security: str = "ssl", *, password: str = PASSWORD, **settings: object) -> Found:
    port = postfix.ssl if security == "ssl" else postfix.starttls
    chosen = {"host": postfix.host, "port": port, "security": security, "username": "anna"}
    profile = Profile.of(
        "anna",
        sender="anna@example.it",
        sender_name="Anna Verdi",
        transport="smtp_basic",
        aliases=("bruno@example.it", "perché@example.it"),
        settings=chosen | {"ca": postfix.ca.read_text()} | settings,
    )
    return Found(profile, Secrets({"password": password}), uuid4().hex)


@pytest.fixture(params=["ssl", "starttls"])
def mailer(request: pytest.FixtureRequest, postfix: Postfix) -> Iterator[Mailer]:
    with Mailer({"anna": anna(postfix, request.param)}) as mailer:
        yield mailer


@pytest.fixture
def over_ssl(postfix: Postfix) -> Iterator[Mailer]:
    with Mailer({"anna": anna(postfix)}) as mailer:
        yield mailer


def arrived(postfix: Postfix, message_id: str) -> bytes:
    """The one message with that id, as it lies in the Maildir (line ends are the system's there)."""
    (found,) = postfix.wait_for(lambda data: message_id.encode() in data and b"report-type" not in data)
    return found


def parsed(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=policy.default)
    assert not message.defects
    return message


def test_a_message_with_accents_arrives_as_it_was_written(postfix: Postfix, mailer: Mailer) -> None:
    receipt = mailer.send(
        "anna",
        Message(
            to=["Società Però S.p.A. <cliente@example.com>"],
            subject="Fattura n. 12 è pronta: già pagata, perché no? €",
            text="Città, perché, più, così.\n.\nUna riga che comincia con un punto sopra.\n",
        ),
        reference="invoice:12",
    )
    assert receipt.outcome is Outcome.ACCEPTED
    assert receipt.server_reply
    assert "queued as" in receipt.server_reply
    message = parsed(arrived(postfix, receipt.message_id))
    assert message["Subject"] == "Fattura n. 12 è pronta: già pagata, perché no? €"
    assert message["From"] == "Anna Verdi <anna@example.it>"
    assert message["To"].addresses[0].display_name == "Società Però S.p.A."
    assert (
        message.get_content() == "Città, perché, più, così.\n.\nUna riga che comincia con un punto sopra.\n"
    )
    assert receipt.message_id.endswith("@example.it>")


def test_the_line_is_encrypted_and_signed_in(postfix: Postfix, mailer: Mailer) -> None:
    receipt = mailer.send("anna", Message(to=["cliente@example.com"], subject="TLS", text="-"))
    data = arrived(postfix, receipt.message_id).decode()
    assert "with ESMTPSA" in data, "the S says TLS, the A says AUTH"
    queued = re.search(r"queued as (\w+)", receipt.server_reply or "")
    assert queued
    assert re.search(rf"{queued[1]}: client=.*sasl_method=PLAIN, sasl_username=anna", postfix.log)


def test_attachments_arrive_byte_for_byte(postfix: Postfix, mailer: Mailer, tmp_path: Path) -> None:
    invoice, noise = b"%PDF-1.7\n" + os.urandom(300_000), bytes(range(256)) * 40 + b"\r\n.\r\n.\n\r\r\n"
    (tmp_path / "fattura è n. 12.pdf").write_bytes(invoice)
    receipt = mailer.send(
        "anna",
        Message(
            to=["cliente@example.com"],
            subject="Allegati",
            text="In allegato.",
            html="<p>In allegato: <img src='cid:logo'></p>",
            attachments=[
                tmp_path / "fattura è n. 12.pdf",
                ("dati.bin", noise),
                Attachment(noise, "logo.png", inline=True, content_id="logo"),
            ],
        ),
    )
    message = parsed(arrived(postfix, receipt.message_id))
    found = {part.get_filename(): part.get_content() for part in message.walk() if part.get_filename()}
    assert found == {"fattura è n. 12.pdf": invoice, "dati.bin": noise, "logo.png": noise}


def test_hidden_recipients_get_it_and_nobody_sees_them(postfix: Postfix, over_ssl: Mailer) -> None:
    message = Message(
        to=["a@example.com"], cc=["b@example.com"], bcc=["segreto@example.com"], subject="Tre", text="-"
    )
    receipt = over_ssl.send("anna", message)
    ident = receipt.message_id.encode()
    copies = postfix.wait_for(lambda data: ident in data, count=3)
    to = {re.search(rb"Delivered-To: (\S+)", copy)[1] for copy in copies}  # type: ignore[index]
    assert to == {b"a@example.com", b"b@example.com", b"segreto@example.com"}
    for copy in copies:
        own_trace = copy.index(b"\nFrom: ")
        assert b"segreto" not in copy[own_trace:]
        assert not re.search(rb"^bcc:", copy, re.IGNORECASE | re.MULTILINE)


def test_a_wrong_password_is_held_and_tried_once(postfix: Postfix) -> None:
    failures = postfix.log.count("authentication failed")
    found = anna(postfix, password="sbagliata")
    with Mailer({"anna": found}) as mailer, pytest.raises(Held) as caught:
        mailer.send("anna", Message(to=["cliente@example.com"], subject="No", text="-"))
    assert caught.value.problem.code == "AUTH-FAILED"
    assert caught.value.problem.reply
    assert postfix.log.count("authentication failed") == failures + 1


def test_a_certificate_of_an_unknown_authority_ends_it_before_the_password(postfix: Postfix) -> None:
    before = postfix.log.count("sasl_method")
    with Mailer({"anna": anna(postfix, ca="")}) as mailer:
        receipt = mailer.send(
            "anna", Message(to=["cliente@example.com"], subject="No", text="-"), check=False
        )
    assert receipt.outcome in (Outcome.HELD, Outcome.NOT_SENT)
    assert receipt.problem
    assert receipt.problem.code.startswith("TLS-")
    assert postfix.log.count("sasl_method") == before


def test_a_refused_recipient_does_not_stop_the_others(postfix: Postfix, mailer: Mailer) -> None:
    receipt = mailer.send("anna", Message(to=["cliente@example.com", REFUSED], subject="In due", text="-"))
    assert receipt.partial
    assert receipt.accepted == ("cliente@example.com",)
    row = next(row for row in receipt.recipients if row.address == REFUSED)
    assert (row.outcome, row.problem.code if row.problem else "") == (Outcome.REFUSED, "RCPT-UNKNOWN")
    assert "5.1.1" in (row.reply or "")
    arrived(postfix, receipt.message_id)


def test_a_message_whose_every_recipient_is_refused_is_refused(over_ssl: Mailer) -> None:
    with pytest.raises(Refused) as caught:
        over_ssl.send("anna", Message(to=[REFUSED], subject="Nessuno", text="-"))
    assert caught.value.problem.code == "RCPT-UNKNOWN"
    after = over_ssl.send("anna", Message(to=["cliente@example.com"], subject="Dopo", text="-"))
    assert after.outcome is Outcome.ACCEPTED, "the next message must not pay for it"


def test_a_sender_that_the_server_does_not_give_her_is_explained(over_ssl: Mailer) -> None:
    message = Message(sender="bruno@example.it", to=["cliente@example.com"], subject="Alias", text="-")
    receipt = over_ssl.send("anna", message, check=False)
    assert receipt.outcome is Outcome.REFUSED, "an alias concerns this message only"
    assert receipt.problem
    assert receipt.problem.code == "SENDER-NOT-OWNED"
    assert "not owned by user" in (receipt.problem.reply or "")


def test_a_message_over_the_servers_limit_is_refused_before_it_leaves(
    postfix: Postfix, over_ssl: Mailer
) -> None:
    over_ssl.send("anna", Message(to=["cliente@example.com"], subject="Apre la sessione", text="-"))
    mails = postfix.log.count("message-id=")
    big = Message(
        to=["cliente@example.com"], subject="Grande", attachments=[("a.bin", os.urandom(SIZE_LIMIT))]
    )
    with pytest.raises(Refused) as caught:
        over_ssl.send("anna", big)
    assert caught.value.problem.code == "MSG-TOO-BIG"
    assert "size limit" not in postfix.log, "the announced SIZE must have been enough"
    assert postfix.log.count("message-id=") == mails


def test_addresses_that_need_smtputf8_go_where_it_is_offered(postfix: Postfix, over_ssl: Mailer) -> None:
    message = Message(sender="perché@example.it", to=["società@example.com"], subject="Indirizzi à", text="-")
    receipt = over_ssl.send("anna", message)
    text = arrived(postfix, receipt.message_id).decode()
    assert "UTF8SMTPSA" in text
    assert "\nFrom: Anna Verdi <perché@example.it>\nTo: società@example.com\n" in text


def test_international_domains_leave_as_a_labels(postfix: Postfix, over_ssl: Mailer) -> None:
    receipt = over_ssl.send("anna", Message(to=["info@perché.example.it"], subject="IDN", text="-"))
    data = arrived(postfix, receipt.message_id)
    assert b"Delivered-To: info@xn--perch-fsa.example.it" in data
    assert b"\nTo: info@xn--perch-fsa.example.it\n" in data
    assert b"UTF8SMTP" not in data, "nothing here needs SMTPUTF8"


def test_a_delivery_notice_that_was_asked_for_comes_back(postfix: Postfix, over_ssl: Mailer) -> None:
    message = Message(
        to=["cliente@example.com"], subject="Avviso", text="-", notify=frozenset({Notify.SUCCESS})
    )
    receipt = over_ssl.send("anna", message)
    ident = receipt.message_id.encode()
    (report,) = postfix.wait_for(lambda data: ident in data and b"report-type=delivery-status" in data)
    assert b"Action: delivered" in report or b"Action: relayed" in report
    assert b"Delivered-To: anna@example.it" in report


def test_a_kept_session_carries_many_messages(postfix: Postfix, mailer: Mailer) -> None:
    def send(number: int) -> None:
        """One message, until Postfix has written it down: its log comes later than its answers."""
        message = Message(to=["cliente@example.com"], subject=f"Numero {number}", text="-")
        receipt = mailer.send("anna", message)
        postfix.wait_for_log(receipt.message_id, 1)

    send(0)
    connects = postfix.log.count(" connect from")
    for number in range(1, 6):
        send(number)
    assert postfix.log.count(" connect from") == connects


def test_a_line_that_the_server_closed_is_replaced_unseen(postfix: Postfix) -> None:
    profile = anna(postfix, port=postfix.hasty)
    with Mailer({"anna": profile}) as mailer:
        mailer.send("anna", Message(to=["cliente@example.com"], subject="Prima", text="-"))
        timeouts = postfix.log.count("timeout after")
        postfix.wait_for_log("timeout after", timeouts + 1)
        receipt = mailer.send("anna", Message(to=["cliente@example.com"], subject="Dopo", text="-"))
    assert receipt.outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    "address", ["a@x,evil@example.com", "a@example.com;b@example.com", "a b@example.com", "<a@example.com"]
)
def test_what_a_lenient_server_would_take_never_reaches_a_strict_one(
    address: str, postfix: Postfix, over_ssl: Mailer
) -> None:
    complaints = postfix.log.count("Illegal address syntax")
    with pytest.raises(InvalidMessage):
        over_ssl.send("anna", Message(to=[address], subject="No", text="-"))
    assert postfix.log.count("Illegal address syntax") == complaints


@pytest.mark.parametrize(
    "body",
    [
        "prima\r.\rdopo",
        "prima\n.\ndopo",
        "prima\n.\r\ndopo",
        "prima\r\n.\r\nMAIL FROM:<evil@example.it>\r\ndopo",
        "\r.\r\n.\n..",
    ],
)
def test_no_body_ends_a_message_early_or_smuggles_another(
    body: str, postfix: Postfix, mailer: Mailer
) -> None:
    before = postfix.log.count("message-id=")
    receipt = mailer.send("anna", Message(to=["cliente@example.com"], subject="Contrabbando", text=body))
    content = parsed(arrived(postfix, receipt.message_id)).get_content()
    assert content.rstrip("\n") == re.sub(r"\r\n|\r|\n", "\n", body).rstrip("\n")
    mailer.send("anna", Message(to=["cliente@example.com"], subject="Il prossimo", text="-"))
    assert postfix.log.count("message-id=") == before + 2


def test_ready_bytes_with_bare_line_ends_leave_as_one_message(postfix: Postfix, mailer: Mailer) -> None:
    ident = f"<{uuid4().hex}@example.it>"
    raw = (
        f"From: anna@example.it\nTo: cliente@example.com\r\nSubject: Pronto\nMessage-ID: {ident}\n"
        "\nprima\r\n.\nMAIL FROM:<evil@example.it>\n.\r\ndopo\n"
    ).encode()
    mailer.send("anna", raw)
    body = arrived(postfix, ident).partition(b"\n\n")[2]
    assert body == b"prima\n.\nMAIL FROM:<evil@example.it>\n.\ndopo\n"


def test_the_instance_itself_is_strict(postfix: Postfix) -> None:
    """The tests above lean on it: no sign-in in clear, no relaying, no foreign sender."""
    context = ssl.create_default_context(cafile=str(postfix.ca))
    with smtplib.SMTP(postfix.host, postfix.starttls, timeout=20) as clear:
        clear.ehlo()
        assert "auth" not in clear.esmtp_features
        assert clear.docmd("MAIL", "FROM:<anna@example.it>")[0] == 530
    stranger = smtplib.SMTP_SSL(postfix.host, postfix.ssl, context=context, timeout=20)
    with stranger, pytest.raises(smtplib.SMTPRecipientsRefused):
        stranger.sendmail("anna@example.it", ["cliente@example.com"], "Subject: x\r\n\r\n")
