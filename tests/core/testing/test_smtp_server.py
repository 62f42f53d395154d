"""The SMTP server tells the truth about what came, refuses what a strict server refuses, and fails as it is told."""

import base64
import contextlib
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from recapito.testing import CertificateAuthority, SmtpServer

AUTHORITY = CertificateAuthority()
#: What careless code changes: dots, trailing spaces, tabs, a line of 998, octets above 127.
CONTENT = b"Subject: x\r\n\r\n.\r\n..\r\n.text\r\nFrom me\r\n \t\r\n" + b"x" * 998 + "\r\nè\r\n\r\n".encode()
A, B, C = "a@example.it", "b@example.com", "c@example.com"


def served(**options: Any) -> SmtpServer:
    return SmtpServer(authority=AUTHORITY, **options)


@contextlib.contextmanager
def client(server: SmtpServer) -> Iterator[smtplib.SMTP]:
    context = AUTHORITY.client_context()
    if server.tls == "ssl":
        line: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, context=context, timeout=5)
    else:
        line = smtplib.SMTP(server.host, server.port, timeout=5)
    try:
        if server.tls == "starttls":
            line.starttls(context=context)
        line.ehlo("client.example.it")
        yield line
    finally:
        line.close()


@pytest.mark.parametrize("tls", ["ssl", "starttls", "plain"])
def test_what_is_stored_is_what_came(tls: Any) -> None:
    with served(tls=tls, users={A: "segreta"}) as server:
        with client(server) as line:
            line.login(A, "segreta")
            assert line.sendmail(A, [B, C], CONTENT, mail_options=["BODY=8BITMIME"]) == {}
            line.quit()
        (stored,) = server.messages
    assert stored.content == CONTENT
    assert (stored.envelope_from, stored.rcpt_tos, stored.user) == (A, (B, C), A)
    assert stored.tls.startswith("TLSv1") is (tls != "plain")
    assert "BODY=8BITMIME" in stored.mail_options
    assert stored.message["Subject"] == "x"
    assert [command.verb for command in server.commands][-5:] == ["MAIL", "RCPT", "RCPT", "DATA", "QUIT"]
    assert (server.connections, server.handshakes) == (1, 0 if tls == "plain" else 1)


def test_line_ends_that_are_none_are_kept_to_be_seen() -> None:
    smuggled = b"a\n.\nb\r.\rc\x00\r\n"
    with served(tls="plain") as server, client(server) as line:
        line.docmd(f"MAIL FROM:<{A}>")
        line.docmd(f"RCPT TO:<{B}>")
        line.docmd("DATA")
        line.send(smuggled + b".\r\n")
        assert line.getreply()[0] == 250
    assert [stored.content for stored in server.messages] == [smuggled]


def test_connections_are_told_apart() -> None:
    with (
        served(tls="plain", users={A: "uno", B: "due"}) as server,
        client(server) as one,
        client(server) as two,
    ):
        one.login(A, "uno")
        two.login(B, "due")
        two.sendmail(B, [C], b"two\r\n")
        one.sendmail(A, [C], b"one\r\n")
    assert [(row.connection, row.user) for row in server.messages] == [(2, B), (1, A)]
    assert server.logins == [A, B]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_each_mechanism_lets_in_who_knows_the_password(mechanism: str) -> None:
    with served(users={"anna": "s e:g\\r'eta"}, mechanisms=[mechanism]) as server:
        with client(server) as line:
            assert line.esmtp_features["auth"].split() == [mechanism]
            line.login("anna", "s e:g\\r'eta")
        with client(server) as line, pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
            line.login("anna", "sbagliata")
        with client(server) as line, pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
            line.login("bruno", "s e:g\\r'eta")
    assert (server.logins, server.login_failures) == (["anna"], 2)


def test_a_password_beyond_ascii_is_utf_8() -> None:
    with served(users={"anna": "perché"}) as server, client(server) as line:
        response = base64.b64encode("\0anna\0perché".encode()).decode()
        assert line.docmd("AUTH PLAIN", response)[0] == 235


def test_a_token_signs_in_and_a_wrong_one_is_told_why() -> None:
    def response(token: str) -> str:
        return base64.b64encode(f"user={A}\x01auth=Bearer {token}\x01\x01".encode()).decode()

    with served(tokens={A: "ya29.good"}) as server, client(server) as line:
        code, challenge = line.docmd("AUTH XOAUTH2", response("ya29.bad"))
        assert code == 334
        assert b'"status": "400"' in base64.b64decode(challenge)
        assert line.docmd("")[0] == 535
        assert line.docmd("AUTH XOAUTH2", response("ya29.good"))[0] == 235
        assert line.docmd(f"MAIL FROM:<{A}>")[0] == 250


def test_a_token_of_four_kilobytes_fits() -> None:
    token = "ya29." + "x" * 4000
    response = base64.b64encode(f"user={A}\x01auth=Bearer {token}\x01\x01".encode()).decode()
    with served(tokens={A: token}) as server, client(server) as line:
        assert line.docmd("AUTH XOAUTH2", response)[0] == 235


def test_no_mail_is_taken_without_a_sign_in() -> None:
    with served(users={A: "segreta"}) as server, client(server) as line:
        assert line.docmd(f"MAIL FROM:<{A}>")[0] == 530


def test_credentials_in_clear_are_refused_and_counted() -> None:
    with served(tls="starttls", users={A: "segreta"}) as server:
        line = smtplib.SMTP(server.host, server.port, timeout=5)
        line.ehlo("client.example.it")
        assert "auth" not in line.esmtp_features
        assert line.docmd("AUTH PLAIN", "AGEAYg==")[0] == 530
        line.close()
    assert server.credentials_in_clear == 1
    assert [command.argument for command in server.commands if command.verb == "AUTH"] == ["PLAIN"]


@pytest.mark.parametrize(
    ("commands", "code"),
    [
        ([f"MAIL FROM:<{A},evil@example.com>"], 553),
        ([f"MAIL FROM:{A}"], 553),
        (["MAIL FROM:<perché@example.it>"], 553),
        ([f"MAIL FROM:<{A}> SIZE=60000"], 552),
        ([f"MAIL FROM:<{A}> RET=HDRS"], 555),
        ([f"MAIL FROM:<{A}>", f"RCPT TO:<{B},evil@example.com>"], 553),
        ([f"MAIL FROM:<{A}>", "RCPT TO:<perché@example.it>"], 553),
        ([f"MAIL FROM:<{A}>", f"RCPT TO:<{B}> NOTIFY=NEVER"], 555),
        ([f"RCPT TO:<{B}>"], 503),
        (["DATA"], 503),
        (["BDAT 3 LAST"], 502),
        (["NONSENSE"], 500),
    ],
)
def test_a_strict_server_refuses(commands: list[str], code: int) -> None:
    with served(tls="plain", size_limit=50_000) as server, client(server) as line:
        *before, last = (
            [line.docmd(command) for command in commands]
            if all(map(str.isascii, commands))
            else [_raw(line, command) for command in commands]
        )
    assert [reply[0] for reply in before] == [250] * len(before)
    assert last[0] == code


def _raw(line: smtplib.SMTP, command: str) -> tuple[int, bytes]:
    line.send(command.encode() + b"\r\n")
    return line.getreply()


def test_addresses_beyond_ascii_need_the_keyword() -> None:
    with served(tls="plain") as server, client(server) as line:
        assert _raw(line, "MAIL FROM:<perché@example.it> SMTPUTF8")[0] == 250
        assert _raw(line, "RCPT TO:<così@example.it>")[0] == 250
        server.extensions.discard("SMTPUTF8")
    with served(tls="plain", extensions=()) as server, client(server) as line:
        assert _raw(line, "MAIL FROM:<perché@example.it> SMTPUTF8")[0] == 500


@pytest.mark.parametrize(
    ("content", "extensions", "reply"),
    [
        ("è\r\n".encode(), (), b"5.6.1"),
        (b"x" * 999 + b"\r\n", ("8BITMIME",), b"5.6.0"),
        (b"x\r\n" * 400, ("8BITMIME",), b"5.3.4"),
    ],
)
def test_content_that_a_server_may_refuse_is_refused(
    content: bytes, extensions: tuple[str], reply: bytes
) -> None:
    with served(tls="plain", extensions=extensions, size_limit=1100) as server, client(server) as line:
        line.docmd(f"MAIL FROM:<{A}>")
        line.docmd(f"RCPT TO:<{B}>")
        answer = line.data(content)
    assert answer[1].startswith(reply)
    assert server.messages == []


def test_delivery_notices_are_kept_where_offered() -> None:
    with served(tls="plain", extensions=["DSN"]) as server, client(server) as line:
        line.sendmail(
            A, [B], b"x\r\n", ["RET=HDRS", "ENVID=abc+3D1"], ["NOTIFY=FAILURE,DELAY", f"ORCPT=rfc822;{B}"]
        )
    (stored,) = server.messages
    assert {"RET=HDRS", "ENVID=abc+3D1"} <= set(stored.mail_options)
    assert stored.rcpt_options == (("NOTIFY=FAILURE,DELAY", f"ORCPT=rfc822;{B}"),)


def test_chunks_are_joined_as_they_are() -> None:
    parts = [b"Subject: x\r\n\r\n.no stuffing\r\n", b"\x00\xff\r\n.\r\n"]
    with served(tls="plain", extensions=["CHUNKING", "8BITMIME"]) as server, client(server) as line:
        line.docmd(f"MAIL FROM:<{A}>")
        line.docmd(f"RCPT TO:<{B}>")
        line.send(f"BDAT {len(parts[0])}\r\n".encode() + parts[0])
        assert line.getreply()[0] == 250
        line.send(f"BDAT {len(parts[1])} LAST\r\n".encode() + parts[1])
        assert line.getreply()[0] == 250
    assert [stored.content for stored in server.messages] == [b"".join(parts)]


def test_commands_in_one_flight_are_answered_in_order() -> None:
    with served(tls="plain") as server, client(server) as line:
        server.refuse("rcpt", "550 5.1.1 No such user", address=B)
        line.send(f"MAIL FROM:<{A}>\r\nRCPT TO:<{B}>\r\nRCPT TO:<{C}>\r\nDATA\r\n".encode())
        assert [line.getreply()[0] for _ in range(4)] == [250, 550, 250, 354]


@pytest.mark.parametrize("phase", ["ehlo", "mail", "rcpt", "data", "content", "rset", "noop", "quit", "auth"])
def test_any_reply_can_be_given_at_any_phase(phase: Any) -> None:
    reply = "451-4.3.0 Not now\n451 4.3.0 Really not"
    with served(users={A: "segreta"}) as server, client(server) as line:
        server.refuse(phase, reply, times=1)
        replies = [
            line.docmd("EHLO", "x"),
            line.docmd("AUTH PLAIN", base64.b64encode(f"\0{A}\0segreta".encode()).decode()),
            line.docmd("AUTH PLAIN", base64.b64encode(f"\0{A}\0segreta".encode()).decode()),
        ]
        twice = [command for command in (f"MAIL FROM:<{A}>", f"RCPT TO:<{B}>") for _ in range(2)]
        replies += [line.docmd(command) for command in ("NOOP", "RSET", *twice)]
        for _ in range(2):
            replies.append(line.docmd("DATA"))
            if replies[-1][0] == 354:
                line.send(b"x\r\n.\r\n")
                replies.append(line.getreply())
        replies.append(line.docmd("QUIT"))
    assert replies.count((451, b"4.3.0 Not now\n4.3.0 Really not")) == 1


def test_a_rule_is_for_one_address_and_is_used_up() -> None:
    with served(tls="plain") as server, client(server) as line:
        server.refuse("rcpt", "550 5.1.1 No such user", address=B, times=1)
        line.docmd(f"MAIL FROM:<{A}>")
        codes = [line.docmd(f"RCPT TO:<{address}>")[0] for address in (C, B, B)]
        server.refuse("rcpt", "550 5.1.1 No such user")
        server.allow()
        codes.append(line.docmd(f"RCPT TO:<{C}>")[0])
    assert codes == [250, 550, 250, 250]


def test_a_sign_in_can_be_refused_for_one_user() -> None:
    with served(users={A: "uno", B: "due"}) as server:
        server.refuse("auth", "534 5.7.9 Application-specific password required", address=A)
        with client(server) as line, pytest.raises(smtplib.SMTPAuthenticationError, match="534"):
            line.login(A, "uno")
        with client(server) as line:
            line.login(B, "due")


def test_a_connection_can_be_refused_at_its_greeting() -> None:
    with served(tls="plain") as server:
        server.refuse("connect", "554 5.7.1 Go away")
        with pytest.raises(smtplib.SMTPConnectError, match="554"):
            smtplib.SMTP(server.host, server.port, timeout=5)


@pytest.mark.parametrize("ending", ["close", "reset"])
@pytest.mark.parametrize("phase", ["ehlo", "auth", "mail", "rcpt", "data", "content", "rset"])
def test_the_line_can_end_at_any_phase(phase: Any, ending: Any) -> None:
    with served(tls="plain", users={A: "segreta"}) as server, client(server) as line:
        server.drop(phase, ending=ending)
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            _all_phases(line)
    assert server.messages == []


def _all_phases(line: smtplib.SMTP) -> None:
    line.docmd("EHLO", "x")
    line.docmd("AUTH PLAIN", base64.b64encode(f"\0{A}\0segreta".encode()).decode())
    line.docmd("RSET")
    line.sendmail(A, [B], b"x\r\n")


def test_the_line_can_end_inside_the_content() -> None:
    with served(tls="plain") as server, client(server) as line:
        server.drop("content", after=100_000, times=1)
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            line.sendmail(A, [B], b"y" * 70 + b"\r\n" * 1_000_000)
        with client(server) as again:
            again.sendmail(A, [B], b"x\r\n")
    assert [stored.content for stored in server.messages] == [b"x\r\n"]


@pytest.mark.parametrize("tls", ["ssl", "starttls", "plain"])
def test_idle_lines_can_be_closed_reset_or_forgotten(tls: Any) -> None:
    with served(tls=tls) as server:
        with client(server) as line:
            assert server.drop_idle("close", reply="421 4.4.2 Idle too long") == 1
            assert line.getreply()[0] == 421
            with pytest.raises(smtplib.SMTPServerDisconnected):
                line.noop()
        with client(server) as line:
            server.drop_idle("reset")
            with _below_tls(line) as below, pytest.raises(ConnectionResetError):
                list(iter(lambda: below.recv(1000), b""))  # session tickets of TLS 1.3 may come first
        with client(server) as line:
            server.drop_idle("silence")
            assert line.sock is not None
            line.sock.settimeout(0.1)
            line.send(b"NOOP\r\n")
            with pytest.raises(TimeoutError):
                line.sock.recv(1)
        with client(server) as line:
            assert line.noop()[0] == 250


@contextlib.contextmanager
def _below_tls(line: smtplib.SMTP) -> Iterator[socket.socket]:
    assert line.sock is not None
    with socket.socket(fileno=socket.dup(line.sock.fileno())) as below:
        below.settimeout(5)
        yield below


def test_held_answers_come_when_the_hold_ends() -> None:
    with served(tls="plain") as server, client(server) as line:
        line.docmd(f"MAIL FROM:<{A}>")
        line.docmd(f"RCPT TO:<{B}>")
        line.docmd("DATA")
        with server.hold("content"):
            line.send(b"x\r\n.\r\n")
            until = time.monotonic() + 5
            while server.waiting["content"] == 0 and time.monotonic() < until:
                time.sleep(0.005)
            assert server.waiting["content"] == 1
            assert server.messages == []
        assert line.getreply()[0] == 250
    assert len(server.messages) == 1


@pytest.mark.parametrize("tls", ["ssl", "plain"])
def test_a_stalled_server_reads_no_content(tls: Any) -> None:
    with served(tls=tls) as server, client(server) as line:
        line.docmd(f"MAIL FROM:<{A}>")
        line.docmd(f"RCPT TO:<{B}>")
        with server.stall():
            line.docmd("DATA")
            assert line.sock is not None
            line.sock.settimeout(0.2)
            with pytest.raises(TimeoutError):
                line.sock.sendall(b"y" * 70 + b"\r\n" * 20_000_000)
        line.sock.settimeout(5)


def test_the_end_is_quick_and_leaves_nothing_behind() -> None:
    with served() as server, client(server):
        port = server.port
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("recapito-testing")]
    assert server.faults == []
    with pytest.raises(ConnectionRefusedError), socket.create_connection((server.host, port), timeout=5):
        pass


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("expired", 10),
        ("not_yet_valid", 9),
        ("wrong_host", 62),
        ("common_name_only", 62),
        ("self_signed", 18),
        ("unknown", 20),
    ],
)
def test_each_bad_certificate_is_bad_in_its_own_way(kind: str, code: int) -> None:
    bad = SmtpServer(context=getattr(AUTHORITY, kind)())
    with bad as server, pytest.raises(ssl.SSLCertVerificationError) as refused:
        _shake_hands(server)
    assert refused.value.verify_code == code


def test_a_good_certificate_is_good_for_its_hosts_only() -> None:
    with SmtpServer(context=AUTHORITY.server_context("mail.example.it"), authority=AUTHORITY) as server:
        _shake_hands(server, "mail.example.it")
        with pytest.raises(ssl.SSLCertVerificationError):
            _shake_hands(server, "localhost")


def _shake_hands(server: SmtpServer, name: str = "localhost") -> None:
    context = AUTHORITY.client_context()
    with socket.create_connection((server.host, server.port), timeout=5) as line:
        context.wrap_socket(line, server_hostname=name).close()
