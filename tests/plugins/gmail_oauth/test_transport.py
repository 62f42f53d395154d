"""gmail_oauth: an app password sends; what is not built is refused, not pretended."""

import pytest

from recapito.errors import Held, Misconfigured
from recapito.profile import Found, Profile
from recapito.secret import Secrets
from recapito.settings import validate
from recapito.testing import SmtpServer, TestContext
from recapito_gmail_oauth.plugin import CLIENT, INFO
from recapito_gmail_oauth.settings import GmailSettings
from recapito_gmail_oauth.transport import Gmail

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def anna(**settings: object) -> Profile:
    return Profile.of("anna", sender="anna@gmail.com", transport="gmail_oauth", settings=settings)


@pytest.mark.parametrize("typed", ["abcd efgh ijkl mnop", "abcdefghijklmnop", " abcd\u00a0efgh  ijklmnop "])
def test_spaces_of_an_app_password_do_not_matter(typed: str) -> None:
    validated, wrong = validate(GmailSettings, {}, Secrets({"password": typed}))
    assert wrong == {}
    assert validated.secrets["password"].reveal() == "abcdefghijklmnop"


async def test_an_app_password_signs_in_as_the_account() -> None:
    users = {"anna@gmail.com": "abcdefghijklmnop", "office@gmail.com": "abcdefghijklmnop"}
    with SmtpServer(tls="ssl", users=users) as server:
        for profile in (anna(), anna(account="office@gmail.com")):
            mine = Found(profile, Secrets({"password": "abcd efgh ijkl mnop"}))
            session = await Gmail("localhost", server.port).open(profile, TestContext(mine, trust=server.pem))
            await session.close()
        assert server.logins == ["anna@gmail.com", "office@gmail.com"]


@pytest.mark.parametrize("sign_in", ["code", "service-account"])
async def test_other_sign_ins_are_refused_when_saved_and_when_sent(sign_in: str) -> None:
    secrets = Secrets({"password": "abcdefghijklmnop"})
    _, wrong = validate(GmailSettings, {"sign_in": sign_in}, secrets)
    assert "SIGN-IN-NOT-AVAILABLE" in wrong["sign_in"]
    profile = anna(sign_in=sign_in)
    context = TestContext(Found(profile, secrets))
    transport = INFO.factory()
    with pytest.raises(Held) as caught:
        await transport.open(profile, context)
    steps = [step async for step in transport.check(profile, context)]
    for problem in (caught.value.problem, steps[-1].problem):
        assert problem.code == "SIGN-IN-NOT-AVAILABLE"
        assert "app-password" in problem.explain("it").do


async def test_a_missing_password_is_named() -> None:
    with pytest.raises(Misconfigured) as caught:
        await INFO.factory().open(anna(), TestContext(Found(anna())))
    assert caught.value.fields == {"password": "is missing"}
    [step] = [step async for step in INFO.factory().check(anna(), TestContext(Found(anna())))]
    assert step.problem.code == "SETTINGS-INVALID"


def test_what_is_registered() -> None:
    assert INFO.host(anna()) == "smtp.gmail.com"
    assert INFO.mailbox(anna()) == "anna@gmail.com"
    assert INFO.mailbox(anna(account="Office@gmail.com")) == "office@gmail.com"
    assert CLIENT.name == "google"
    assert CLIENT.settings.model_fields.keys() == {"client_id", "client_secret"}
