"""The Gmail API has no envelope: what the headers say must be what is meant, and who is hidden stays hidden."""

import pytest

from recapito.address import parse_address_list
from recapito.content import Content
from recapito.envelope import Envelope
from recapito.errors import Refused
from recapito.message import Message
from recapito.profile import Profile
from recapito.rendering import render
from recapito_gmail_oauth.headers import addressed

ANNA = Profile.of("anna", sender="anna@gmail.com", transport="gmail_oauth", aliases=("vendite@acme.example",))
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def rendered(**fields: object) -> tuple[Envelope, Content]:
    made = render(Message(**{"to": ["b@example.com"], "subject": "x", "text": "x"} | fields), ANNA)
    return made.envelope, made.content


async def whole(content: Content) -> bytes:
    return b"".join([chunk async for chunk in content.chunks()])


async def head(content: Content) -> bytes:
    return (await whole(content)).partition(b"\r\n\r\n")[0]


def hidden(content: Content) -> list[str]:
    return [
        each.addr_spec
        for name, value in content.headers
        if name == "Bcc"
        for each in parse_address_list(value, name)
    ]


async def test_nothing_is_added_where_everybody_is_shown() -> None:
    envelope, content = rendered(cc=["c@example.com"])
    assert addressed(ANNA, envelope, content) is content
    assert b"Bcc" not in await head(content)


async def test_who_is_hidden_is_named_for_google_alone() -> None:
    envelope, content = rendered(bcc=["archivio@example.com", "capo@example.com"])
    carried = addressed(ANNA, envelope, content)
    assert hidden(carried) == ["archivio@example.com", "capo@example.com"]
    assert len(await whole(carried)) == carried.size
    assert (await whole(carried)).endswith(await whole(content)), "nothing else of the message changes"
    assert b"archivio" not in await whole(content)


async def test_a_hundred_hidden_recipients_make_no_line_too_long() -> None:
    many = [f"persona-numero-{number:03}@casella.example.com" for number in range(99)]
    envelope, content = rendered(bcc=many)
    carried = addressed(ANNA, envelope, content)
    assert hidden(carried) == many
    assert max(map(len, (await whole(carried)).split(b"\r\n"))) <= 998


@pytest.mark.parametrize("spelled", ["B@Example.COM", "b@EXAMPLE.com"])
def test_case_makes_no_second_recipient(spelled: str) -> None:
    envelope, content = rendered(to=[spelled])
    same = Envelope(envelope.sender, ("b@example.com",))
    assert addressed(ANNA, same, content) is content


def test_a_name_with_a_comma_is_one_recipient() -> None:
    envelope, content = rendered(to=['"Rossi, Anna" <b@example.com>', "Bruno <c@example.com>"])
    assert addressed(ANNA, envelope, content) is content


@pytest.mark.parametrize("field", ["to", "cc"])
def test_a_header_that_names_somebody_else_is_refused(field: str) -> None:
    envelope, content = rendered(**{field: ["b@example.com", "stranger@example.com"]})
    fewer = Envelope(envelope.sender, ("b@example.com",))
    with pytest.raises(Refused) as caught:
        addressed(ANNA, fewer, content)
    assert caught.value.problem.code == "ENVELOPE-DIFFERS"


def test_another_sender_than_the_headers_say_is_refused() -> None:
    envelope, content = rendered()
    other = Envelope("vendite@acme.example", envelope.recipients)
    with pytest.raises(Refused) as caught:
        addressed(ANNA, other, content)
    assert caught.value.problem.code == "SENDER-NOT-ALLOWED"
    assert caught.value.problem.params["address"] == "vendite@acme.example"


def test_an_alias_in_from_goes() -> None:
    envelope, content = rendered(sender="vendite@acme.example")
    assert envelope.sender == "vendite@acme.example"
    assert addressed(ANNA, envelope, content) is content


async def test_finished_bytes_are_addressed_too() -> None:
    made = render(
        b"From: anna@gmail.com\r\nTo: b@example.com\r\nSubject: x\r\n\r\nx\r\n",
        ANNA,
        to=["b@example.com", "c@example.com"],
    )
    assert hidden(addressed(ANNA, made.envelope, made.content)) == ["c@example.com"]
