"""The context for tests of transports is a context like the mailer's."""

import asyncio
import ssl
import threading

import pytest

from recapito.errors import Held
from recapito.profile import Found, Profile
from recapito.reply import ServerReply
from recapito.secret import Secrets
from recapito.testing import CertificateAuthority, SmtpServer, TestContext

FOUND = Found(
    Profile.of("anna", sender="anna@example.it", transport="mine"), Secrets({"password": "segretissima"})
)


def test_a_refused_token_is_replaced_and_the_last_one_holds() -> None:
    async def ask() -> list[str]:
        context = TestContext(FOUND, tokens=["one", "two"])
        first = await context.token("mail")
        assert (await context.token("mail")).value == first.value
        second = await context.token("mail", refused=first)
        assert (await context.token("mail", refused=first)).value == second.value
        with pytest.raises(Held):
            await context.token("mail", refused=second)
        assert context.asked == ["mail"] * 5
        return [first.value.reveal(), second.value.reveal()]

    assert asyncio.run(ask()) == ["one", "two"]


def test_it_trusts_who_it_is_told_to_and_nobody_else() -> None:
    authority, other = CertificateAuthority(), CertificateAuthority()
    with SmtpServer(authority=authority) as server:
        for context, extra in (
            (TestContext(FOUND, trust=authority.pem), None),
            (TestContext(FOUND), authority.pem),
        ):
            assert context.tls(extra) is context.tls(extra)
            _shake_hands(server, context.tls(extra))
        for context in (TestContext(FOUND), TestContext(FOUND, trust=other.pem)):
            with pytest.raises(ssl.SSLCertVerificationError):
                _shake_hands(server, context.tls())


def _shake_hands(server: SmtpServer, context: ssl.SSLContext) -> None:
    import socket

    with socket.create_connection((server.host, server.port), timeout=5) as line:
        context.wrap_socket(line, server_hostname="localhost").close()


def test_blocking_work_runs_in_another_thread() -> None:
    context = TestContext(FOUND)
    assert asyncio.run(context.in_thread(threading.get_ident)) != threading.get_ident()


def test_replies_are_explained_by_the_catalogue() -> None:
    reply = ServerReply("smtp", 535, "authentication failed", "5.7.8", step="sign-in", host="mail.example.it")
    assert TestContext(FOUND).explain(reply).code == "AUTH-FAILED"


def test_its_log_redacts_and_it_shows_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    context = TestContext(FOUND)
    with caplog.at_level("DEBUG"):
        context.log.debug("signing in with segretissima")
    assert "segretissima" not in caplog.text + repr(context)
    assert caplog.records[0].name == "recapito.transport.mine"
