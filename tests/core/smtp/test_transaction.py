"""MAIL, RCPT and DATA: what becomes of each recipient, and what is asked of a server before anything is said."""

import re
from dataclasses import replace

import pytest

from recapito.envelope import Envelope, Notify
from recapito.errors import InvalidMessage, NotSent, Refused, UnknownOutcome
from recapito.limits import Limits
from recapito.message import Message
from recapito.outcome import Outcome
from recapito.rendering import render
from recapito.testing import ScriptServer, SmtpServer, Specimen
from recapito.testing.script import hear_content, polite, say, silence

pytestmark = pytest.mark.anyio

A, B, C = "a@example.com", "b@example.com", "c@example.com"
OK, REFUSED, NOT_SENT = Outcome.ACCEPTED, Outcome.REFUSED, Outcome.NOT_SENT


def outcomes(receipt) -> list[Outcome]:
    return [row.outcome for row in receipt.recipients]


def mails(server: ScriptServer) -> list[bytes]:
    return re.findall(rb"^MAIL (.*?)\r\n", server.heard, re.MULTILINE)


def rcpts(server: ScriptServer) -> list[bytes]:
    return re.findall(rb"^RCPT (.*?)\r\n", server.heard, re.MULTILINE)


async def test_each_recipient_has_its_own_outcome_and_reply(desk) -> None:
    with SmtpServer(tls="plain") as server:
        server.refuse("rcpt", "550 5.1.1 unknown", address=B)
        server.refuse("rcpt", "452 4.2.2 full", address=C)
        async with desk.open(server) as session:
            receipt = await desk.send(session, (A, B, C))
            assert outcomes(receipt) == [OK, REFUSED, NOT_SENT]
            assert receipt.partial
            assert [row.problem and row.problem.code for row in receipt.recipients] == [
                None,
                "RCPT-UNKNOWN",
                "RCPT-FULL",
            ]
            assert receipt.recipients[1].reply == "550 5.1.1 unknown"
            assert receipt.recipients[1].problem.params["rcpt"] == B
            assert receipt.problem.code == "RCPT-UNKNOWN"
            assert receipt.server_reply.startswith("250 2.0.0 Ok: queued as")
            assert receipt.provider_id == "000001"
            assert session.usable
        assert server.messages[0].rcpt_tos == (A,)


async def test_all_refused_is_raised_with_each_reply_and_no_content_is_sent(desk) -> None:
    with SmtpServer(tls="plain") as server:
        server.refuse("rcpt", "550 5.1.1 unknown")
        async with desk.open(server) as session:
            error = await desk.error(session, (A, B))
            assert isinstance(error, Refused)
            assert [row.reply for row in error.receipt.recipients] == ["550 5.1.1 unknown"] * 2
            server.allow()
            assert (await desk.send(session, (A,))).accepted == (A,)
        assert len(server.messages) == 1
        assert [command.verb for command in server.commands].count("RSET") == 1


async def test_without_pipelining_an_open_transaction_is_reset_before_the_next(desk) -> None:
    with SmtpServer(tls="plain", extensions=("8BITMIME",)) as server:
        server.refuse("rcpt", "550 5.1.1 unknown", address=B)
        async with desk.open(server) as session:
            assert isinstance(await desk.error(session, (B,)), Refused)
            assert (await desk.send(session, (A,))).accepted == (A,)
        verbs = [command.verb for command in server.commands]
        assert verbs == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA", "QUIT"]


async def test_refused_differently_is_a_receipt(desk) -> None:
    with SmtpServer(tls="plain") as server:
        server.refuse("rcpt", "550 5.1.1 unknown", address=A)
        server.refuse("rcpt", "451 4.3.0 later", address=B)
        async with desk.open(server) as session:
            receipt = await desk.send(session, (A, B))
            assert outcomes(receipt) == [REFUSED, NOT_SENT]
            assert receipt.outcome is NOT_SENT


async def test_a_refused_sender_tells_whether_it_was_the_profiles_own(desk) -> None:
    said = "553 5.7.1 Sender address rejected: not owned by user"
    with ScriptServer(polite(MAIL=said)) as server:
        async with desk.open(server) as session:
            error = await desk.error(session)
            assert error.outcome is Outcome.HELD
            assert session.usable
            content = Specimen.of("alias@example.it", (A,))
            with pytest.raises(Refused):
                await session.deliver(Envelope("alias@example.it", (A,)), content, deadline=1e12)


async def test_a_temporary_refusal_of_data_is_not_sent_to_anybody(desk) -> None:
    with ScriptServer(polite(DATA="451 4.3.0 later")) as server:
        async with desk.open(server) as session:
            assert isinstance(await desk.error(session, (A, B)), NotSent)
            assert session.usable


@pytest.mark.parametrize("reply", ["250 Ok", "220 hi", "334 go on"])
async def test_data_without_354_is_not_sent(desk, reply: str) -> None:
    with ScriptServer(polite(DATA=[reply, silence])) as server:
        async with desk.open(server) as session:
            error = await desk.error(session)
            assert isinstance(error, NotSent)
            assert error.problem.code == "REPLY-STRANGE"
            assert not session.usable
            assert b"specimen" not in server.heard


async def test_a_refusal_after_the_content_is_final_for_those_accepted(desk) -> None:
    with SmtpServer(tls="plain") as server:
        server.refuse("rcpt", "550 5.1.1 unknown", address=B)
        server.refuse("content", "552 5.3.4 too big")
        async with desk.open(server) as session:
            error = await desk.error(session, (A, B))
            assert [row.problem.code for row in error.receipt.recipients] == ["MSG-TOO-BIG", "RCPT-UNKNOWN"]
            assert session.usable


async def test_more_recipients_than_the_profile_allows_go_in_several_transactions(desk) -> None:
    desk.profile = desk.profile.with_(limits=Limits(recipients_per_message=2))
    with SmtpServer(tls="plain") as server:
        async with desk.open(server) as session:
            addresses = tuple(f"r{number}@example.com" for number in range(5))
            receipt = await desk.send(session, addresses)
            assert receipt.accepted == addresses
        assert [message.rcpt_tos for message in server.messages] == [
            addresses[:2],
            addresses[2:4],
            addresses[4:],
        ]
        assert len({message.content for message in server.messages}) == 1


async def test_the_limits_that_a_server_announces_are_kept(desk) -> None:
    extensions = ("8BITMIME", "LIMITS MAILMAX=10 RCPTMAX=2 RCPTDOMAINMAX=x")
    with ScriptServer(polite(extensions=extensions)) as server:
        async with desk.open(server) as session:
            await desk.send(session, (A, B, C))
        assert len(mails(server)) == 2


async def test_a_line_takes_as_many_domains_as_its_server_announces(desk) -> None:
    extensions = ("8BITMIME", "PIPELINING", "LIMITS RCPTDOMAINMAX=2")
    with ScriptServer(polite(extensions=extensions)) as server:
        async with desk.open(server) as session:
            assert (await desk.send(session, (A, "b@other.example"))).accepted
            assert (await desk.send(session, ("c@OTHER.example",))).accepted
            error = await desk.error(session, ("d@third.example",))
            assert isinstance(error, NotSent)
            assert not session.usable
        assert len(mails(server)) == 2


async def test_a_line_takes_as_many_messages_as_its_server_announces(desk) -> None:
    extensions = ("8BITMIME", "PIPELINING", "CHUNKING", "LIMITS MAILMAX=2")
    with ScriptServer(polite(extensions=extensions)) as server:
        async with desk.open(server) as session:
            assert (await desk.send(session)).accepted
            assert session.usable
            assert (await desk.send(session)).accepted
            assert not session.usable
            assert isinstance(await desk.error(session), NotSent)
        assert len(mails(server)) == 2


@pytest.mark.parametrize(
    "reply", ["452 4.5.3 Too many recipients", "452 too many recipients", "552 5.5.3 too many"]
)
async def test_a_server_that_takes_no_more_recipients_gets_the_rest_in_another_transaction(
    desk, reply: str
) -> None:
    count = [0]

    async def two_at_a_time(line) -> None:
        count[0] += 1
        await say("250 Ok" if count[0] % 3 else reply)(line)

    with ScriptServer(polite(RCPT=two_at_a_time)) as server:
        async with desk.open(server) as session:
            addresses = tuple(f"r{number}@example.com" for number in range(5))
            assert (await desk.send(session, addresses)).accepted == addresses
        assert len(mails(server)) == 3


async def test_too_many_recipients_at_the_first_is_the_recipients_own(desk) -> None:
    with ScriptServer(polite(RCPT="452 4.5.3 Too many recipients")) as server:
        async with desk.open(server) as session:
            assert isinstance(await desk.error(session, (A, B)), NotSent)
        assert len(mails(server)) == 1


async def test_the_line_lost_in_the_second_transaction_leaves_the_first_accepted(desk) -> None:
    desk.profile = desk.profile.with_(limits=Limits(recipients_per_message=1))
    with SmtpServer(tls="plain") as server:
        server.drop("content", times=1)
        server.refuse("content", "250 2.0.0 Ok: queued as FIRST", times=1)
        async with desk.open(server) as session:
            receipt = await desk.send(session, (A, B, C))
            assert outcomes(receipt) == [OK, Outcome.UNKNOWN, NOT_SENT]
            assert receipt.outcome is Outcome.UNKNOWN
            assert not session.usable


async def test_size_is_said_and_compared_before_mail(desk) -> None:
    with ScriptServer(polite(extensions=("SIZE 3000",))) as server:
        async with desk.open(server) as session:
            error = await desk.error(session, size=5000)
            assert isinstance(error, Refused)
            assert error.problem.code == "MSG-TOO-BIG"
            assert mails(server) == []
            receipt = await desk.send(session, size=2500)
            assert receipt.accepted
            assert mails(server) == [b"FROM:<anna@example.it> SIZE=2500"]


@pytest.mark.parametrize("extensions", [(), ("SIZE",), ("SIZE 0",), ("SIZE huge",)])
async def test_a_server_without_a_limit_takes_any_size(desk, extensions: tuple[str, ...]) -> None:
    with ScriptServer(polite(extensions=extensions)) as server:
        async with desk.open(server) as session:
            assert (await desk.send(session, size=100_000)).accepted


def rendered(desk, **fields):
    return render(Message(**({"to": [A], "subject": "x", "text": "y"} | fields)), desk.profile)


async def test_smtputf8_is_asked_for_only_where_an_address_needs_it(desk) -> None:
    with ScriptServer(polite(extensions=("SMTPUTF8", "8BITMIME"))) as server:
        async with desk.open(server) as session:
            plain = rendered(desk, to=["Perché <a@xn--perch-fsa.example>"], subject="è", text="è")
            await session.deliver(plain.envelope, plain.content, deadline=1e12)
            other = rendered(desk, to=["perché@example.com"])
            await session.deliver(other.envelope, other.content, deadline=1e12)
        first, second = mails(server)
        assert b"SMTPUTF8" not in first
        assert b"SMTPUTF8" in second
        assert "RCPT TO:<perché@example.com>\r\n".encode() in server.heard


async def test_an_address_beyond_ascii_is_refused_before_mail_where_the_server_lacks_smtputf8(desk) -> None:
    with ScriptServer(polite(extensions=("8BITMIME",))) as server:
        async with desk.open(server) as session:
            other = rendered(desk, to=["perché@example.com"])
            with pytest.raises(Refused) as caught:
                await session.deliver(other.envelope, other.content, deadline=1e12)
            assert caught.value.problem.code == "SMTPUTF8-MISSING"
            assert "perché@example.com" in str(caught.value)
            assert session.usable
        assert mails(server) == []


class Raw(Specimen):
    """A finished message, exactly these bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(b"")
        self.data = data
        self.is_7bit = data.isascii()

    @property
    def size(self) -> int:
        return len(self.data)

    async def chunks(self):
        for place in range(0, len(self.data), 7):
            yield self.data[place : place + 7]


async def test_raw_headers_beyond_ascii_need_smtputf8_and_a_body_does_not(desk) -> None:
    head = Raw("Subject: è\r\n\r\nx\r\n".encode())
    body = Raw("Subject: e\r\n\r\nè\r\n".encode())
    with ScriptServer(polite(extensions=("8BITMIME", "SMTPUTF8"))) as server:
        async with desk.open(server) as session:
            for content in (head, body):
                await session.deliver(Envelope(desk.profile.sender, (A,)), content, deadline=1e12)
        assert mails(server) == [
            b"FROM:<anna@example.it> BODY=8BITMIME SMTPUTF8",
            b"FROM:<anna@example.it> BODY=8BITMIME",
        ]
    with ScriptServer(polite(extensions=("SIZE 1000",))) as server:
        async with desk.open(server) as session:
            for content, code in ((head, "SMTPUTF8-MISSING"), (body, "EIGHTBIT-MISSING")):
                with pytest.raises(Refused) as caught:
                    await session.deliver(Envelope(desk.profile.sender, (A,)), content, deadline=1e12)
                assert caught.value.problem.code == code
        assert mails(server) == []


async def test_notices_are_asked_for_as_rfc_3461_says(desk) -> None:
    with ScriptServer(polite(extensions=("DSN",))) as server:
        async with desk.open(server) as session:
            await desk.send(session, ("a+b=c@example.com",), notify=frozenset({Notify.FAILURE, Notify.DELAY}))
        assert mails(server) == [b"FROM:<anna@example.it> RET=HDRS ENVID=specimen@example.it"]
        assert rcpts(server) == [
            b"TO:<a+b=c@example.com> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb+3Dc@example.com"
        ]


@pytest.mark.parametrize("mark", ["x" * 200, "perché", ""])
async def test_a_message_id_that_is_no_envelope_id_is_left_out(desk, mark: str) -> None:
    with ScriptServer(polite(extensions=("DSN",))) as server:
        async with desk.open(server) as session:
            envelope, content = desk.mail(notify=frozenset({Notify.FAILURE}))
            content.message_id = f"<{mark}>"
            await session.deliver(envelope, content, deadline=1e12)
        assert mails(server) == [b"FROM:<anna@example.it> RET=HDRS"]


async def test_notices_are_refused_where_nobody_would_send_them(desk) -> None:
    wanted = frozenset({Notify.SUCCESS})
    with ScriptServer(polite()) as server:
        async with desk.open(server) as session:
            lacks = (await desk.error(session, notify=wanted)).problem
        async with desk.open(server, notify=wanted) as session:
            assert (await desk.error(session)).problem == lacks
    assert lacks.code == "DSN-NOT-OFFERED"
    for language in ("en", "it"):  # the server is to blame, not the transport
        assert "localhost" in lacks.explain(language).what
        assert "smtp_basic" not in str(lacks.explain(language))
    with ScriptServer(polite(extensions=("DSN",))) as server:
        async with desk.open(server, notices=False) as session:
            ours = (await desk.error(session, notify=wanted)).problem
        assert ours.code == "DSN-NOT-OFFERED"
        assert "smtp_basic" in ours.explain("it").what
        async with desk.open(server, notify=wanted) as session:
            await desk.send(session)
        assert b"NOTIFY=SUCCESS" in server.heard


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a b@x.it",
        "a@x.it>",
        "<a@x.it",
        "a@x.it\r\nRCPT TO:<evil@y.it",
        "a@x,evil@y",
        "a\0@x.it",
        "a@x.it\u2028",
    ],
)
async def test_no_address_can_hold_another_command(desk, address: str) -> None:
    with ScriptServer(polite()) as server:
        async with desk.open(server) as session:
            for envelope in (Envelope(address, (A,)), Envelope("anna@example.it", (A, address))):
                with pytest.raises(InvalidMessage):
                    await session.deliver(envelope, desk.mail()[1], deadline=1e12)
            with pytest.raises(InvalidMessage):
                await session.deliver(Envelope("anna@example.it", ()), desk.mail()[1], deadline=1e12)
            assert session.usable
        assert mails(server) == []


async def test_a_quoted_local_part_passes(desk) -> None:
    with ScriptServer(polite()) as server:
        async with desk.open(server) as session:
            await desk.send(session, ('"a b, <c>"@example.com',))
        assert rcpts(server) == [b'TO:<"a b, <c>"@example.com>']


async def test_ten_thousand_recipients_get_an_outcome_each(desk) -> None:
    with SmtpServer(tls="plain") as server:
        async with desk.open(server) as session:
            addresses = tuple(f"r{number}@example.com" for number in range(10_000))
            server.refuse("rcpt", "550 5.1.1 unknown", address=addresses[5000])
            receipt = await desk.send(session, addresses, seconds=50)
        assert len(receipt.recipients) == 10_000
        assert [row.address for row in receipt.recipients if row.outcome is not OK] == [addresses[5000]]


async def test_a_content_that_changes_its_size_never_gets_its_final_dot(desk) -> None:
    heard = hear_content()
    with ScriptServer(polite(DATA=["354 go", heard])) as server:
        for wrong in (-1, 1):
            envelope, content = desk.mail()

            class Lying(type(content)):
                size = property(lambda self, real=content.size + wrong: real)

            content.__class__ = Lying
            async with desk.open(server) as session:
                with pytest.raises(NotSent) as caught:
                    await session.deliver(envelope, content, deadline=1e12)
                assert caught.value.problem.code == "MSG-CHANGED"
                assert not session.usable
        assert b"\r\n.\r\n" not in server.heard


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("250 2.0.0 Ok: queued as 4ZQxyz1234", "4ZQxyz1234"),
        (
            "250 2.0.0 OK <abc123@AM0PR01.eurprd01.prod.outlook.com> [Hostname=AM0PR01]",
            "abc123@AM0PR01.eurprd01.prod.outlook.com",
        ),
        ("250 2.0.0 OK  1700000000 a1-20020a05600c.12 - gsmtp", "1700000000 a1-20020a05600c.12"),
        ("250 OK id=1r2BcD-0001Xy-2F", "1r2BcD-0001Xy-2F"),
        ("250 2.6.0 <x@y> Queued mail for delivery", None),
        ("250 Ok", None),
    ],
)
async def test_the_servers_own_id_is_found_in_its_last_reply(desk, reply: str, found: str | None) -> None:
    with ScriptServer(polite(content=reply)) as server:
        async with desk.open(server) as session:
            receipt = await desk.send(session)
            assert receipt.provider_id == found
            assert receipt.server_reply.split() == reply.split()


async def test_unknown_error_types_come_with_their_receipt(desk) -> None:
    with ScriptServer(polite(content=silence)) as server:
        async with desk.open(server, patience=replace(desk.patience, end=0.1)) as session:
            error = await desk.error(session, (A, B))
            assert isinstance(error, UnknownOutcome)
            assert outcomes(error.receipt) == [Outcome.UNKNOWN] * 2


@pytest.mark.parametrize("offered", ["PIPELINING", "CHUNKING"])
async def test_a_server_that_does_not_do_what_it_offers_is_told_one_command_at_a_time(
    desk, offered: str
) -> None:
    extensions = ("8BITMIME", "PIPELINING", *([offered] if offered == "CHUNKING" else []))
    bad = {"BDAT" if offered == "CHUNKING" else "DATA": "503 5.5.1 Bad sequence of commands"}
    with ScriptServer(polite(extensions=extensions, **bad), polite(extensions=extensions)) as server:
        async with desk.open(server) as session:
            error = await desk.error(session)
            assert isinstance(error, NotSent)
            assert error.problem.code == "REPLY-STRANGE"
            assert not session.usable
        async with desk.open(server) as session:
            assert session.depth == 1
            assert (await desk.send(session)).accepted
        assert b"BDAT" not in server.conversations[1].heard


async def test_one_command_at_a_time_a_503_is_a_refusal(desk) -> None:
    with ScriptServer(polite(DATA="503 5.5.1 no")) as server:
        async with desk.open(server) as session:
            assert isinstance(await desk.error(session), Refused)
