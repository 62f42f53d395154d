"""No secret shows: in logs at DEBUG, reprs, and tracebacks with their locals, whatever fails."""

import asyncio
import logging
import pickle

import pytest

from recapito.errors import RecapitoError
from recapito.profile import Found
from recapito.secret import Secret
from recapito.smtp import Password, XOAuth2, open_session
from recapito.testing import ScriptServer, SmtpServer, TestContext
from recapito.testing.leaks import Leaks
from recapito.testing.script import close, drip, flood, polite, say, send, silence

pytestmark = pytest.mark.anyio

USER = "anna@example.it"

TROUBLE = {
    "refused": say("535 5.7.8 no"),
    "refused for now": say("454 4.7.0 later"),
    "closed": close,
    "silent": silence,
    "garbled": send(b"nonsense\r\n"),
    "a challenge": [say("334 "), close],
    "a flood": flood(b"x" * 1000),
    "a drip": drip(b"535-slow\r\n" * 50, every=0.05),
    "421": say("421 4.7.0 bye"),
}


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
async def test_no_trouble_at_sign_in_shows_the_password(desk, trouble: str, mechanism: str) -> None:
    desk = desk.patient(sign_in=0.15)
    leaks = Leaks()
    with (
        ScriptServer(polite(AUTH=TROUBLE[trouble], extensions=(f"AUTH {mechanism}",))) as server,
        leaks.listening(),
    ):
        try:
            async with desk.open(server, signs_in=True):
                pass
        except RecapitoError as exc:
            leaks.look_at_error("opening", exc)
            leaks.look_at("its problem", exc.problem)
        else:
            pytest.fail("it signed in")
        for step in await desk.check(server, "plain"):
            leaks.look_at("a step", step)
    assert leaks.found([("password", Secret(desk.password))]) == []


async def test_a_cancelled_sign_in_shows_no_password(desk) -> None:
    leaks = Leaks()
    with ScriptServer(polite(AUTH=silence)) as server, leaks.listening():

        async def opening() -> None:
            async with desk.open(server, signs_in=True):
                pass

        task = asyncio.ensure_future(opening())
        async with asyncio.timeout(5):
            while b"AUTH" not in server.heard:  # noqa: ASYNC110 - another thread's doing
                await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        leaks.look_at_error("cancelled", caught.value)
    assert leaks.found([("password", Secret(desk.password))]) == []


async def test_a_send_shows_no_password_and_the_dialogue_is_masked(desk, caplog) -> None:
    leaks = Leaks()
    with (
        SmtpServer(tls="ssl", authority=desk.authority, users={USER: desk.password}) as server,
        leaks.listening(),
    ):
        async with desk.open(server, "ssl", signs_in=True) as session:
            await desk.send(session)
            for thing in (session, session._channel, session.explainer):
                leaks.look_at("part", thing)
    shown = "\n".join(text for _, text in leaks.shown)
    assert "> AUTH PLAIN ***" in shown
    assert "> MAIL FROM:<anna@example.it>" in shown
    assert leaks.found([("password", Secret(desk.password))]) == []


def test_credentials_show_neither_in_repr_nor_in_a_pickle() -> None:
    for thing in (Password(USER, Secret("correct horse")), XOAuth2(USER, lambda refused: None)):
        assert "correct" not in repr(thing) + repr(vars(thing))
    with pytest.raises((TypeError, pickle.PicklingError)):
        pickle.dumps(Password(USER, Secret("correct horse")))


@pytest.mark.parametrize("password", [Secret("half\ud800 of a pair"), Secret("a new\nline in it")])
def test_a_password_that_cannot_be_said_is_refused_without_showing_it(password: Secret) -> None:
    leaks = Leaks()
    with pytest.raises(ValueError, match="control character") as caught:
        Password(USER, password)
    leaks.look_at_error("refusing", caught.value)
    assert not any("of a pair" in text or "line in it" in text for _, text in leaks.shown)


class Unredacted(TestContext):
    """A context whose log shows what it is given."""

    @property
    def log(self):
        return logging.LoggerAdapter(logging.getLogger("recapito.transport.unredacted"), {})


async def test_what_a_server_repeats_while_signing_in_is_not_logged_at_all(desk, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    found = Found(desk.profile)
    with ScriptServer(polite(AUTH=say(f"535 no: {desk.password}"))) as server, pytest.raises(RecapitoError):
        await open_session(desk.settings(server), desk.sign_in(), desk.profile, Unredacted(found))
    assert "< 535" in caplog.text
    assert desk.password not in caplog.text
