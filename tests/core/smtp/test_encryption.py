"""Encryption is never optional, and each way in which it fails is told apart."""

import asyncio
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from recapito.errors import Held
from recapito.outcome import Outcome
from recapito.testing import ScriptServer, SmtpServer
from recapito.testing.script import Conversation, hear, polite, say, send, silence, start_tls

pytestmark = pytest.mark.anyio

BAD = {
    "expired": ("TLS-UNTRUSTED", "ended", "expired on"),
    "not_yet_valid": ("TLS-UNTRUSTED", "begins", "not valid before"),
    "wrong_host": ("TLS-NAME", "cn", "other.example"),
    "common_name_only": ("TLS-NAME-OLD", "cn", "no longer counts"),
    "self_signed": ("TLS-UNTRUSTED", "itself", "vouches for itself"),
    "unknown": ("TLS-UNTRUSTED", "issuer", "nobody here knows"),
}


@pytest.mark.parametrize("tls", ["ssl", "starttls"])
@pytest.mark.parametrize("kind", BAD)
async def test_bad_certificates_are_refused_and_told_apart(desk, kind: str, tls: str) -> None:
    code, param, words = BAD[kind]
    context = getattr(desk.authority, kind)()
    with SmtpServer(
        tls=tls, authority=desk.authority, context=context, users={"anna@example.it": desk.password}
    ) as server:
        error = await desk.refusal(server, tls)
        assert isinstance(error, Held)
        assert error.problem.code == code
        assert error.problem.params[param]
        assert error.problem.step == "encryption"
        assert words in str(error.problem.explain("en"))
        assert str(error.problem.explain("it")) != str(error.problem.explain("en"))
        assert server.logins == []
        assert server.login_failures == 0


async def test_a_good_certificate_of_a_known_authority_is_accepted(desk) -> None:
    with SmtpServer(tls="ssl", authority=desk.authority, users={"anna@example.it": desk.password}) as server:
        async with desk.open(server, "ssl", signs_in=True) as session:
            assert session.usable
        desk.trust = ""
        async with desk.open(server, "ssl", signs_in=True, ca=server.pem) as session:
            assert session.usable
        assert server.logins == ["anna@example.it"] * 2


async def test_a_numeric_host_is_checked_against_its_certificate(desk) -> None:
    with SmtpServer(tls="ssl", authority=desk.authority, users={"anna@example.it": desk.password}) as server:
        async with desk.open(server, "ssl", signs_in=True, host="127.0.0.1") as session:
            assert session.usable
    context = desk.authority.server_context("localhost")
    with SmtpServer(tls="ssl", authority=desk.authority, context=context) as server:
        assert (await desk.refusal(server, "ssl", host="127.0.0.1")).problem.code == "TLS-NAME"


@contextmanager
def old_server(tmp_path_factory, authority) -> Iterator[int]:
    """A server that speaks TLS 1.1 at most; asyncio's would drop the alert that says so."""
    pem = tmp_path_factory.mktemp("old") / "server.pem"
    import trustme

    leaf = trustme.CA().issue_cert("localhost")
    pem.write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = f"-quiet -accept 127.0.0.1:{port} -tls1_1 -cipher DEFAULT@SECLEVEL=0".split()
    server = subprocess.Popen(
        ["openssl", "s_server", *options, "-cert", str(pem)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.02)
        yield port
    finally:
        server.kill()
        server.communicate()


async def test_tls_1_1_is_refused_in_words(desk, tmp_path_factory) -> None:
    with ScriptServer(polite()) as unused, old_server(tmp_path_factory, desk.authority) as port:
        error = await desk.refusal(unused, "ssl", port=port)
    assert error.problem.code == "TLS-OLD"


async def test_a_plain_server_on_the_ssl_port_is_the_wrong_mode(desk) -> None:
    with ScriptServer(polite()) as server:
        error = await desk.refusal(server, "ssl")
        assert error.problem.code == "TLS-MODE"
        assert b"AUTH" not in server.heard


@pytest.mark.parametrize("security", ["starttls", "plain", "plain-text-without-protection"])
async def test_a_server_that_waits_for_a_handshake_is_told_before_patience_ends(desk, security: str) -> None:
    desk = desk.patient(answer=3600, silence=0.05)
    with SmtpServer(tls="ssl", authority=desk.authority) as server:
        async with asyncio.timeout(20):
            error = await desk.refusal(server, security)
        assert (error.problem.code, error.problem.step) == ("TLS-MODE", "answer")
        assert server.commands == []


@pytest.mark.parametrize("answer", [0.2, 0.6])
async def test_a_silent_server_that_speaks_no_tls_is_silent_within_its_time(desk, answer: float) -> None:
    desk = desk.patient(answer=answer, silence=0.05, look=20, encryption=20)
    with ScriptServer(polite(connect=silence)) as server:
        async with asyncio.timeout(10):
            error = await desk.refusal(server, "starttls")
        assert error.problem.code == "NET-BLOCKED"
        assert b"EHLO" not in server.heard


async def test_a_server_that_greets_late_is_waited_for(desk) -> None:
    desk = desk.patient(answer=20, silence=0.05, look=0.2)

    async def late(line: Conversation) -> None:
        await asyncio.sleep(0.4)
        await line.write(b"220 late\r\n")

    with ScriptServer(polite(connect=late)) as server:
        async with desk.open(server, "plain"):
            pass
        assert b"EHLO" in server.heard


@pytest.mark.parametrize(
    "extensions", [("SIZE 1000", "AUTH PLAIN LOGIN"), ("AUTH PLAIN LOGIN", "XSTARTTLS"), ("AUTH=PLAIN",)]
)
async def test_stripped_starttls_ends_before_any_credential(desk, extensions: tuple[str, ...]) -> None:
    with ScriptServer(polite(extensions=extensions)) as server:
        error = await desk.refusal(server, "starttls")
        assert error.problem.code == "STARTTLS-MISSING"
        assert isinstance(error, Held)
        assert b"AUTH" not in server.heard
        assert b"STARTTLS" not in server.heard


async def test_refused_starttls_ends_before_any_credential(desk) -> None:
    for reply, outcome in (("502 5.5.1 no", Outcome.HELD), ("454 4.7.0 TLS not available", Outcome.NOT_SENT)):
        with ScriptServer(
            polite(context=desk.authority.server_context(), STARTTLS=[say(reply), silence])
        ) as server:
            error = await desk.refusal(server, "starttls")
            assert error.problem.outcome is outcome
            assert error.problem.reply == reply
            assert b"AUTH" not in server.heard


@pytest.mark.parametrize("pushed", [b"220 go\r\n250 injected\r\n", b"220 go\r\n250-", b"220 go\r\n\x16\x03"])
async def test_plaintext_pushed_with_the_220_is_an_injection(desk, pushed: bytes) -> None:
    context = desk.authority.server_context()
    script = [
        "220 hello",
        hear("EHLO"),
        "250-x\n250 STARTTLS",
        hear("STARTTLS"),
        send(pushed),
        start_tls(context),
    ]
    with ScriptServer(script) as server:
        error = await desk.refusal(server, "starttls")
        assert error.problem.code == "TLS-INJECTION"
        assert isinstance(error, Held)
        assert b"AUTH" not in server.heard


async def test_plaintext_instead_of_the_handshake_is_an_injection(desk) -> None:
    script = [
        "220 hello",
        hear("EHLO"),
        "250-x\n250 STARTTLS",
        hear("STARTTLS"),
        "220 go",
        hear(),
        "250 hello again",
    ]
    with ScriptServer([*script, silence]) as server:
        error = await desk.refusal(server, "starttls")
        assert error.problem.code == "TLS-INJECTION"


async def test_what_was_offered_in_plain_text_is_forgotten_after_the_handshake(desk) -> None:
    context = desk.authority.server_context()
    first = "250-x\n250-SIZE 1\n250-AUTH PLAIN\n250 STARTTLS"
    before = ["220 hi", hear("EHLO"), first, hear("STARTTLS"), "220 go", start_tls(context)]
    after = [hear("EHLO"), "250-x\n250 8BITMIME", hear("QUIT"), "221 bye"]
    with ScriptServer(before + after) as server:
        async with desk.open(server, "starttls") as session:
            assert "size" not in session.extensions
            assert session.extensions.mechanisms == frozenset()


async def test_a_handshake_that_never_ends_is_ended(desk) -> None:
    desk = desk.patient(encryption=0.2)
    with ScriptServer([silence]) as server:
        error = await desk.refusal(server, "ssl")
        assert error.problem.outcome is Outcome.NOT_SENT
        assert error.problem.step == "encryption"


async def test_the_second_look_at_a_certificate_carries_nothing(desk) -> None:
    context = desk.authority.wrong_host()
    with SmtpServer(tls="ssl", authority=desk.authority, context=context) as server:
        await desk.refusal(server, "ssl")
        assert [command.verb for command in server.commands] == []


async def test_the_line_is_verified_by_the_rules_of_the_house(desk) -> None:
    with SmtpServer(tls="ssl", authority=desk.authority) as server:
        async with desk.open(server, "ssl") as session:
            line = session._channel.info("ssl_object")
            assert line.context.verify_mode is ssl.CERT_REQUIRED
            assert line.context.check_hostname
            assert line.version() in ("TLSv1.2", "TLSv1.3")
