"""One mechanism, one try, and the exact words of the server."""

import base64

import pytest

from recapito.errors import Held
from recapito.profile import Found
from recapito.secret import Secret
from recapito.smtp import Password, XOAuth2, open_session
from recapito.testing import ScriptServer, SmtpServer, TestContext
from recapito.testing.script import hear, polite, say, silence

pytestmark = pytest.mark.anyio

USER = "anna@example.it"


def encoded(text: str) -> bytes:
    return base64.b64encode(text.encode())


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["PLAIN", "LOGIN", "CRAM-MD5"], "PLAIN"),
        (["CRAM-MD5", "LOGIN"], "LOGIN"),
        (["CRAM-MD5"], "CRAM-MD5"),
        (["XOAUTH2", "LOGIN"], "LOGIN"),
    ],
)
async def test_the_first_that_both_have_is_chosen(desk, offered: list[str], chosen: str) -> None:
    with SmtpServer(
        tls="ssl", authority=desk.authority, users={USER: desk.password}, mechanisms=offered
    ) as server:
        async with desk.open(server, "ssl", signs_in=True) as session:
            assert (await desk.send(session)).accepted
        assert server.logins == [USER]
        assert [command.argument for command in server.commands if command.verb == "AUTH"] == [chosen]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
async def test_a_wrong_password_is_tried_once(desk, mechanism: str) -> None:
    users = {USER: "another"}
    with SmtpServer(
        tls="ssl", authority=desk.authority, users=users, mechanisms=[mechanism, "X-OTHER"]
    ) as server:
        error = await desk.refusal(server, "ssl")
        assert isinstance(error, Held)
        assert error.problem.code == "AUTH-FAILED"
        assert error.problem.step == "sign-in"
        assert server.login_failures == 1
        assert server.connections == 1


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize(
    "password",
    [
        "with space",
        " spaces around ",
        "co:lon",
        "quo\"te's",
        "back\\slash",
        "perché",
        "пароль",
        "密码🔑",
        "x" * 1000,
    ],
)
async def test_passwords_of_all_kinds_pass(desk, mechanism: str, password: str) -> None:
    desk.password = password
    with SmtpServer(
        tls="ssl", authority=desk.authority, users={USER: password}, mechanisms=[mechanism]
    ) as server:
        async with desk.open(server, "ssl", signs_in=True):
            assert server.logins == [USER]


@pytest.mark.parametrize("flaw", ["\r\n", "\0", "\x01", "\x7f", "\t", "\x85", "\u2028", "\ud800"])
def test_control_characters_in_credentials_are_refused_before_the_wire(flaw: str) -> None:
    with pytest.raises(ValueError, match="password"):
        Password(USER, Secret(f"a{flaw}b"))
    with pytest.raises(ValueError, match="user name"):
        Password(f"a{flaw}b", Secret("secret"))
    with pytest.raises(ValueError, match="user name"):
        XOAuth2(f"a{flaw}b", TestContext.token)


async def test_no_auth_at_all_is_told(desk) -> None:
    with ScriptServer(polite(extensions=("SIZE 1",))) as server:
        assert (await desk.refusal(server, "plain")).problem.code == "AUTH-NOTOFFERED"


async def test_no_mechanism_in_common_is_told_with_what_is_offered(desk) -> None:
    with ScriptServer(polite(extensions=("AUTH GSSAPI NTLM",))) as server:
        error = await desk.refusal(server, "plain")
        assert error.problem.code == "AUTH-MECHANISM"
        assert error.problem.params["offered"] == "GSSAPI, NTLM"
        assert b"AUTH" not in server.heard


async def test_the_old_spelling_of_auth_counts(desk) -> None:
    with ScriptServer(polite(extensions=("AUTH=LOGIN",))) as server:
        async with desk.open(server, "plain", signs_in=True) as session:
            assert session.usable
        assert b"AUTH LOGIN\r\n" in server.heard


async def test_a_server_that_ignores_the_initial_response_gets_it_again(desk) -> None:
    response = encoded(f"\0{USER}\0{desk.password}")
    with ScriptServer(
        polite(AUTH=["334 ", hear(response.decode()), "235 2.7.0 Accepted"], extensions=("AUTH PLAIN",))
    ) as server:
        async with desk.open(server, "plain", signs_in=True) as session:
            assert session.usable
        assert server.faults == []


@pytest.mark.parametrize(
    "reply", ["250 Ok", "334 go on", "354 data", "220 hello", "235-a\n235-b"], ids=lambda text: text[:3]
)
async def test_only_235_signs_in(desk, reply: str) -> None:
    desk = desk.patient(sign_in=0.3)
    with ScriptServer(polite(AUTH=[reply, "334 more", silence], extensions=("AUTH PLAIN",))) as server:
        error = await desk.refusal(server, "plain")
        assert error.problem.step == "sign-in"


async def test_421_at_sign_in_is_not_sent(desk) -> None:
    with ScriptServer(polite(AUTH="421 4.7.0 Try again later, closing connection")) as server:
        error = await desk.refusal(server, "plain")
        assert error.problem.code == "SLOW-DOWN"


async def test_a_password_that_the_server_repeats_is_not_kept(desk) -> None:
    response = encoded(f"\0{USER}\0{desk.password}").decode()
    said = f"535 5.7.8 refused: {desk.password} {response}"
    with ScriptServer(polite(AUTH=say(said), extensions=("AUTH PLAIN",))) as server:
        problem = (await desk.refusal(server, "plain")).problem
    assert problem.reply == "535 5.7.8 refused: ********** **********=="


async def test_a_malformed_challenge_is_cancelled(desk) -> None:
    with ScriptServer(
        polite(AUTH=["334 !!!", hear("*"), "501 5.7.0 cancelled"], extensions=("AUTH CRAM-MD5",))
    ) as server:
        error = await desk.refusal(server, "plain")
        assert error.problem.reply == "501 5.7.0 cancelled"
        assert server.faults == []


def _found(desk):
    return Found(desk.profile)


async def test_a_token_signs_in_and_tells_until_when(desk) -> None:
    context = TestContext(_found(desk), trust=desk.authority.pem, tokens=["good-token"])
    with SmtpServer(tls="ssl", authority=desk.authority, tokens={USER: "good-token"}) as server:
        session = await open_session(
            desk.settings(server, "ssl"),
            XOAuth2(USER, lambda refused: context.token("smtp", refused=refused)),
            desk.profile,
            context,
        )
        assert session.usable_until is not None
        await session.close()
        assert server.logins == [USER]


async def test_a_refused_token_is_renewed_once_then_held_with_the_servers_json(desk) -> None:
    context = TestContext(_found(desk), tokens=["old", "older", "oldest"])
    challenge = base64.b64encode(
        b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}'
    ).decode()
    refusal = [say(f"334 {challenge}"), hear(""), "535 5.7.8 Username and Password not accepted"]
    with ScriptServer(polite(AUTH=refusal, extensions=("AUTH XOAUTH2",))) as server:
        with pytest.raises(Held) as caught:
            await open_session(
                desk.settings(server, "plain"),
                XOAuth2(USER, lambda refused: context.token("smtp", refused=refused)),
                desk.profile,
                context,
            )
        assert '"scope":"https://mail.google.com/"' in caught.value.problem.reply
        assert server.heard.count(b"AUTH XOAUTH2 ") == 2
        assert b"\r\n\r\n" in server.heard, "an empty line answers the challenge"
        assert server.faults == []


async def test_a_token_renewed_after_a_refusal_signs_in(desk) -> None:
    context = TestContext(_found(desk), trust=desk.authority.pem, tokens=["old", "new"])
    with SmtpServer(tls="ssl", authority=desk.authority, tokens={USER: "new"}) as server:
        session = await open_session(
            desk.settings(server, "ssl"),
            XOAuth2(USER, lambda refused: context.token("smtp", refused=refused)),
            desk.profile,
            context,
        )
        assert session.usable
        await session.close()
        assert server.login_failures == 1
