"""The generic sign-ins at Authlib's authorisation server: each flow from the first address to the last token."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from authlib_server import Authority, Registered, authority
from web_server import Registration

from recapito.errors import DeliveryError, Held
from recapito.oauth import (
    AppSignIn,
    CodeSignIn,
    DeviceSignIn,
    Endpoints,
    Http,
    new_state,
    new_verifier,
    refuse_other_issuer,
)
from recapito.secret import Secret, Secrets
from recapito.signin import Attempt, Grant, SignIn, Step, Token
from recapito.testing import CertificateAuthority

pytestmark = pytest.mark.anyio

HERE = "http://127.0.0.1:8000/"
SEND = frozenset({"mail.send"})
SECRET = "s3cret:of/the app & co+1%"


@dataclass
class There:
    """Authlib's server, and a registration at it."""

    server: Authority
    registration: Registration
    tls: ssl.SSLContext

    @property
    def endpoints(self) -> Endpoints:
        url = self.server.url
        return Endpoints(f"{url}/authorize", f"{url}/token", f"{url}/revoke", f"{url}/device", url)

    async def consented(self, url: str) -> dict[str, str]:
        """What a browser brings back."""
        async with Http(self.tls) as http:
            answer = await http.request("GET", url, deadline_in=10)
        assert answer.status == 302, answer.text
        assert answer.headers["location"].startswith(HERE)
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))

    async def accepts(self, token: Token) -> bool:
        async with Http(self.tls) as http:
            bearer = Secret(f"Bearer {token.value.reveal()}")
            answer = await http.request(
                "POST", f"{self.server.url}/send", headers={"Authorization": bearer}, deadline_in=10
            )
        return answer.status == 200

    async def signed_in(self, sign_in: SignIn, **change: Any) -> Grant:
        attempt = Attempt(redirect_uri=HERE, hint="", state=new_state(), verifier=new_verifier())
        step = await sign_in.begin(self.registration, attempt)
        query = await self.consented(step.url)
        assert query["state"] == attempt.state
        verifier = change.pop("verifier", attempt.verifier)
        finished = Attempt(
            redirect_uri=HERE, hint="", state=attempt.state, verifier=verifier, private=step.private
        )
        grant = await sign_in.finish(self.registration, finished, query | change)
        assert isinstance(grant, Grant)
        return grant


@pytest.fixture(scope="module", params=["basic", "post", "public"])
def running(request: pytest.FixtureRequest, authority_of_tests: CertificateAuthority) -> Iterator[Any]:
    client = Registered("recapito app", "" if request.param == "public" else SECRET, HERE)
    with authority(authority_of_tests.server_context(), client) as server:
        yield request.param, server


@pytest.fixture(scope="module")
def authority_of_tests() -> CertificateAuthority:
    return CertificateAuthority()


@pytest.fixture
def there(running: Any, authority_of_tests: CertificateAuthority) -> There:
    way, server = running
    server.person, server.hurry = "anna@example.it", False
    secrets = {} if way == "public" else {"client_secret": SECRET}
    given = Registration(authority_of_tests.pem, {"client_id": "recapito app"}, secrets)
    return There(server, given, authority_of_tests.client_context())


@pytest.fixture
def auth(running: Any) -> Any:
    return "post" if running[0] == "post" else "basic"


def by_code(there: There, auth: Any) -> CodeSignIn:
    also = frozenset({"openid", "email", "offline_access"})
    return CodeSignIn("acme", SEND, there.endpoints, also=also, auth=auth)


async def test_a_code_with_pkce_leaves_a_grant_and_who_gave_it(there: There, auth: Any) -> None:
    grant = await there.signed_in(by_code(there, auth))
    assert grant.account == "anna@example.it"
    assert grant.scopes == {"mail.send", "openid", "email", "offline_access"}


async def test_a_refresh_rotates_the_grant_and_the_old_one_is_dead(there: There, auth: Any) -> None:
    sign_in = by_code(there, auth)
    first = await there.signed_in(sign_in)
    for _ in range(3):
        refreshed = await sign_in.refresh(there.registration, first, sign_in.resource)
        assert await there.accepts(refreshed.token)
        assert refreshed.grant is not None
        assert refreshed.grant.secret != first.secret
        assert refreshed.grant.account == first.account
        with pytest.raises(Held) as error:
            await sign_in.refresh(there.registration, first, sign_in.resource)
        assert error.value.problem.code == "OAUTH-REVOKED"
        first = refreshed.grant


async def test_a_grant_that_was_given_back_is_dead(there: There, auth: Any) -> None:
    sign_in = by_code(there, auth)
    grant = await there.signed_in(sign_in)
    await sign_in.revoke(there.registration, grant)
    with pytest.raises(Held):
        await sign_in.refresh(there.registration, grant, sign_in.resource)
    await sign_in.revoke(there.registration, grant)  # and giving it back again is no failure


async def test_another_verifier_redeems_nothing(there: There, auth: Any) -> None:
    with pytest.raises(DeliveryError) as error:
        await there.signed_in(by_code(there, auth), verifier=new_verifier())
    assert error.value.problem.outcome.value == "held"


async def test_a_code_is_good_once(there: There, auth: Any) -> None:
    sign_in = by_code(there, auth)
    attempt = Attempt(redirect_uri=HERE, hint="", state=new_state(), verifier=new_verifier())
    step = await sign_in.begin(there.registration, attempt)
    query = await there.consented(step.url)
    again = Attempt(
        redirect_uri=HERE, hint="", state=attempt.state, verifier=attempt.verifier, private=step.private
    )
    await sign_in.finish(there.registration, again, query)
    with pytest.raises(Held):
        await sign_in.finish(there.registration, again, query)


async def test_the_issuer_in_the_redirect_is_the_servers(there: There, auth: Any) -> None:
    sign_in = by_code(there, auth)
    attempt = Attempt(redirect_uri=HERE, hint="", state=new_state(), verifier=new_verifier())
    query = await there.consented((await sign_in.begin(there.registration, attempt)).url)
    refuse_other_issuer(query, there.server.url, required=True)
    with pytest.raises(Held) as error:
        await sign_in.finish(there.registration, attempt, query | {"iss": "https://login.evil.example"})
    assert error.value.problem.code == "SIGN-IN-ISSUER"


async def test_a_person_who_refuses_is_told_as_that(there: There, auth: Any) -> None:
    there.server.person = None
    with pytest.raises(Held) as error:
        await there.signed_in(by_code(there, auth))
    assert error.value.problem.code == "OAUTH-POLICY"


async def test_a_device_waits_slows_down_and_is_let_in(there: There, auth: Any) -> None:
    also = frozenset({"offline_access"})
    sign_in = DeviceSignIn("acme", SEND, there.endpoints, also=also, auth=auth)
    step = await sign_in.begin(there.registration, _attempt(Secrets()))
    assert step.url == f"{there.server.url}/typed?user_code={step.user_code}"
    waiting = await sign_in.finish(there.registration, _attempt(step.private), {})
    assert isinstance(waiting, Step)
    there.server.hurry = True
    slower = await sign_in.finish(there.registration, _attempt(waiting.private), {})
    assert isinstance(slower, Step)
    assert (waiting.interval, slower.interval) == (5, 10)
    there.server.typed[step.user_code] = ("anna@example.it", True)
    grant = await sign_in.finish(there.registration, _attempt(slower.private), {})
    assert isinstance(grant, Grant)
    assert grant.scopes == {"mail.send", "offline_access"}
    refreshed = await sign_in.refresh(there.registration, grant, sign_in.resource)
    assert await there.accepts(refreshed.token)


async def test_a_device_that_is_refused_is_told_as_that(there: There, auth: Any) -> None:
    sign_in = DeviceSignIn("acme", SEND, there.endpoints, auth=auth)
    step = await sign_in.begin(there.registration, _attempt(Secrets()))
    there.server.typed[step.user_code] = ("anna@example.it", False)
    with pytest.raises(Held) as error:
        await sign_in.finish(there.registration, _attempt(step.private), {})
    assert error.value.problem.code == "OAUTH-POLICY"


async def test_an_application_gets_tokens_of_its_own(there: There, auth: Any) -> None:
    sign_in = AppSignIn("acme", SEND, there.endpoints, auth=auth)
    grant = await sign_in.finish(there.registration, _attempt(Secrets()), {})
    first = await sign_in.refresh(there.registration, grant, sign_in.resource)
    second = await sign_in.refresh(there.registration, grant, sign_in.resource)
    assert await there.accepts(first.token)
    assert await there.accepts(second.token)
    assert (first.token.value != second.token.value, first.grant) == (True, None)


async def test_a_wrong_secret_is_the_administrators(there: There, auth: Any) -> None:
    there.registration.client = type(there.registration.client)(
        there.registration.info,
        settings=there.registration.client.settings,
        secrets=Secrets({"client_secret": "of another time"}),
    )
    sign_in = AppSignIn("acme", SEND, there.endpoints, auth=auth)
    grant = await sign_in.finish(there.registration, _attempt(Secrets()), {})
    with pytest.raises(Held) as error:
        await sign_in.refresh(there.registration, grant, sign_in.resource)
    assert error.value.problem.code == "OAUTH-APP-SECRET"
    assert error.value.problem.params["client"] == "acme"


def _attempt(private: Secrets) -> Attempt:
    return Attempt(redirect_uri="", hint="", state="s", verifier=new_verifier(), private=private)
