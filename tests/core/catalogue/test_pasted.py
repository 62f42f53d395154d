"""A reply as a person pastes it: from a log, a bounce, or a dialog."""

import pytest

from recapito.catalogue import builtin, pasted_reply


@pytest.mark.parametrize(
    ("text", "host", "code"),
    [
        (
            "535-5.7.8 Username and Password not accepted. For more information 535 5.7.8 gsmtp",
            "",
            "GOOGLE-PASSWORD",
        ),
        ("535 5.7.8 Error: authentication failed", "", "AUTH-FAILED"),
        ("(535, b'5.7.8 authentication failed')", "", "AUTH-FAILED"),
        ("535 5.7.3 Authentication unsuccessful [AM0PR0.eurprd.prod.outlook.com]", "", "M365-CREDENTIALS"),
        ("550 5.4.5 Daily user sending limit exceeded. gsmtp", "", "LIMIT-DAILY"),
        ("550 5.4.5 Daily user sending limit exceeded", "smtp.gmail.com", "LIMIT-DAILY"),
        ("550 5.4.5 Routing loop", "", "REPLY-PERMANENT"),
        (
            "host mx.example.it[192.0.2.1] said: 550 5.1.1 <c@example.it>: User unknown (in reply)",
            "",
            "RCPT-UNKNOWN",
        ),
        ("550 #5.1.1 unknown", "", "RCPT-UNKNOWN"),
        ("552 5.3.4 Message too big", "", "MSG-TOO-BIG"),
        ("550 MAX RCPT TO DAILY LIMIT", "", "LIMIT-REGISTER"),
        ("AADSTS700082: The refresh token has expired", "", "OAUTH-IDLE"),
        (
            '{"error": "invalid_grant", "error_description": "Token has been expired or revoked."}',
            "",
            "OAUTH-REVOKED",
        ),
        ("HTTP/1.1 429 Too Many Requests", "", "SLOW-DOWN"),
        ("HTTP 413", "", "MSG-TOO-BIG"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1002)", "", "TLS-MODE"),
        ("certificate verify failed: self-signed certificate", "", "TLS-UNTRUSTED"),
        ("certificate verify failed: Hostname mismatch, certificate is not valid for 'x'", "", "TLS-NAME"),
        ("[Errno -2] Name or service not known", "", "NET-DNS"),
        ("[Errno 111] Connection refused", "", "NET-BLOCKED"),
        ("Connection reset by peer", "", "NET-LOST"),
        ("554 5.7.1 Something never seen before", "", "REPLY-PERMANENT"),
        ("the dog ate it", "", "REPLY-STRANGE"),
        ("", "", "REPLY-STRANGE"),
    ],
)
def test_it_is_explained_as_if_it_had_just_come(text: str, host: str, code: str) -> None:
    assert builtin().match_text(text, host=host).code == code


def test_what_is_known_is_not_guessed() -> None:
    asked = builtin().match_text("535 5.7.8 not accepted", host="smtp.gmail.com", credential="token")
    assert asked.code == "OAUTH-REVOKED"
    assert pasted_reply("550 5.1.1 no", step="sender").step == "sender"
    assert pasted_reply("550 no").step == "message"
    assert pasted_reply("535 no").step == "sign-in"


def test_host_and_recipient_are_read_where_they_stand() -> None:
    reply = pasted_reply("host mx.example.it[192.0.2.1] said: 550 5.1.1 <c@example.it>: User unknown")
    assert (reply.host, reply.recipient, reply.status, reply.enhanced) == (
        "mx.example.it",
        "c@example.it",
        550,
        "5.1.1",
    )


def test_a_date_or_address_is_no_status() -> None:
    assert pasted_reply("2026-11-20 10.220.5.1 connect").status == 0
