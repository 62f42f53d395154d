"""ms365_oauth cannot sign in yet, and says so wherever somebody tries."""

from datetime import date

import pytest

from recapito.errors import Held
from recapito.profile import Found, Profile
from recapito.testing import TestContext
from recapito.transport import Capabilities
from recapito_ms365_oauth.plugin import CLIENT, INFO
from recapito_ms365_oauth.transport import Ms365

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_opening_and_checking_say_what_is_missing() -> None:
    profile = Profile.of("anna", sender="anna@example.it", transport="ms365_oauth")
    context = TestContext(Found(profile))
    with pytest.raises(Held) as caught:
        await INFO.factory().open(profile, context)
    [step] = [step async for step in INFO.factory().check(profile, context, "b@example.com")]
    for problem in (caught.value.problem, step.problem):
        assert problem.code == "SIGN-IN-NOT-AVAILABLE"
        assert problem.pauses
        assert "Microsoft" in problem.explain("it").what


@pytest.mark.parametrize(
    ("sender", "day", "offered"),
    [
        ("anna@outlook.com", date(2026, 11, 1), False),
        ("anna@ditta.example", date(2026, 12, 31), True),
        ("anna@ditta.example", date(2027, 1, 1), False),
    ],
)
async def test_another_transport_is_offered_only_where_the_provider_takes_passwords(
    sender: str, day: date, offered: bool
) -> None:
    profile = Profile.of("anna", sender=sender, transport="ms365_oauth")
    with pytest.raises(Held) as caught:
        await Ms365(today=lambda: day).open(profile, TestContext(Found(profile)))
    for language in ("en", "it"):
        said = caught.value.problem.explain(language)
        assert ("smtp_basic" in said.do) is offered
        assert said.do
    assert ("non può ancora inviare" in caught.value.problem.explain("it").do) is not offered


def test_it_claims_nothing_that_it_cannot_do() -> None:
    assert Capabilities(own_envelope=False, streams=False) == INFO.capabilities
    assert INFO.settings.model_fields == {}
    assert CLIENT.name == "microsoft"
