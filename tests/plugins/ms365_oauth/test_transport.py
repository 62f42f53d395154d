"""ms365_oauth cannot sign in yet, and says so wherever somebody tries."""

import pytest

from recapito.errors import Held
from recapito.profile import Found, Profile
from recapito.testing import TestContext
from recapito.transport import Capabilities
from recapito_ms365_oauth.plugin import CLIENT, INFO

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


def test_it_claims_nothing_that_it_cannot_do() -> None:
    assert Capabilities(own_envelope=False, streams=False) == INFO.capabilities
    assert INFO.settings.model_fields == {}
    assert CLIENT.name == "microsoft"
