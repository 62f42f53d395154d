"""The stand-in for Microsoft is as strict as Microsoft."""

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from recapito.testing import MicrosoftServer

sys.path.insert(0, str(Path(__file__).parent))

from web import CHALLENGE, VERIFIER, Got, ask, form

HERE = "http://localhost:1234/"
MESSAGE = b"From: anna@example.com\r\nTo: a@example.org\r\nBcc: b@example.org\r\nSubject: x\r\n\r\nx\r\n"


@pytest.fixture
def entra() -> Iterator[MicrosoftServer]:
    with MicrosoftServer("anna@example.com") as server:
        yield server


def endpoint(entra: MicrosoftServer, name: str, tenant: str = "") -> str:
    return f"/{tenant or entra.tenant}/oauth2/v2.0/{name}"


def scope(entra: MicrosoftServer) -> str:
    return f"{entra.url}/Mail.Send openid profile offline_access"


def code(entra: MicrosoftServer, **changed: str) -> dict[str, str]:
    fields = {
        "client_id": entra.client_id,
        "redirect_uri": HERE,
        "response_type": "code",
        "scope": scope(entra),
        "state": "abc",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changed,
    }
    return entra.visit(f"{entra.url}{endpoint(entra, 'authorize')}?{urlencode(fields)}")


def token(entra: MicrosoftServer, **fields: str) -> Got:
    proof = {"client_id": entra.client_id, "client_secret": entra.client_secret}
    return form(entra, endpoint(entra, "token"), **{**proof, **fields})


def redeem(entra: MicrosoftServer) -> dict[str, Any]:
    given = {"grant_type": "authorization_code", "redirect_uri": HERE, "code_verifier": VERIFIER}
    found: dict[str, Any] = token(entra, **given, code=code(entra)["code"]).json
    return found


def test_a_code_gives_tokens_for_one_resource_and_says_who(entra: MicrosoftServer) -> None:
    found = redeem(entra)
    assert {"access_token", "refresh_token", "id_token"} <= set(found)
    claims = found["id_token"].split(".")[1]
    told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert (told["preferred_username"], told["aud"]) == ("anna@example.com", entra.client_id)


def test_two_resources_in_one_request_are_refused(entra: MicrosoftServer) -> None:
    both = f"{scope(entra)} https://outlook.office.com/SMTP.Send"
    value = entra.give("anna@example.com", both.split())
    found = token(entra, grant_type="refresh_token", refresh_token=value, scope=both)
    assert found.json["error"] == "invalid_scope"


def test_a_scope_that_nobody_consented_to_is_not_had_by_refreshing(entra: MicrosoftServer) -> None:
    value = redeem(entra)["refresh_token"]
    found = token(
        entra, grant_type="refresh_token", refresh_token=value, scope=f"{entra.url}/Mail.ReadWrite"
    ).json
    assert (found["error"], found["error_codes"]) == ("invalid_grant", [65001])


def test_an_old_refresh_token_lives_on(entra: MicrosoftServer) -> None:
    """Entra gives a new one on every use, and does not revoke the old."""
    first = redeem(entra)["refresh_token"]
    for _ in range(2):
        found = token(entra, grant_type="refresh_token", refresh_token=first, scope=scope(entra))
        assert found.json["refresh_token"] != first


@pytest.mark.parametrize(
    ("why", "number"), [("idle", 700082), ("password", 50173), ("mfa", 50076), ("conditional", 53003)]
)
def test_a_dead_grant_says_why_as_entra_does(entra: MicrosoftServer, why: str, number: int) -> None:
    value = redeem(entra)["refresh_token"]
    entra.revoke("anna@example.com", why)
    found = token(entra, grant_type="refresh_token", refresh_token=value, scope=scope(entra)).json
    assert found["error_codes"] == [number]
    assert found["error_description"].startswith(f"AADSTS{number}: ")


def test_an_unknown_tenant_and_an_expired_secret_are_told(entra: MicrosoftServer) -> None:
    found = ask(entra, "GET", "/nowhere.example/v2.0/.well-known/openid-configuration").json
    assert found["error_codes"] == [90002]
    entra.identity.expired = True
    assert token(entra, grant_type="refresh_token", refresh_token="x").json["error_codes"] == [7000222]


def test_a_device_waits_until_its_person_has_agreed(entra: MicrosoftServer) -> None:
    begun = form(entra, endpoint(entra, "devicecode"), client_id=entra.client_id, scope=scope(entra)).json
    kind = "urn:ietf:params:oauth:grant-type:device_code"
    asked = {"grant_type": kind, "device_code": begun["device_code"]}
    assert token(entra, **asked).json["error"] == "authorization_pending"
    entra.authorize_device(begun["user_code"])
    assert "refresh_token" in token(entra, **asked).json
    assert token(entra, **asked).json["error"] == "bad_verification_code"


def test_an_app_gets_what_is_its_own(entra: MicrosoftServer) -> None:
    found = token(entra, grant_type="client_credentials", scope=f"{entra.url}/.default").json
    assert "refresh_token" not in found
    assert token(entra, grant_type="client_credentials", scope=f"{entra.url}/Mail.Send").status == 400


def graph(
    entra: MicrosoftServer, path: str, body: bytes, scopes: list[str], kind: str = "text/plain", **more: str
) -> Got:
    bearer = entra.issue("anna@example.com", scopes, entra.url)
    headers = {"Content_Type": kind, "Authorization": f"Bearer {bearer}", **more}
    return ask(entra, "POST", f"/v1.0{path}", body, **headers)


def test_mime_is_taken_as_base64_and_queued(entra: MicrosoftServer) -> None:
    found = graph(entra, "/me/sendMail", base64.b64encode(MESSAGE), ["Mail.Send"])
    assert (found.status, found.body) == (202, b"")
    assert found.headers["request-id"]
    assert entra.messages[0].recipients == ("a@example.org", "b@example.org")
    assert b"b@example.org" not in entra.messages[0].content


@pytest.mark.parametrize(
    ("body", "scopes", "code"),
    [
        (b"not base64!", ["Mail.Send"], "ErrorMimeContentInvalidBase64String"),
        (base64.b64encode(MESSAGE), ["User.Read"], "ErrorAccessDenied"),
        (base64.b64encode(b"From: anna@example.com\r\n\r\nx"), ["Mail.Send"], "ErrorInvalidRecipients"),
        (base64.b64encode(b"x" * 4_000_000), ["Mail.Send"], "RequestEntityTooLarge"),
    ],
)
def test_what_graph_would_refuse_is_refused(
    entra: MicrosoftServer, body: bytes, scopes: list[str], code: str
) -> None:
    assert graph(entra, "/me/sendMail", body, scopes).json["error"]["code"] == code


def test_sending_as_another_needs_the_permission_and_the_right(entra: MicrosoftServer) -> None:
    body = base64.b64encode(MESSAGE.replace(b"anna@", b"fatture@", 1))
    both = ["Mail.Send", "Mail.Send.Shared"]
    assert graph(entra, "/me/sendMail", body, ["Mail.Send"]).status == 403
    assert graph(entra, "/me/sendMail", body, both).json["error"]["code"] == "ErrorSendAsDenied"
    entra.graph.send_as.add(("anna@example.com", "fatture@example.com"))
    assert graph(entra, "/me/sendMail", body, both).status == 202


def test_an_upload_takes_ranges_in_order_and_no_token(entra: MicrosoftServer) -> None:
    wide = ["Mail.Send", "Mail.ReadWrite"]
    draft = {"toRecipients": [{"emailAddress": {"address": "a@example.org"}}]}
    kind = "application/json"
    identity = graph(entra, "/me/messages", json.dumps(draft).encode(), wide, kind).json["id"]
    item = {"AttachmentItem": {"attachmentType": "file", "name": "a.bin", "size": 10}}
    path = f"/me/messages/{identity}/attachments/createUploadSession"
    url = graph(entra, path, json.dumps(item).encode(), wide, kind).json["uploadUrl"]
    first = {"Content_Range": "bytes 0-5/10"}
    assert ask(entra, "PUT", url, b"123456", Authorization="Bearer x", **first).status == 401
    assert ask(entra, "PUT", url, b"7890", Content_Range="bytes 6-9/10").status == 416
    assert graph(entra, f"/me/messages/{identity}/send", b"", wide).status == 400
    assert ask(entra, "PUT", url, b"123456", **first).status == 200
    assert ask(entra, "PUT", url, b"7890", Content_Range="bytes 6-9/10").status == 201
    assert graph(entra, f"/me/messages/{identity}/send", b"", wide).status == 202
    assert entra.graph.sent_drafts[0].attachments[0].content == b"1234567890"
    assert entra.drafts == []
