"""No secret shows: in logs at DEBUG, reprs, and tracebacks with their locals, whatever fails."""

import asyncio
import base64
import logging
import pickle
from dataclasses import replace

import pytest

from recapito.errors import DeliveryError, RecapitoError
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


WORD = "hunter2-s3cret"
RESPONSE = base64.b64encode(f"\0{USER}\0{WORD}".encode()).decode()
ECHOES = {
    "clear": WORD,
    "response": RESPONSE,
    "inside": base64.b64encode(f"xy{WORD}z".encode()).decode(),
}

AT_SIGN_IN = {
    "refused": "535 5.7.8 no: {}",
    "for now": "454 4.7.0 later: {}",
    "another 2xx": "250 hello {}",
    "another 2xx of lines": "220-hello\n220 {}",
    "a challenge": "334 {}",
    "garbled": "what is AUTH PLAIN {}",
    "garbled and long": "x" * 50 + " {}",
}
LATER = {
    "MAIL": "550 5.7.1 not for {}",
    "MAIL strange": "354 {}",
    "MAIL garbled": "not for {}",
    "MAIL too long": "550 " + "x" * 1900 + " {}",
    "RCPT": "550 5.1.1 not for {}",
    "RCPT closing": "421 4.7.0 not for {}",
    "DATA": "451 4.3.0 not for {}",
    "DATA strange": "250 {}",
    "content": "250 2.0.0 Ok: queued as {}",
    "content refused": "554 5.7.1 spam {}",
    "content strange": "220 {}",
    "content garbled": "oh {}",
}


@pytest.mark.parametrize("form", ECHOES)
@pytest.mark.parametrize("trouble", AT_SIGN_IN)
async def test_no_server_that_repeats_the_password_at_sign_in_puts_it_into_a_problem(
    desk, trouble: str, form: str
) -> None:
    desk = replace(desk.patient(sign_in=0.3), password=WORD)
    leaks = Leaks()
    script = say(AT_SIGN_IN[trouble].format(ECHOES[form]))
    with ScriptServer(polite(AUTH=script, extensions=("AUTH PLAIN",))) as server, leaks.listening():
        error = await desk.refusal(server, "plain")
        leaks.look_at_error("opening", error)
        leaks.look_at("its problem", error.problem)
        for step in await desk.check(server, "plain"):
            leaks.look_at("a step", step)
    assert leaks.found([("password", Secret(WORD)), ("response", Secret(RESPONSE))]) == []


@pytest.mark.parametrize("form", ECHOES)
@pytest.mark.parametrize("trouble", LATER)
async def test_no_server_that_repeats_the_password_later_puts_it_into_a_receipt(
    desk, trouble: str, form: str
) -> None:
    desk = replace(desk.patient(command=0.5), password=WORD)
    leaks = Leaks()
    answers = {trouble.partition(" ")[0]: say(LATER[trouble].format(ECHOES[form]))}
    with ScriptServer(polite(extensions=("AUTH PLAIN",), **answers)) as server, leaks.listening():
        async with desk.open(server, signs_in=True) as session:
            try:
                receipt = await desk.send(session, ("a@x.it", "b@x.it"))
            except DeliveryError as exc:
                leaks.look_at_error("sending", exc)
                leaks.look_at("its problem", exc.problem)
                leaks.look_at("its problem", exc.problem.explain("en"))
                receipt = exc.receipt
            leaks.look_at("the receipt", receipt)
        for step in await desk.check(server, "plain", "c@x.it"):
            leaks.look_at("a step", step)
    assert leaks.found([("password", Secret(WORD)), ("response", Secret(RESPONSE))]) == []
    assert "***" in repr(receipt) or trouble == "content garbled"


@pytest.mark.parametrize("said", ["535 5.7.8 no: {}", "220 no: {}"])
async def test_no_server_that_repeats_a_token_puts_it_into_a_problem(desk, said: str) -> None:
    context = TestContext(Found(desk.profile), tokens=[WORD, "another-token"])
    with (
        ScriptServer(polite(AUTH=say(said.format(WORD)), extensions=("AUTH XOAUTH2",))) as server,
        pytest.raises(RecapitoError) as caught,
    ):
        await open_session(
            desk.settings(server),
            XOAuth2(USER, lambda refused: context.token("smtp", refused=refused)),
            desk.profile,
            context,
        )
    assert WORD not in repr(caught.value.problem)


async def test_a_token_is_masked_in_what_comes_after_sign_in_too(desk) -> None:
    context = TestContext(Found(desk.profile), tokens=[WORD])
    with ScriptServer(polite(MAIL=f"550 {WORD}", extensions=("AUTH XOAUTH2",))) as server:
        session = await open_session(
            desk.settings(server),
            XOAuth2(USER, lambda refused: context.token("smtp", refused=refused)),
            desk.profile,
            context,
        )
        error = await desk.error(session)
        await session.close()
    assert error.receipt.recipients[0].reply == "550 **********"


@pytest.mark.parametrize(
    ("password", "shown"), [("credentials", "user **********"), ("us", "user credentials")]
)
async def test_a_password_that_is_a_common_word_changes_what_is_shown_and_not_the_problem(
    desk, password: str, shown: str
) -> None:
    desk = replace(desk, password=password)
    with ScriptServer(polite(AUTH="535 5.7.139 user credentials")) as server:
        problem = (await desk.refusal(server, "plain")).problem
    assert problem.code == "M365-CREDENTIALS"
    assert problem.reply == f"535 5.7.139 {shown}"


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
