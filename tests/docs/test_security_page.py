"""Every promise of docs/security.md names tests, and they exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = re.findall(
    r"^\| (?!against|---)(.+?) \| (.+?) \| (.*) \|$",
    (ROOT / "docs/security.md").read_text("utf-8"),
    re.MULTILINE,
)
#: What the house promises, by name; a row that is taken out of the page is missed here.
PROMISES = {
    "Secret at rest",
    "Secret in logs",
    "Other operators' data",
    "SSRF by host names",
    "Markup from servers",
    "Downgrade",
    "STARTTLS injection",
    "Certificates",
    "Command and header injection",
    "Smuggling",
    "Hostile size and slowness",
    "Rogue plugin",
    "OAuth state, CSRF",
    "PKCE, redirect",
    "Mix-up",
    "Wrong account",
    "Secrets of a sign-in",
    "Refresh race",
    "Refresh storm",
    "Clock",
    "Redirects",
    "Tokens of any form",
    "Endless answers",
    "The environment",
    "What is no answer",
    "Duplicates",
    "Fork",
    "Encoded words",
    "SMTPUTF8 and IDN",
    "After the final dot",
    "Addresses",
    "Passwords",
    "Codes that mislead",
    "Common names",
    "Errors that show inputs",
    "Dates and long lines",
    "A session after an error",
}


def test_every_promise_is_on_the_page() -> None:
    assert {title for title, _, _ in ROWS} == PROMISES


def test_every_promise_names_tests_that_exist() -> None:
    for title, _, tests in ROWS:
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", tests)
        assert named, title
        assert len(named) == tests.count("`") // 2, f"{title}: something there is no test"
        for path, test in named:
            assert re.search(rf"^ *(async )?def {test}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE), (
                f"{path}::{test}"
            )
