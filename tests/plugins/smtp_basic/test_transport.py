"""How smtp_basic uses the toolkit: whose password goes where, and where it never goes."""

import asyncio
import os
import subprocess
import sys
from datetime import date

import pytest

from recapito.catalogue import Catalogue, Provider, Way
from recapito.envelope import Envelope
from recapito.errors import Held, Misconfigured
from recapito.profile import Found, Profile
from recapito.secret import Secrets
from recapito.smtp import Patience
from recapito.testing import SmtpServer, Specimen, TestContext
from recapito_smtp_basic.transport import SmtpBasic

USER = "anna@example.it"
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def found(server: SmtpServer, **settings: object) -> Found:
    given = {"host": "localhost", "port": server.port, "security": server.tls, "ca": server.pem} | settings
    profile = Profile.of("anna", sender=USER, transport="smtp_basic", settings=given)
    return Found(profile, Secrets({"password": "correct horse"}))


async def send(transport: SmtpBasic, mine: Found) -> None:
    session = await transport.open(mine.profile, TestContext(mine))
    content = Specimen.of(USER, ["b@example.com"])
    deadline = asyncio.get_running_loop().time() + 5
    assert (await session.deliver(Envelope(USER, ("b@example.com",)), content, deadline=deadline)).accepted
    await session.close()


async def test_the_user_is_the_address_unless_another_is_named() -> None:
    with SmtpServer(tls="ssl", users={USER: "correct horse", "anna": "correct horse"}) as server:
        await send(SmtpBasic(), found(server))
        await send(SmtpBasic(), found(server, username="anna"))
        assert server.logins == [USER, "anna"]


async def test_the_profiles_ca_is_trusted_and_no_other() -> None:
    with SmtpServer(tls="starttls", users={USER: "correct horse"}) as server:
        await send(SmtpBasic(), found(server))
        mine = found(server, ca=None)
        mine = Found(
            mine.profile.with_(settings={k: v for k, v in mine.profile.settings.items() if k != "ca"}),
            mine.secrets,
        )
        with pytest.raises(Held) as caught:
            await SmtpBasic().open(mine.profile, TestContext(mine))
        assert caught.value.problem.code == "TLS-UNTRUSTED"


async def test_notices_and_own_name_of_the_profile_are_used() -> None:
    extensions = ("DSN", "8BITMIME")
    with SmtpServer(tls="ssl", users={USER: "correct horse"}, extensions=extensions) as server:
        await send(SmtpBasic(), found(server, notify=["failure"], helo="erp.example.it"))
        assert "NOTIFY=FAILURE" in server.messages[0].rcpt_options[0]
        assert [command.argument for command in server.commands if command.verb == "EHLO"] == [
            "erp.example.it"
        ]


async def test_settings_that_do_not_fit_are_refused_before_the_wire() -> None:
    with SmtpServer(tls="ssl", users={USER: "correct horse"}) as server:
        for settings in ({"host": "a\r\nb"}, {"helo": "a\nb"}, {"username": "a\0b"}, {"port": 0}):
            mine = found(server, **settings)
            with pytest.raises(Misconfigured) as caught:
                await SmtpBasic().open(mine.profile, TestContext(mine))
            assert caught.value.fields.keys() == settings.keys()
        mine = Found(found(server).profile, Secrets({"password": "a\r\nb"}))
        with pytest.raises(Misconfigured) as caught:
            await SmtpBasic().open(mine.profile, TestContext(mine))
        assert caught.value.fields.keys() == {"password"}
        assert server.connections == 0


async def test_a_host_that_takes_no_passwords_is_explained_and_gets_none() -> None:
    ways = (Way("their_oauth", credential="token"), Way("smtp_basic"))
    ended = Provider(
        "theirs", "Their Mail", hosts=("localhost",), ways=ways, passwords_until=date(2024, 9, 16)
    )
    transport = SmtpBasic(catalogue=Catalogue().with_(providers=[ended]))
    with SmtpServer(tls="ssl", users={USER: "correct horse"}) as server:
        mine = found(server)
        with pytest.raises(Held) as caught:
            await transport.open(mine.profile, TestContext(mine))
        steps = [step async for step in transport.check(mine.profile, TestContext(mine))]
        for problem in (caught.value.problem, steps[-1].problem):
            assert problem.code == "PROVIDER-OTHER-WAY"
            assert "their_oauth" in problem.explain("it").do
            assert "smtp_basic" not in problem.explain("it").do
        assert server.connections == 0


@pytest.mark.parametrize("host", ["smtp-mail.outlook.com"])
async def test_outlook_com_takes_no_passwords(host: str) -> None:
    profile = Profile.of(
        "anna", sender="anna@outlook.com", transport="smtp_basic", settings={"host": host, "port": 587}
    )
    with pytest.raises(Held) as caught:
        await SmtpBasic().open(profile, TestContext(Found(profile, Secrets({"password": "x"}))))
    assert "ms365_oauth" in str(caught.value)


async def test_a_transport_keeps_nothing_of_a_profile() -> None:
    transport = SmtpBasic(patience=Patience(probe=1))
    with SmtpServer(tls="ssl", users={USER: "correct horse"}) as server:
        before = repr(vars(transport))
        await send(transport, found(server))
        assert repr(vars(transport)) == before


def test_registering_loads_no_network_library() -> None:
    code = (
        "import sys, recapito_smtp_basic.plugin\n"
        "print({'aiosmtplib', 'asyncio', 'recapito.smtp'} & sys.modules.keys())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert run.stdout == "set()\n"
