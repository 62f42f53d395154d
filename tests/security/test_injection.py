"""No field of a message, of a profile or of its settings can say anything to a server but itself."""

from collections.abc import Callable
from typing import Any

import pytest

from recapito import (
    Attachment,
    Found,
    InvalidMessage,
    Mailer,
    Message,
    Misconfigured,
    ProfileKey,
    RecapitoError,
    Secret,
    Secrets,
    Store,
)
from recapito.operators import Changes, Operators
from recapito.plugins import Plugins
from recapito.testing import SmtpServer

#: What some program or other takes for the end of a line, or of a text.
BREAKS = ["\r\n", "\r", "\n", "\x00", "\x0b", "\x0c", "\x1b", "\x7f", "\x85", "\u2028", "\u2029"]
HEADER = "X-Injected: yes"

FIELDS: dict[str, Callable[[str], Message]] = {
    "to": lambda bad: Message(to=[f"cliente{bad}{HEADER}@example.com"]),
    "to, in the domain": lambda bad: Message(to=[f"cliente@example.com{bad}{HEADER}"]),
    "a name": lambda bad: Message(to=[f"Cliente{bad}{HEADER} <cliente@example.com>"]),
    "cc": lambda bad: Message(to=["a@example.com"], cc=[f"b@example.com{bad}"]),
    "bcc": lambda bad: Message(to=["a@example.com"], bcc=[f"b@example.com>{bad}RCPT TO:<evil@example.com"]),
    "sender": lambda bad: Message(to=["a@example.com"], sender=f"anna@example.it{bad}{HEADER}"),
    "reply_to": lambda bad: Message(to=["a@example.com"], reply_to=[f"anna@example.it{bad}{HEADER}"]),
    "subject": lambda bad: Message(to=["a@example.com"], subject=f"Fattura{bad}{HEADER}"),
    "a header's name": lambda bad: Message(to=["a@example.com"], headers={f"X-Ordine{bad}X-Injected": "12"}),
    "a header's text": lambda bad: Message(to=["a@example.com"], headers={"X-Ordine": f"12{bad}{HEADER}"}),
    "message_id": lambda bad: Message(to=["a@example.com"], message_id=f"<12@example.it>{bad}{HEADER}"),
    "in_reply_to": lambda bad: Message(to=["a@example.com"], in_reply_to=f"<12@example.it>{bad}{HEADER}"),
    "references": lambda bad: Message(to=["a@example.com"], references=[f"<12@example.it>{bad}{HEADER}"]),
    "a file name": lambda bad: Message(to=["a@example.com"], attachments=[(f"f{bad}{HEADER}.pdf", b"%PDF")]),
    "a content type": lambda bad: Message(
        to=["a@example.com"],
        attachments=[Attachment(b"%PDF", "f.pdf", content_type=f"application/pdf{bad}{HEADER}")],
    ),
    "a content id": lambda bad: Message(
        to=["a@example.com"],
        html="-",
        attachments=[Attachment(b"x", "l.png", inline=True, content_id=f"logo{bad}{HEADER}")],
    ),
}


@pytest.mark.parametrize("field", FIELDS)
def test_no_field_of_a_message_injects_a_header_or_a_command(
    field: str, server: SmtpServer, anna: Callable[..., Found]
) -> None:
    with Mailer({"anna": anna()}) as mailer:
        for bad in BREAKS:
            with pytest.raises(InvalidMessage):
                mailer.send("anna", FIELDS[field](bad))
        assert server.connections == 0, "it is refused before anything is opened"
        mailer.send("anna", Message(to=["cliente@example.com"], subject="Pulito", text="-"))
    assert [list(message.rcpt_tos) for message in server.messages] == [["cliente@example.com"]]


@pytest.mark.parametrize(
    "word", ["=?utf-8?q?=0D=0AX-Injected:_1?=", "=?utf-8?b?DQpYLUluamVjdGVkOiAx?=", "=?utf-8?q?a=00b?="]
)
def test_an_encoded_word_that_hides_a_line_end_injects_nothing(
    word: str, server: SmtpServer, anna: Callable[..., Found]
) -> None:
    """Python 3.11's email package decodes it into a real header."""
    with Mailer({"anna": anna()}) as mailer:
        for message in (
            Message(to=["cliente@example.com"], subject=f"Fattura {word}", text="-"),
            Message(to=["cliente@example.com"], headers={"X-Ordine": word}, text="-"),
            Message(to=["cliente@example.com"], text="-", attachments=[(f"{word}.pdf", b"%PDF")]),
            f"From: anna@example.it\r\nTo: cliente@example.com\r\nSubject: {word}\r\n\r\n-\r\n".encode(),
        ):
            try:
                mailer.send("anna", message)
            except InvalidMessage:
                continue
    for arrived in server.messages:
        assert b"\nx-injected" not in arrived.content.lower()
        assert b"\x00" not in arrived.content


PROFILE: dict[str, Callable[[str], dict[str, Any]]] = {
    "sender": lambda bad: {"sender": f"anna@example.it{bad}{HEADER}"},
    "sender_name": lambda bad: {"sender_name": f"Anna{bad}{HEADER}"},
    "aliases": lambda bad: {"aliases": (f"a@example.it{bad}",)},
    "reply_to": lambda bad: {"reply_to": f"a@example.it{bad}{HEADER}"},
    "host": lambda bad: {"settings": {"host": f"127.0.0.1{bad}"}},
    "port": lambda bad: {"settings": {"port": f"465{bad}"}},
    "username": lambda bad: {"settings": {"username": f"anna{bad}evil"}},
    "helo": lambda bad: {"settings": {"helo": f"ditta.it{bad}MAIL FROM:<evil@example.it>"}},
    "password": lambda bad: {"secrets": Secrets({"password": Secret(f"segreto{bad}RSET")})},
}


@pytest.mark.parametrize("field", PROFILE)
def test_no_field_of_a_profile_is_saved_with_a_control_character(
    field: str, stored: Callable[..., Store], server: SmtpServer
) -> None:
    store = stored()
    before = store.get(ProfileKey("", "anna"))
    operators = Operators(store, Plugins.load())
    for bad in BREAKS:
        with pytest.raises(Misconfigured) as caught:
            operators.save(ProfileKey("", "anna"), Changes(**PROFILE[field](bad)), by="admin")
        assert caught.value.fields, "the wrong field is named"
    after = store.get(ProfileKey("", "anna"))
    assert before is not None
    assert after is not None
    assert (before.profile, before.revision) == (after.profile, after.revision)


@pytest.mark.parametrize("field", PROFILE)
def test_nor_sent_with_one_where_a_host_keeps_profiles_itself(
    field: str, server: SmtpServer, anna: Callable[..., Found]
) -> None:
    good = anna()
    for bad in BREAKS:
        changed = PROFILE[field](bad)
        settings = {**good.profile.settings, **changed.pop("settings", {})}
        secrets = changed.pop("secrets", good.secrets)
        found = Found(good.profile.with_(settings=settings, **changed), secrets, repr(bad))
        # An alias, or a reply-to, matters only where the message uses it.
        sender = found.profile.aliases[0] if found.profile.aliases else None
        message = Message(to=["cliente@example.com"], sender=sender, subject="Fattura", text="-")
        with Mailer({"anna": found}) as mailer, pytest.raises(RecapitoError) as caught:
            mailer.send("anna", message)
        assert isinstance(caught.value, InvalidMessage | Misconfigured), f"{bad!r}: {caught.value!r}"
    assert server.messages == []
    assert server.connections == 0
