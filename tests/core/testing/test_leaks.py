"""The search for secrets finds them in every place and encoding that a mistake could choose, and nothing else."""

import base64
import logging
import quopri
import threading
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from recapito.secret import Secret
from recapito.testing.leaks import Leaks
from recapito.testing.serving import THREAD_PREFIX

SECRET = Secret('Perché: «no»? "3\\4" d\'Anna')
NEEDLES = [("password", SECRET)]

ENCODINGS: dict[str, Callable[[], object]] = {
    "plain": SECRET.reveal,
    "bytes": lambda: SECRET.reveal().encode(),
    "percent": lambda: quote(SECRET.reveal()),
    "form": lambda: quote_plus(SECRET.reveal()),
    "quoted-printable": lambda: quopri.encodestring(SECRET.reveal().encode()),
    "hexadecimal": lambda: SECRET.reveal().encode().hex(),
    "AUTH PLAIN": lambda: base64.b64encode(b"\0anna\0" + SECRET.reveal().encode()),
    "AUTH PLAIN, longer name": lambda: base64.b64encode(
        b"\0anna.verdi@example.it\0" + SECRET.reveal().encode()
    ),
    "AUTH PLAIN, yet longer": lambda: base64.b64encode(
        b"\0anna.verdi3@example.it\0" + SECRET.reveal().encode()
    ),
    "AUTH LOGIN": lambda: base64.b64encode(SECRET.reveal().encode()),
    "url-safe base64": lambda: base64.urlsafe_b64encode(SECRET.reveal().encode()),
    "in a list": lambda: [{"password": SECRET.reveal()}],
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_logged_secret_is_found(encoding: str) -> None:
    leaks = Leaks()
    with leaks.listening():
        logging.getLogger("some.library").debug("sent %s", ENCODINGS[encoding]())
    assert leaks.found(NEEDLES)


def test_a_silenced_logger_is_heard_too_and_left_as_it_was() -> None:
    logger = logging.getLogger("some.silent.library")
    logger.setLevel(logging.CRITICAL)
    logger.propagate = False
    logger.disabled = True
    leaks = Leaks()
    with leaks.listening():
        logger.debug("password %s", SECRET.reveal())
    assert leaks.found(NEEDLES)
    assert (logger.level, logger.propagate, logger.disabled) == (logging.CRITICAL, False, True)


def test_what_the_far_side_logs_is_not_heard() -> None:
    leaks = Leaks()
    with leaks.listening():
        thread = threading.Thread(
            target=lambda: logging.getLogger("far").error("%s", SECRET.reveal()), name=THREAD_PREFIX + "x"
        )
        thread.start()
        thread.join()
    assert not leaks.found(NEEDLES)


def test_a_local_of_a_frame_is_found_through_causes() -> None:
    def library(password: str) -> None:
        raise ValueError("no")

    def wrapper() -> None:
        try:
            library(SECRET.reveal())
        except ValueError as exc:
            raise RuntimeError("failed") from exc

    leaks = Leaks()
    try:
        wrapper()
    except RuntimeError as exc:
        leaks.look_at_error("a failure", exc)
    assert "traceback of a failure" in leaks.found(NEEDLES)[0]


def test_an_error_without_its_traceback_shows_nothing() -> None:
    def library(password: str) -> None:
        raise ValueError("no")

    leaks = Leaks()
    try:
        try:
            library(SECRET.reveal())
        except ValueError as exc:
            raise RuntimeError("failed") from exc.with_traceback(None)
    except RuntimeError as exc:
        leaks.look_at_error("a failure", exc)
    assert not leaks.found(NEEDLES)


def test_an_attribute_is_found() -> None:
    class Session:
        def __init__(self) -> None:
            self.password = SECRET.reveal()

    leaks = Leaks()
    leaks.look_at("session", Session())
    assert leaks.found(NEEDLES)[0].endswith("in session.password")


def test_a_secret_that_is_kept_as_one_is_not_found() -> None:
    class Session:
        def __init__(self) -> None:
            self.password = SECRET

    leaks = Leaks()
    leaks.look_at("session", Session())
    leaks.look_at("a problem", {"user": "anna@example.it", "host": "mail.example.it"})
    assert not leaks.found(NEEDLES)
