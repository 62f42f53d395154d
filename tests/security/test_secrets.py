"""Planted secrets are looked for wherever something shows itself, while everything fails that can."""

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from recapito import Found, Mailer, Message, ProfileKey, RecapitoError, Secret, Secrets, Store
from recapito.operators import Changes, Operators
from recapito.plugins import Plugins
from recapito.testing import CertificateAuthority, SmtpServer
from recapito.testing.leaks import Leaks

PASSWORD = 'Perché: «no»? "3\\4" d\'Anna'
PLANTED = [("the password", Secret(PASSWORD))]
MESSAGE = Message(to=["cliente@example.com", "ufficio@example.com"], subject="Fattura", text="In allegato.")


@contextmanager
def refusing(server: SmtpServer, phase: str, reply: str) -> Iterator[None]:
    server.refuse(phase, reply)  # type: ignore[arg-type]
    try:
        yield
    finally:
        server.allow()


@contextmanager
def echoing(server: SmtpServer, phase: str) -> Iterator[None]:
    """The server repeats the password; whoever calls this holds no text with it."""
    with refusing(server, phase, f"535 5.7.8 who is anna@example.it with {PASSWORD}?"):
        yield


@contextmanager
def dropping(server: SmtpServer, phase: str) -> Iterator[None]:
    server.drop(phase, ending="reset")  # type: ignore[arg-type]
    try:
        yield
    finally:
        server.allow()


def failures(server: SmtpServer) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Everything that a server can do to a send, one after the other; each a context manager."""
    for phase in ("connect", "ehlo", "auth", "mail", "rcpt", "data", "content"):
        yield partial(refusing, server, phase, "451 4.3.0 not now")
        yield partial(refusing, server, phase, "554 5.0.0 no")
        yield partial(dropping, server, phase)
    yield partial(echoing, server, "auth")


def test_no_log_error_receipt_or_problem_shows_a_secret_whatever_fails(
    server: SmtpServer, stored: Callable[..., Store]
) -> None:
    store, leaks, outcomes = stored(), Leaks(), set()
    operators = Operators(store, Plugins.load())
    key = ProfileKey("", "anna")
    with leaks.listening():
        for failure in failures(server):
            with failure(), Mailer(store) as mailer:
                receipt = mailer.send("anna", MESSAGE, check=False, timeout=20)
                outcomes.add(receipt.outcome.value)
                leaks.look_at("a receipt", receipt)
                leaks.shown.append(("a pickled receipt", pickle.dumps(receipt).decode("latin-1")))
                try:
                    mailer.send("anna", MESSAGE, timeout=20)
                except RecapitoError as error:
                    leaks.look_at_error("an error", error)
                    leaks.shown.append(("its texts", str(error.problem.explain("it"))))
                    leaks.shown.append(("what is stored of it", repr(error.problem.to_dict())))
                for step in mailer.check("anna", send_to="cliente@example.com", timeout=20):
                    leaks.look_at("a step of the check", step)
                leaks.look_at("the mailer", mailer)
            operators.resume(key, by="admin")
        leaks.look_at("what is found", store.get(key))
        leaks.look_at("the audit", store.audit())
        leaks.look_at("the store", store)
    assert outcomes == {"accepted", "refused", "not_sent", "held", "unknown"} - {"accepted"}, (
        "each was forced"
    )
    assert leaks.shown
    assert leaks.found(PLANTED) == []


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "content"])
def test_a_server_that_repeats_the_password_after_the_sign_in_is_not_quoted(
    phase: str, server: SmtpServer, stored: Callable[..., Store]
) -> None:
    """A vendor's error often has in it what it was sent; receipts and problems go into tables and pages."""
    leaks = Leaks()
    with echoing(server, phase), Mailer(stored()) as mailer:
        receipt = mailer.send("anna", MESSAGE, check=False)
        leaks.look_at("a receipt", receipt)
        for step in mailer.check("anna", send_to="cliente@example.com"):
            leaks.look_at("a step of the check", step)
    assert receipt.problem
    assert "who is anna@example.it" in (receipt.problem.reply or "")
    assert leaks.found(PLANTED) == []


def test_the_search_itself_finds_a_planted_one(server: SmtpServer) -> None:
    leaks = Leaks()
    leaks.look_at_error("an error", ValueError(f"b'{PASSWORD}'"))
    assert leaks.found(PLANTED)


def test_certificate_troubles_show_no_secret(anna: Callable[..., Found], server: SmtpServer) -> None:
    leaks = Leaks()
    with leaks.listening():
        for found in (anna(ca=CertificateAuthority().pem), anna(host="localhost.invalid")):
            with Mailer({"anna": found}) as mailer, pytest.raises(RecapitoError) as caught:
                mailer.send("anna", MESSAGE, timeout=20)
            leaks.look_at_error("an error", caught.value)
    assert server.logins == []
    assert leaks.found(PLANTED) == []


#: Made here, so that no frame of a test holds the password itself.
WRONG = [
    Changes(secrets=Secrets({"password": PASSWORD + "\n"})),
    Changes(secrets=Secrets({"passwort": PASSWORD})),
    Changes(settings={"port": "no"}, secrets=Secrets({"password": PASSWORD, "token": PASSWORD})),
]


@pytest.mark.parametrize("changes", WRONG, ids=["a line end", "a wrong name", "a wrong port too"])
def test_wrong_settings_and_secrets_are_told_without_showing_them(
    changes: Changes, stored: Callable[..., Store]
) -> None:
    operators, leaks = Operators(stored(), Plugins.load()), Leaks()
    with leaks.listening(), pytest.raises(RecapitoError) as caught:
        operators.save(ProfileKey("", "anna"), changes, by="admin")
    leaks.look_at_error("an error", caught.value)
    assert leaks.found(PLANTED) == []


def test_no_file_of_the_store_or_the_home_holds_a_secret_in_clear(
    stored: Callable[..., Store], tmp_path: Path, server: SmtpServer
) -> None:
    with Mailer(stored()) as mailer:
        mailer.send("anna", MESSAGE)
    leaks = Leaks()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            leaks.shown.append((str(path), path.read_bytes().decode("latin-1")))
            leaks.shown.append((str(path), path.read_bytes().decode("utf-8", "replace")))
    assert len(leaks.shown) >= 4, "a database and a key file at least"
    assert leaks.found(PLANTED) == []


def test_neither_arguments_nor_environment_of_a_child_hold_a_secret(stored: Callable[..., Store]) -> None:
    with Mailer(stored()) as mailer:
        mailer.send("anna", MESSAGE)
        script = "import os, sys; print(os.environ, open(f'/proc/{os.getppid()}/cmdline', 'rb').read())"
        shown = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
        )
    leaks = Leaks()
    leaks.shown.append(("a child", shown.stdout))
    assert leaks.found(PLANTED) == []


def test_a_found_profile_is_not_pickled_to_another_process_with_its_secrets(
    anna: Callable[..., Found],
) -> None:
    """multiprocessing, Celery and caches pickle: that must fail, not carry a password away."""
    found = anna()
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(found)
