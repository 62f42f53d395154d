"""The stand-in for Google is as strict as Google."""

import base64
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from recapito.testing import GoogleServer

sys.path.insert(0, str(Path(__file__).parent))

from web import CHALLENGE, VERIFIER, Got, ask, form

SEND = "https://www.googleapis.com/auth/gmail.send"
HERE = "http://127.0.0.1:1234/"
MESSAGE = (
    b"From: anna@example.com\r\nTo: a@example.org\r\nBcc: b@example.org,\r\n c@example.org\r\n"
    b"Subject: x\r\n\r\nBcc: text\r\n"
)


@pytest.fixture
def google() -> Iterator[GoogleServer]:
    with GoogleServer("anna@example.com", redirect_uris=["https://erp.example.com/back"]) as server:
        yield server


def link(google: GoogleServer, **changed: str) -> str:
    fields = {
        "client_id": google.client_id,
        "redirect_uri": HERE,
        "response_type": "code",
        "scope": f"openid email {SEND}",
        "state": "abc",
        "access_type": "offline",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changed,
    }
    return f"{google.url}/o/oauth2/v2/auth?{urlencode(fields)}"


def token(google: GoogleServer, **fields: str) -> Got:
    secret = {"client_id": google.client_id, "client_secret": google.client_secret}
    return form(google, "/token", **{**secret, **fields})


def redeem(google: GoogleServer, code: str, **changed: str) -> Got:
    given = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": HERE,
        "code_verifier": VERIFIER,
    }
    return token(google, **{**given, **changed})


def test_a_code_is_redeemed_once_and_tells_who_and_what(google: GoogleServer) -> None:
    query = google.visit(link(google))
    assert (query["state"], query["iss"]) == ("abc", google.url)
    found = redeem(google, query["code"]).json
    assert found["expires_in"] == 3599
    assert SEND in found["scope"]
    assert {"refresh_token", "id_token", "access_token"} <= set(found)
    assert redeem(google, query["code"]).json["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": "https://erp.example.com/back/"},
        {"client_id": "another"},
        {"code_challenge_method": "plain"},
        {"code_challenge": ""},
        {"scope": ""},
        {"response_type": "token"},
    ],
)
def test_what_is_not_registered_or_not_safe_is_not_redirected(
    google: GoogleServer, changed: dict[str, str]
) -> None:
    assert ask(google, "GET", link(google, **changed)).status in (400, 401)


@pytest.mark.parametrize("changed", [{"code_verifier": "w" * 64}, {"redirect_uri": "http://127.0.0.1:9/"}])
def test_a_code_needs_its_verifier_and_its_address(google: GoogleServer, changed: dict[str, str]) -> None:
    code = google.visit(link(google))["code"]
    assert redeem(google, code, **changed).json["error"] == "invalid_grant"


def test_a_wrong_secret_is_told(google: GoogleServer) -> None:
    found = token(google, grant_type="refresh_token", refresh_token="x", client_secret="wrong")
    assert (found.status, found.json["error"]) == (401, "invalid_client")


def test_a_second_consent_gives_a_refresh_token_only_where_it_is_asked_for(google: GoogleServer) -> None:
    redeem(google, google.visit(link(google))["code"])
    assert "refresh_token" not in redeem(google, google.visit(link(google))["code"]).json
    again = redeem(google, google.visit(link(google, prompt="consent"))["code"]).json
    assert "refresh_token" in again


def test_an_unticked_box_is_not_granted_and_a_refusal_is_told(google: GoogleServer) -> None:
    google.consents("anna@example.com", untick=[SEND])
    assert SEND not in google.visit(link(google))["scope"]
    google.consents("anna@example.com", deny=True)
    assert google.visit(link(google))["error"] == "access_denied"


def test_a_rotated_refresh_token_is_worth_nothing(google: GoogleServer) -> None:
    google.rotates = True
    first = google.give("anna@example.com", ["openid", SEND])
    second = token(google, grant_type="refresh_token", refresh_token=first).json["refresh_token"]
    assert second != first
    dead = token(google, grant_type="refresh_token", refresh_token=first)
    assert (dead.status, dead.json["error_description"]) == (400, "Token has been expired or revoked.")
    assert google.refreshes == 2


def test_who_gives_a_token_back_ends_the_grant(google: GoogleServer) -> None:
    value = google.give("anna@example.com", [SEND])
    assert form(google, "/revoke", token=value).status == 200
    assert form(google, "/revoke", token=value).json["error"] == "invalid_token"
    assert token(google, grant_type="refresh_token", refresh_token=value).status == 400


def upload(google: GoogleServer, bearer: str, body: bytes = MESSAGE, kind: str = "message/rfc822") -> Got:
    path = "/upload/gmail/v1/users/me/messages/send?uploadType=media"
    return ask(google, "POST", path, body, Content_Type=kind, Authorization=f"Bearer {bearer}")


def test_bcc_is_a_recipient_and_is_taken_off(google: GoogleServer) -> None:
    found = upload(google, google.issue("anna@example.com", [SEND]))
    assert found.json["id"]
    message = google.messages[0]
    assert message.recipients == ("a@example.org", "b@example.org", "c@example.org")
    assert b"c@example.org" not in message.content
    assert b"\r\n\r\nBcc: text\r\n" in message.content


def test_json_takes_the_same(google: GoogleServer) -> None:
    raw = base64.urlsafe_b64encode(MESSAGE).decode()
    bearer = google.issue("anna@example.com", [SEND])
    path = "/gmail/v1/users/me/messages/send"
    found = ask(google, "POST", path, f'{{"raw":"{raw}"}}'.encode(), Authorization=f"Bearer {bearer}")
    assert (found.status, len(google.messages)) == (200, 1)


@pytest.mark.parametrize(
    ("scopes", "body", "kind", "reason"),
    [
        (["openid"], MESSAGE, "message/rfc822", "insufficientPermissions"),
        ([SEND], b"From: a@x.it\r\n\r\nx", "message/rfc822", "invalidArgument"),
        ([SEND], MESSAGE, "text/plain", "badContent"),
    ],
)
def test_what_gmail_would_refuse_is_refused(
    google: GoogleServer, scopes: list[str], body: bytes, kind: str, reason: str
) -> None:
    found = upload(google, google.issue("anna@example.com", scopes), body, kind).json
    assert found["error"]["errors"][0]["reason"] == reason
    assert google.messages == []


def test_only_its_own_tokens_are_worth_anything(google: GoogleServer) -> None:
    assert upload(google, "ya29.made-up").status == 401
    value = google.issue("anna@example.com", [SEND])
    google.expire_tokens()
    assert upload(google, value).status == 401


def test_a_message_may_be_too_large(google: GoogleServer) -> None:
    google.gmail.maximum = 10
    assert upload(google, google.issue("anna@example.com", [SEND])).status == 413
