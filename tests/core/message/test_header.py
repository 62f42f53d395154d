"""Header fields of a Message: encoded, folded, always well formed."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from recapito.invalid import decoded_words
from recapito.message import Message
from recapito.profile import Profile


def longest_line(arrived: Any) -> int:
    return max(map(len, arrived.head.split(b"\r\n")))


SUBJECTS = [
    "Fattura 12",
    "Fattura n. 12 è pronta",
    "Così è la vita: perché no? 100 % \u2013 “ok” €",
    "🎉 Auguri 🎂",
    "привет мир " * 20,
    "parola " * 60,
    "è" * 500,
    "x" * 2500,
    "=?utf-8?q?gi=C3=A0_codificato?=",
    " spazi  doppi e in fondo ",
    "a" + " " * 200 + "b",
    "",
]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_arrives_right_in_short_lines(send: Any, subject: str) -> None:
    arrived = send(Message(to=["a@x.it"], subject=subject))
    # The reader decodes once: what looked encoded was a text, and is one again.
    assert dict(arrived.content.headers)["Subject"] == subject
    if "=?" not in subject:
        assert arrived.message["Subject"] == subject
    assert longest_line(arrived) <= 78
    assert arrived.head.isascii()
    assert b"\r\n \r\n" not in arrived.head


@pytest.mark.parametrize(
    "name",
    [
        "Anna Verdi",
        "Niccolò D'Angelo",
        "Rossi & C. S.r.l. (Milano)",
        "Verdi, Anna",
        'Anna "Nina" Verdi',
        "a@b.it",
        "back\\slash",
        "佐藤太郎",
        "Società Agricola Perché No di Niccolò e Figli S.r.l. Unipersonale in Liquidazione",
        "Ditta con un nome molto lungo " * 5 + "fine",
    ],
)
def test_a_name_arrives_right(send: Any, name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    arrived = send(Message(to=[f'"{quoted}" <a@x.it>', "b@x.it"], subject="x"))
    first, second = arrived.message["To"].addresses
    assert (first.display_name, first.addr_spec) == (name, "a@x.it")
    assert (second.display_name, second.addr_spec) == ("", "b@x.it")
    assert longest_line(arrived) <= 78


def test_a_long_text_is_cut_between_its_words(send: Any) -> None:
    arrived = send(Message(to=["a@x.it"], subject="perché così " * 20 + "."))
    words = arrived.head.partition(b"Subject:")[2].partition(b"\r\nDate:")[0].split()
    assert len(words) > 3
    assert all(decoded_words(word.decode()).endswith((" ", ".")) for word in words)


def test_from_is_the_profiles_address_and_name(send: Any) -> None:
    arrived = send(Message(to=["a@x.it"]))
    assert str(arrived.message["From"]) == "Anna Verdi <anna@example.it>"
    assert arrived.envelope.sender == "anna@example.it"


def test_an_alias_may_stand_in_from_with_the_profiles_name_or_its_own(send: Any) -> None:
    arrived = send(Message(to=["a@x.it"], sender="fatture@Example.IT"))
    assert str(arrived.message["From"]) == "Anna Verdi <fatture@Example.IT>"
    arrived = send(Message(to=["a@x.it"], sender="Ufficio fatture <fatture@example.it>"))
    assert str(arrived.message["From"]) == "Ufficio fatture <fatture@example.it>"
    assert arrived.envelope.sender == "fatture@example.it"


def test_an_alias_is_compared_by_its_a_labels(send: Any) -> None:
    for sender in ("ordini@caffè.it", "ordini@CAFFÈ.it", "ordini@xn--caff-8oa.it"):
        assert send(Message(to=["a@x.it"], sender=sender)).envelope.sender == "ordini@xn--caff-8oa.it"


@pytest.mark.parametrize("sender", ["evil@y.it", "anna@example.com", "Anna@example.it", "Anna <evil@y.it>"])
def test_another_sender_is_refused(refused: Any, sender: str) -> None:
    error = refused(Message(to=["a@x.it"], sender=sender), "SENDER-NOT-ALLOWED")
    assert error.problem.params["sender"] == "anna@example.it"
    assert str(error.problem.params["address"]) in sender


def test_a_profile_name_with_accents_arrives(send: Any, profile: Profile) -> None:
    arrived = send(Message(to=["a@x.it"]), profile=profile.with_(sender_name="Niccolò, per l'ufficio"))
    assert arrived.message["From"].addresses[0].display_name == "Niccolò, per l'ufficio"


def test_two_profiles_do_not_share_a_name(send: Any, profile: Profile) -> None:
    other = profile.with_(sender_name="Bruno Rossi", reply_to=None)
    for wanted in (profile, other, profile):
        message = send(Message(to=["a@x.it"]), profile=wanted).message
        assert message["From"].addresses[0].display_name == wanted.sender_name
        assert ("Reply-To" in message) == bool(wanted.reply_to)


def test_reply_to_is_the_profiles_unless_the_message_has_one(send: Any) -> None:
    assert send(Message(to=["a@x.it"])).message["Reply-To"] == "ufficio@example.it"
    arrived = send(Message(to=["a@x.it"], reply_to=["Banco <b@x.it>", "c@x.it"]))
    assert str(arrived.message["Reply-To"]) == "Banco <b@x.it>, c@x.it"


def test_bcc_is_in_the_envelope_only(send: Any) -> None:
    arrived = send(Message(to=["a@x.it"], cc=["b@x.it"], bcc=["Nascosto <c@x.it>", "d@x.it"]))
    assert arrived.envelope.recipients == ("a@x.it", "b@x.it", "c@x.it", "d@x.it")
    for hidden in (b"bcc:", b"c@x.it", b"d@x.it", b"Nascosto"):
        assert hidden not in arrived.octets.replace(b"Bcc", b"bcc")
    assert [name for name, _ in arrived.content.headers if name.lower() == "bcc"] == []


def test_only_hidden_recipients_are_recipients(send: Any) -> None:
    assert send(Message(bcc=["c@x.it"])).envelope.recipients == ("c@x.it",)


def test_a_recipient_named_twice_gets_it_once(send: Any) -> None:
    arrived = send(Message(to=["a@x.it", "A <a@X.it>"], cc=["a@x.it"], bcc=["b@x.it", "a@x.it"]))
    assert arrived.envelope.recipients == ("a@x.it", "b@x.it")
    assert len(arrived.message["To"].addresses) == 2


def test_one_text_is_one_address(send: Any) -> None:
    assert send(Message(to="a@x.it", bcc="b@x.it")).envelope.recipients == ("a@x.it", "b@x.it")


def test_an_envelope_of_its_own_replaces_the_recipients(send: Any) -> None:
    arrived = send(Message(to=["a@x.it"], bcc=["b@x.it"]), to=["z@x.it"])
    assert arrived.envelope.recipients == ("z@x.it",)
    assert arrived.message["To"] == "a@x.it"


def test_no_recipients_are_refused(refused: Any) -> None:
    refused(Message(subject="x"), "MSG-NO-RECIPIENTS")
    refused(Message(to=["a@x.it"]), "MSG-NO-RECIPIENTS", to=[])


def test_ten_thousand_recipients_are_one_message(send: Any) -> None:
    everyone = [f"Cliente numero {n} <c{n}@azienda{n % 100}.it>" for n in range(10_000)]
    arrived = send(Message(to=everyone[:3000], cc=everyone[3000:5000], bcc=everyone[5000:] + everyone[:10]))
    assert len(arrived.envelope.recipients) == 10_000
    assert longest_line(arrived) <= 78
    assert arrived.octets.count(b"@azienda") == 5000


def test_domains_beyond_ascii_leave_as_a_labels(send: Any) -> None:
    arrived = send(Message(to=["Città <info@città.it>"], cc=["b@bücher.example"], reply_to=["r@è.it"]))
    assert arrived.envelope.recipients == ("info@xn--citt-3na.it", "b@xn--bcher-kva.example")
    assert not arrived.envelope.needs_smtputf8
    assert arrived.octets.isascii()
    assert arrived.message["To"].addresses[0].addr_spec == "info@xn--citt-3na.it"


def test_a_local_part_beyond_ascii_needs_smtputf8_and_stands_as_it_is(send: Any) -> None:
    arrived = send(Message(to=["Niccolò <perché@città.it>"], subject="è"))
    assert arrived.envelope.needs_smtputf8
    assert not arrived.content.is_7bit
    assert "<perché@xn--citt-3na.it>".encode() in arrived.head
    assert dict(arrived.content.headers)["To"] == '"Niccolò" <perché@xn--citt-3na.it>'


def test_a_hidden_local_part_beyond_ascii_leaves_the_content_ascii(send: Any) -> None:
    arrived = send(Message(to=["a@x.it"], bcc=["perché@x.it"]))
    assert arrived.envelope.needs_smtputf8
    assert arrived.octets.isascii()


def test_a_local_part_beyond_ascii_in_reply_to_alone_is_refused(refused: Any) -> None:
    error = refused(Message(to=["a@x.it"], reply_to=["perché@x.it"]), "ADDR-ASCII")
    assert error.problem.params["field"] == "reply_to"


def test_ids_are_new_and_in_the_senders_domain(send: Any) -> None:
    seen = set()
    for sender, domain in ((None, "example.it"), ("ordini@caffè.it", "xn--caff-8oa.it")):
        arrived = send(Message(to=["a@x.it"], sender=sender))
        assert arrived.message["Message-ID"].endswith(f"@{domain}>")
        assert arrived.message["Message-ID"] == arrived.rendered.message_id == arrived.content.message_id
        seen.add(arrived.rendered.message_id)
    assert len(seen) == 2


def test_ids_that_were_given_are_kept(send: Any) -> None:
    arrived = send(
        Message(
            to=["a@x.it"],
            message_id="abc.1@erp.example.it",
            in_reply_to="<x@y.it>",
            references=["a@b", "<c@d>"],
        )
    )
    assert arrived.rendered.message_id == "<abc.1@erp.example.it>"
    assert arrived.message["In-Reply-To"] == "<x@y.it>"
    assert arrived.message["References"] == "<a@b> <c@d>"


def test_many_references_are_folded(send: Any) -> None:
    references = [f"<{'r' * 60}{n}@example.it>" for n in range(50)]
    arrived = send(Message(to=["a@x.it"], references=references))
    assert arrived.message["References"].split() == references


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
        datetime(2026, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
        datetime(2026, 8, 9, 10, 11, 12, tzinfo=timezone(timedelta(hours=5, minutes=45))),
        datetime(2026, 8, 9, 10, 11, 12),  # naive: the local time
    ],
)
def test_the_date_is_the_one_that_was_given(send: Any, moment: datetime) -> None:
    arrived = send(Message(to=["a@x.it"], date=moment))
    assert parsedate_to_datetime(arrived.message["Date"]) == moment.astimezone()


def test_without_a_date_it_is_now(send: Any) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    date = parsedate_to_datetime(send(Message(to=["a@x.it"])).message["Date"])
    assert before <= date <= datetime.now(UTC)


def test_extra_headers_stand_as_they_were_given(send: Any) -> None:
    headers = {
        "X-Order": "12/2026",
        "List-Unsubscribe": "<https://example.it/" + "u" * 300 + ">",
        "X-Città": "x",
    }
    arrived = send(Message(to=["a@x.it"], headers={k: v for k, v in headers.items() if k.isascii()}))
    assert arrived.message["X-Order"] == "12/2026"
    assert headers["List-Unsubscribe"].encode() in arrived.head, "a URL must not be encoded"


def test_an_extra_header_without_blanks_is_encoded_only_above_the_limit(send: Any) -> None:
    arrived = send(Message(to=["a@x.it"], headers={"X-Token": "t" * 3000}))
    assert arrived.message["X-Token"] == "t" * 3000


def test_the_header_can_get_one_more_field_on_top(send: Any, read: Any) -> None:
    content = send(Message(to=["a@x.it"], text="ciao")).content
    more = content.with_header("Bcc", "Niccolò <c@x.it>, d@città.it")
    octets = read(more)
    assert len(octets) == more.size
    assert octets.endswith(read(content))
    assert octets.startswith(b"Bcc: =?utf-8?")
    assert dict(more.headers)["Bcc"] == '"Niccolò" <c@x.it>, d@xn--citt-3na.it'
    assert more.message_id == content.message_id
    assert "Bcc" not in dict(content.headers)
    assert read(more.with_header("X-A", "è")).startswith(b"X-A: =?utf-8?")
