from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        ("GOOGLE-APPPWD", [], "GOOGLE-APPPWD"),
        ("google-apppwd", [], "GOOGLE-APPPWD"),
        ("UNCERTAIN", [], "UNCERTAIN"),
        ("uncertain", [], "UNCERTAIN"),
        (
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant",
            [],
            "M365-SMTP-OFF",
        ),
        ("535 Authentication failed", ["--host", "mail.example.it"], "AUTH-FAILED"),
        ("550 5.1.1 User unknown", [], "RCPT-UNKNOWN"),
        ("AADSTS700082: The refresh token has expired", [], "OAUTH-IDLE"),
    ],
)
def test_a_code_or_a_reply_is_explained(recapito: Run, text: str, options: list[str], code: str) -> None:
    assert recapito("explain", text, *options, "--json").json["code"] == code


def test_an_unknown_reply_shows_the_servers_own_words(recapito: Run) -> None:
    shown = recapito("explain", "554 5.9.9 The moon is in the wrong house", "--host", "mx.example.it")
    assert "The moon is in the wrong house" in shown.out


def test_the_four_parts_come_in_both_languages(recapito: Run) -> None:
    italian = recapito("explain", "AUTH-FAILED", "--lang", "it").out
    english = recapito("explain", "AUTH-FAILED", "--lang", "en").out
    assert "(tu)" in italian
    assert "(you)" in english
    assert "AUTH-FAILED" in italian


def test_escape_sequences_in_a_pasted_reply_are_shown_as_plain_text(recapito: Run) -> None:
    shown = recapito("explain", "535 \x1b[31mred\x1b[0m\x07 words")
    assert "\x1b" not in shown.out
    assert "\x07" not in shown.out
