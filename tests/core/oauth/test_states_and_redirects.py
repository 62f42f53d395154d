"""What goes to the vendor with a browser, and what comes back with it."""

import re
from collections.abc import Callable

import pytest
from web_server import Registration

from recapito.errors import DeliveryError, Held, NotSent
from recapito.oauth import challenge, new_state, new_verifier, refuse_error, refuse_other_issuer
from recapito.secret import Secret

ISSUER = "https://login.example.com"


def test_a_challenge_is_that_of_the_standards_example() -> None:
    # RFC 7636, appendix B.
    verifier = Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_states_and_verifiers_have_256_bits_and_need_no_escaping() -> None:
    states = {new_state() for _ in range(1000)}
    verifiers = {new_verifier() for _ in range(1000)}
    assert (len(states), len(verifiers)) == (1000, 1000)
    for text in [*states, *(each.reveal() for each in verifiers)]:
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", text)


def test_the_issuer_that_was_asked_may_answer() -> None:
    refuse_other_issuer({"iss": ISSUER, "code": "c"}, ISSUER)
    refuse_other_issuer({"iss": ISSUER}, ISSUER, required=True)
    refuse_other_issuer({"code": "c"}, ISSUER)


@pytest.mark.parametrize(
    "issuer",
    ["https://login.evil.example", ISSUER + "/", ISSUER.upper(), "http://login.example.com", "x" * 9999],
)
def test_another_issuer_is_refused(issuer: str) -> None:
    with pytest.raises(Held) as error:
        refuse_other_issuer({"iss": issuer, "code": "c"}, ISSUER)
    assert error.value.problem.code == "SIGN-IN-ISSUER"
    assert error.value.problem.params["issuer"] == issuer[:200]
    assert not error.value.problem.pauses


@pytest.mark.parametrize("query", [{}, {"iss": ""}, {"code": "c"}])
def test_an_issuer_that_must_be_named_is_missed(query: dict[str, str]) -> None:
    with pytest.raises(Held) as error:
        refuse_other_issuer(query, ISSUER, required=True)
    assert error.value.problem.code == "SIGN-IN-ISSUER"
    assert "issuer" not in error.value.problem.params


def test_a_redirect_without_an_error_passes(registration: Callable[..., Registration]) -> None:
    refuse_error({"code": "c", "error": ""}, registration(), "login.example.com", "acme")


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ("access_denied", Held, "OAUTH-POLICY"),
        ("unauthorized_client", Held, "OAUTH-APP-WRONG"),
        ("invalid_scope", Held, "OAUTH-APP-WRONG"),
        ("server_error", NotSent, "OAUTH-TEMPORARY"),
        ("temporarily_unavailable", NotSent, "OAUTH-TEMPORARY"),
        ("never_heard_of", Held, "OAUTH-REFUSED"),
    ],
)
def test_an_error_in_a_redirect_is_explained(
    error: str, kind: type[DeliveryError], code: str, registration: Callable[..., Registration]
) -> None:
    query = {"error": error, "error_description": "In its own words.", "code": "c"}
    with pytest.raises(kind) as found:
        refuse_error(query, registration(), "login.example.com", "acme")
    problem = found.value.problem
    assert (problem.code, problem.reply, problem.params["client"]) == (code, "In its own words.", "acme")


def test_what_a_redirect_says_is_short_plain_text_without_secrets(
    registration: Callable[..., Registration],
) -> None:
    query = {"error": "x" * 5000, "error_description": "\x1b[31m<b>s3cret of the app\x00" + "y" * 100_000}
    with pytest.raises(Held) as error:
        refuse_error(query, registration(), "login.example.com", "acme")
    reply = error.value.problem.reply or ""
    assert reply.startswith("<b>**********y")
    assert len(reply) <= 2001
    assert len(str(error.value.problem.params["error"])) == 100
