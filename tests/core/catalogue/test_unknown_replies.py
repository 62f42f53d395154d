"""A reply that no rule knows: its class decides the outcome, and its own words are shown."""

import pytest

from recapito.catalogue import builtin
from recapito.outcome import Outcome
from recapito.reply import ServerReply

R, H, M, U = Outcome.NOT_SENT, Outcome.HELD, Outcome.REFUSED, Outcome.UNKNOWN
WORDS = "quoth the raven"


@pytest.mark.parametrize(
    ("status", "step", "code", "outcome"),
    [
        (450, "recipient", "REPLY-TEMPORARY", R),
        (421, "message", "REPLY-TEMPORARY", R),
        (499, "sign-in", "REPLY-TEMPORARY", R),
        (550, "sender", "REPLY-PERMANENT", M),
        (550, "recipient", "REPLY-PERMANENT", M),
        (554, "message", "REPLY-PERMANENT", M),
        (550, "", "REPLY-PERMANENT", M),
        (550, "sign-in", "REPLY-SIGN-IN", H),
        (554, "answer", "REPLY-DOOR", R),
        (502, "encryption", "REPLY-DOOR", R),
        (0, "answer", "REPLY-STRANGE", R),
        (999, "recipient", "REPLY-STRANGE", R),
        (354, "message", "REPLY-STRANGE", R),
        (252, "message", "REPLY-STRANGE", U),
    ],
)
def test_over_smtp(status: int, step: str, code: str, outcome: Outcome) -> None:
    found = builtin().explain(ServerReply("smtp", status, WORDS, step=step, host="mail.example.it"))
    assert (found.code, found.outcome) == (code, outcome)


@pytest.mark.parametrize(
    ("status", "retry_after", "outcome"),
    [
        (400, None, M),
        (401, None, H),
        (403, None, H),
        (404, None, M),
        (408, None, R),
        (413, None, M),
        (429, None, R),
        (429, 30.0, R),
        (503, 30.0, R),
        (503, None, U),
        (500, None, U),
        (500, 30.0, U),
        (502, None, U),
        (504, None, U),
        (200, None, U),
        (204, None, U),
        (302, None, U),
        (0, None, U),
    ],
)
def test_over_http(status: int, retry_after: float | None, outcome: Outcome) -> None:
    reply = ServerReply("http", status, WORDS, step="message", host="api.example.it", retry_after=retry_after)
    found = builtin().explain(reply)
    assert found.outcome is outcome
    assert (found.retry_at is not None) is (outcome is R)


@pytest.mark.parametrize("status", [500, 502, 504, 0])
def test_over_http_nothing_is_uncertain_before_the_content(status: int) -> None:
    found = builtin().explain(ServerReply("http", status, WORDS, step="sign-in"))
    assert found.outcome is R


@pytest.mark.parametrize("language", ["en", "it"])
@pytest.mark.parametrize(
    "reply",
    [
        ServerReply("smtp", 450, WORDS, step="recipient"),
        ServerReply("smtp", 550, WORDS, step="sign-in"),
        ServerReply("smtp", 550, WORDS, step="message"),
        ServerReply("smtp", 554, WORDS, step="answer"),
        ServerReply("http", 401, WORDS),
        ServerReply("http", 403, WORDS),
        ServerReply("http", 422, WORDS),
        ServerReply("http", 408, WORDS),
        ServerReply("http", 500, WORDS),
    ],
)
def test_the_servers_own_words_are_shown(reply: ServerReply, language: str) -> None:
    assert WORDS in builtin().explain(reply).explain(language).what


def test_an_unknown_oauth_error_holds_and_is_named() -> None:
    found = builtin().explain(ServerReply("oauth", 400, WORDS, error="brand_new_error"))
    assert (found.code, found.outcome) == ("OAUTH-REFUSED", H)
    assert "brand_new_error" in found.explain("en").what


def test_an_unknown_failure_of_tls_or_network_may_be_tried_again() -> None:
    assert builtin().explain(ServerReply("tls", error="new")).outcome is R
    assert builtin().explain(ServerReply("net", error="new")).outcome is R
