"""Whatever is written arrives as it was written."""

import string
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recapito.address import Address, parse_address_list
from recapito.errors import InvalidMessage
from recapito.message import Attachment, Message

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

#: Every character that one line of text may hold.
line_characters = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])
italian = st.text(string.ascii_letters + "àèéìòù' .,-/&()€\"\\", max_size=120)
lines = st.text(line_characters, max_size=200) | italian
texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\x85\u2028\u2029\x0b\x0c\x1c\x1d\x1e"),
    max_size=400,
)
# The standard library folds runs of blanks in a display name, whatever their encoding.
names = lines.map(lambda name: " ".join(name.split())).filter(lambda name: "=?" not in name)
locals_ = st.from_regex(r"[a-z0-9!#$%&'*+/?^_`{|}~-]{1,20}(\.[a-z0-9]{1,20})?", fullmatch=True)
domains = st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]\.(it|com|example)", fullmatch=True).filter(
    lambda domain: domain[2:4] != "--"
)
octets = st.binary(max_size=600)
file_names = lines.map(str.strip).filter(lambda name: name and "=?" not in name)


@st.composite
def mailboxes(draw: Any) -> tuple[str, str]:
    return draw(names), f"{draw(locals_)}@{draw(domains)}"


def written(mailbox: tuple[str, str]) -> str:
    name, address = mailbox
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{address}>' if name else address


def address_pair(address: Address) -> tuple[str, str]:
    return address.name, address.addr_spec


def same_text(arrived: str, sent: str) -> bool:
    """Equal but for the form of line ends, and one at the very end, which a whole message must have."""
    one, other = (
        text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n") for text in (arrived, sent)
    )
    return one == other


@quick
@given(to=st.lists(mailboxes(), min_size=1, max_size=6), subject=lines, text=texts)
def test_names_subject_and_text_arrive(send: Any, to: list[tuple[str, str]], subject: str, text: str) -> None:
    message = Message(to=[written(mailbox) for mailbox in to], subject=subject.replace("=?", "="), text=text)
    arrived = send(message)

    assert list(map(address_pair, parse_address_list(dict(arrived.content.headers)["To"], "To"))) == to
    # Python 3.11 reads a space between the encoded words of a long name.
    found = [(a.display_name.replace(" ", ""), a.addr_spec) for a in arrived.message["To"].addresses]
    assert found == [(name.replace(" ", ""), address) for name, address in to]
    assert arrived.message["Subject"] == message.subject
    assert same_text(arrived.message.get_content(), text)


@quick
@given(
    text=st.none() | texts,
    html=st.none() | texts,
    files=st.lists(st.tuples(file_names, octets, st.booleans()), max_size=4),
)
def test_texts_and_files_arrive(
    send: Any, text: str | None, html: str | None, files: list[tuple[str, bytes, bool]]
) -> None:
    attachments = [Attachment(data, name, inline=inline) for name, data, inline in files]
    arrived = send(Message(to=["a@x.it"], text=text, html=html, attachments=attachments))

    parts = [part for part in arrived.message.walk() if not part.is_multipart()]
    found = [part for part in parts if "Content-Disposition" in part]
    expected = sorted(files, key=lambda file: not (file[2] and html is not None))
    # Not get_filename(), which takes off the quotes of a name that has some.
    assert [part["Content-Disposition"].params["filename"] for part in found] == [
        name for name, _, _ in expected
    ]
    assert [part.get_payload(decode=True) for part in found] == [data for _, data, _ in expected]
    bodies = {part.get_content_type(): part.get_content() for part in parts if part not in found}
    for kind, body in (("text/plain", text), ("text/html", html)):
        if body is not None:
            assert same_text(bodies[kind], body)
    ours = arrived.content.parts()
    assert [(part.filename, part.size) for part in ours if part.filename] == [
        (n, len(d)) for n, d, _ in expected
    ]


@quick
@given(value=lines.filter(lambda value: "=?" not in value))
def test_extra_headers_arrive(send: Any, value: str) -> None:
    arrived = send(Message(to=["a@x.it"], headers={"X-Note": value}))
    assert arrived.message["X-Note"] == value
    assert dict(arrived.content.headers)["X-Note"] == value


@quick
@given(
    data=st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a", b"\x80", b" ", b"QUIT"]), max_size=60)
)
def test_no_bytes_smuggle_a_line_end(send: Any, data: list[bytes]) -> None:
    body = b"".join(data)
    arrived = send(b"From: anna@example.it\r\nTo: a@x.it\r\n\r\n" + body)
    assert arrived.octets.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"").replace(b"\n", b"") == body.replace(
        b"\r", b""
    ).replace(b"\n", b"")


#: What has a meaning in a message, to be put where it has none.
SHARDS = [
    "\r\n",
    "\n",
    "\r",
    "\0",
    "=?utf-8?q?=0D=0A?=",
    ";",
    ":",
    "<",
    ">",
    '"',
    "(",
    ",",
    "=",
    "\t",
    "--",
    "è",
    "*0*=",
]
SHARDS += [
    "multipart/mixed",
    "message/rfc822",
    "Bcc: z@z.it\r\n",
    "Content-Type: ",
    "base64",
    "charset=utf-16",
    "boundary=",
]


def torn(cuts: list[tuple[float, int, str]]) -> bytes:
    """A message of every kind of part, with pieces taken out and shards put in."""
    inner = EmailMessage()
    inner["Subject"] = "dentro"
    inner.set_content("x")
    message = EmailMessage()
    for name, value in {
        "From": "anna@example.it",
        "To": "Città <a@x.it>",
        "Bcc": "c@x.it",
        "Subject": "Perché",
    }.items():
        message[name] = value
    message.set_content("perché\n")
    message.add_alternative("<p>", subtype="html")
    message.add_attachment(b"x" * 500, maintype="application", subtype="pdf", filename="è.pdf")
    message.add_attachment(inner)
    text = message.as_bytes(policy=policy.SMTP)
    for place, length, shard in cuts:
        start = int(place * len(text))
        text = text[:start] + shard.encode() + text[start + length :]
    return text


@quick
@given(
    cuts=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 30), st.sampled_from(SHARDS)), min_size=1, max_size=6
    ),
    rules=st.sampled_from([None, policy.default, policy.compat32, policy.SMTPUTF8]),
)
def test_a_torn_message_is_refused_or_leaves_lawful(send: Any, cuts: Any, rules: Any) -> None:
    data = torn(cuts)
    try:
        arrived = send(data if rules is None else message_from_bytes(data, policy=rules))
    except InvalidMessage:
        return
    assert b"\nbcc:" not in b"\n" + arrived.head.lower()
    assert arrived.content.headers
    assert all(part.size >= 0 for part in arrived.content.parts())
