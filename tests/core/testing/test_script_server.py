"""The script server says exactly what it is told to, at any point, and keeps every byte that it heard."""

import contextlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from recapito.testing import CertificateAuthority, ScriptServer
from recapito.testing.script import (
    Answer,
    Step,
    close,
    drip,
    flood,
    hear,
    hear_bytes,
    hear_content,
    polite,
    reset,
    say,
    send,
    sign_in,
    silence,
    start_tls,
    wait,
)

AUTHORITY = CertificateAuthority()
A, B = "a@example.it", "b@example.com"


@contextlib.contextmanager
def dialled(server: ScriptServer) -> Iterator[socket.socket]:
    with socket.create_connection((server.host, server.port), timeout=5) as line:
        yield line


def everything(line: socket.socket) -> bytes:
    return b"".join(iter(lambda: line.recv(65_536), b""))


def mailed(server: ScriptServer) -> smtplib.SMTP:
    return smtplib.SMTP(server.host, server.port, timeout=5)


def test_a_script_is_played_to_the_letter() -> None:
    script: Answer = [
        "220 hello",
        hear("EHLO"),
        say("250-one", "250 two"),
        hear(""),
        send(b"250 \xff\x00no end"),
    ]
    with ScriptServer(script) as server, dialled(server) as line:
        line.sendall(b"ehlo x\r\nanything\n")
        assert everything(line) == b"220 hello\r\n250-one\r\n250 two\r\n250 \xff\x00no end"
    assert server.heard == b"ehlo x\r\nanything\n"
    assert server.faults == []


def test_what_was_not_expected_is_a_fault_and_ends_the_line() -> None:
    with ScriptServer(["220 x", hear("EHLO"), "250 x"]) as server, dialled(server) as line:
        line.sendall(b"HELO x\r\n")
        assert everything(line) == b"220 x\r\n"
    assert server.faults == ["expected 'EHLO', heard b'HELO x\\r\\n'"]


def test_each_connection_plays_its_own_script_and_the_last_goes_on() -> None:
    with ScriptServer(["1 one"], ["2 two"]) as server:
        heard = []
        for _ in range(3):
            with dialled(server) as line:
                heard.append(everything(line))
    assert heard == [b"1 one\r\n", b"2 two\r\n", b"2 two\r\n"]
    assert server.connections == 3


def test_a_polite_server_takes_a_message() -> None:
    with ScriptServer(polite()) as server:
        client = mailed(server)
        client.login("anna", "segreta")
        assert client.sendmail(A, [B], b".dot\r\n") == {}
        client.quit()
    assert server.heard.endswith(b"data\r\n..dot\r\n.\r\nquit\r\n")
    assert server.faults == []


def test_a_polite_server_is_rude_where_told() -> None:
    with ScriptServer(polite(RCPT="550 5.1.1 no"), polite(content=["451-one", "451 two"])) as server:
        with contextlib.closing(mailed(server)) as client, pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail(A, [B], b"x\r\n")
        with contextlib.closing(mailed(server)) as client, pytest.raises(smtplib.SMTPDataError, match="451"):
            client.sendmail(A, [B], b"x\r\n")


def test_a_sign_in_of_either_form_is_heard_out() -> None:
    for auth in (
        b"AUTH PLAIN AGEAYg==\r\n",
        b"AUTH PLAIN\r\nAGEAYg==\r\n",
        b"AUTH LOGIN\r\nYQ==\r\nYg==\r\n",
    ):
        with ScriptServer([sign_in]) as server, dialled(server) as line:
            line.sendall(auth)
            assert everything(line).endswith(b"235 2.7.0 Accepted\r\n")
        assert server.heard == auth


def test_starttls_encrypts_what_follows() -> None:
    context = AUTHORITY.server_context()
    script: Answer = [
        "220 x",
        hear("EHLO"),
        "250-x\n250 STARTTLS",
        hear("STARTTLS"),
        "220 go",
        start_tls(context),
        hear("EHLO"),
        "250 x",
    ]
    with ScriptServer(script, polite(context=context)) as server:
        client = mailed(server)
        client.starttls(context=AUTHORITY.client_context())
        assert client.ehlo("x") == (250, b"x")
        client.close()
        client = mailed(server)
        assert not client.has_extn("auth")
        client.starttls(context=AUTHORITY.client_context())
        client.login("anna", "segreta")
        client.quit()
    assert b"ehlo x\r\n" in server.heard


def test_plaintext_may_follow_the_220_of_starttls() -> None:
    context = AUTHORITY.server_context()
    pushed = send(b"220 go\r\n250-mail.example.it\r\n250 AUTH PLAIN\r\n")
    with ScriptServer(polite(context=context, STARTTLS=pushed)) as server, dialled(server) as line:
        line.sendall(b"EHLO x\r\nSTARTTLS\r\n")
        heard = b""
        while b"AUTH PLAIN" not in heard:
            heard += line.recv(1000)
    assert b"220 go\r\n250-mail" in heard


def test_starttls_may_be_missing() -> None:
    with (
        ScriptServer(polite(extensions=["AUTH PLAIN"])) as server,
        contextlib.closing(mailed(server)) as client,
        pytest.raises(smtplib.SMTPNotSupportedError),
    ):
        client.starttls()


def test_tls_may_come_first() -> None:
    context = AUTHORITY.client_context()
    with (
        ScriptServer(["220 x"], tls=AUTHORITY.server_context()) as server,
        dialled(server) as line,
        context.wrap_socket(line, server_hostname="localhost") as secure,
    ):
        assert secure.recv(100) == b"220 x\r\n"


@pytest.mark.parametrize("ending", [close, reset])
def test_the_line_ends_after_so_many_bytes_of_content(ending: Step) -> None:
    with ScriptServer(polite(DATA=["354 go", hear_bytes(1000), ending])) as server:
        client = mailed(server)
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            client.sendmail(A, [B], b"x" * 70 + b"\r\n" * 1_000_000)
        client.close()
    assert len(server.heard.partition(b"data\r\n")[2]) >= 1000


def test_a_million_lines_are_sent() -> None:
    with ScriptServer([flood(b"250-x\r\n", times=1_000_000), "250 x"]) as server, dialled(server) as line:
        assert everything(line) == b"250-x\r\n" * 1_000_000 + b"250 x\r\n"


def test_a_flood_without_an_end_ends_with_the_client() -> None:
    with ScriptServer(flood(b"x")) as server, dialled(server) as line:
        assert len(line.recv(100_000)) > 0


def test_bytes_can_drip() -> None:
    with ScriptServer([drip(b"220 x\r\n", every=0.001), wait(0.001)]) as server, dialled(server) as line:
        assert everything(line) == b"220 x\r\n"


def test_silence_hears_and_says_nothing() -> None:
    with ScriptServer(silence) as server, dialled(server) as line:
        line.sendall(b"EHLO x\r\n")
        line.settimeout(0.1)
        with pytest.raises(TimeoutError):
            line.recv(1)
    assert server.heard == b"EHLO x\r\n"


def test_content_ends_at_its_final_dot_only() -> None:
    tricky = b"a\n.\r\nb\r\n.\nc\r\n..\r\n"
    with ScriptServer([hear_content(), "250 x"]) as server, dialled(server) as line:
        line.sendall(tricky + b".\r\n")
        assert everything(line) == b"250 x\r\n"
    assert server.heard == tricky + b".\r\n"


def test_the_end_leaves_nothing_behind() -> None:
    with ScriptServer(silence, flood(b"x")) as server, dialled(server), dialled(server):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("recapito-testing")]


def test_a_client_that_breaks_off_is_no_fault() -> None:
    with ScriptServer(polite(), tls=AUTHORITY.server_context()) as server:
        with dialled(server) as line, contextlib.suppress(ssl.SSLError):
            line.sendall(b"this is no handshake\r\n")
        with dialled(server):
            pass
    assert server.faults == []
