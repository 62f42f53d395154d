"""The objects that docs/cli.md promises are those that ``--json`` prints."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recapito.testing import GoogleServer, SmtpServer

Run = Callable[..., Any]
PAGE = Path(__file__).parents[3] / "docs/cli.md"
ROW = re.compile(
    r"^\| `(?P<command>[a-z -]+)`(?: → `(?P<part>\w+)`)?[^|]* \| (?P<names>`.*`) \|$", re.MULTILINE
)
PROMISED = {
    (row["command"], row["part"] or ""): set(re.findall(r"`(\w+)`", row["names"]))
    for row in ROW.finditer(PAGE.read_text("utf-8"))
}


@pytest.fixture
def printed(anna: Run, server: SmtpServer, tmp_path: Path) -> dict[str, list[Any]]:
    """What each command prints, so often that each part is there once."""
    csv = "operator;email;password\ncarla;carla@libero.it;x\n"
    Path("good.csv").write_text(csv, encoding="utf-8")
    Path("bad.csv").write_text(csv + "dario;no address;x\n", encoding="utf-8")
    Path("list.csv").write_text("to\nb@x.it\nc@x.it\n", encoding="utf-8")
    server.refuse("rcpt", "550 5.1.1 No such user", address="b@x.it")

    def first(*arguments: str) -> Any:
        return anna(*arguments, "--json").lines[0]

    return {
        "send": [anna("send", "anna", "--to", "b@x.it", "--text", "x", "--json", code=6).json],
        "send-many": anna("send-many", "anna", "list.csv", "--json", code=7).lines,
        "check": [anna("check", "anna", "--json").json],
        "profile show": [anna("profile", "show", "anna", "--json").json],
        "profile import": [
            anna("profile", "import", name, "--json", code=None).json for name in ("good.csv", "bad.csv")
        ],
        "profile set": [first("profile", "set", "anna", "--name", "Anna")],
        "profile list": [first("profile", "list")],
        "profile pause": [first("profile", "pause", "anna"), first("profile", "resume", "anna")],
        **signed_in(anna),
        "audit": [first("audit")],
        "providers list": [first("providers", "list")],
        "providers show": [first("providers", "show", "tim"), first("providers", "detect", "a@gmail.com")],
        "plugins list": [first("plugins", "list")],
        "explain": [first("explain", "UNCERTAIN")],
        "keys new": [first("keys", "new")],
        "keys rotate": [first("keys", "rotate")],
        "db upgrade": [first("db", "upgrade")],
        "config show": [first("config", "show")],
        "demo": [anna("demo", "--folder", str(tmp_path / "demo"), "--json").json],
    }


def signed_in(run: Run) -> dict[str, list[Any]]:
    """What the commands about sign-ins print: a service account needs nobody at a browser."""
    with GoogleServer() as google:
        given = {name: google.client_settings()[name] for name in ("token_uri", "api_root")}
        Path("google.pem").write_text(google.pem, encoding="ascii")
        sets = [f"{name}={value}" for name, value in given.items()] + ["ca_file=google.pem"]
        client = ("auth", "client", "set", "google-service-account")
        arguments = [*client, *(each for value in sets for each in ("--set", value)), "--secret-stdin", "key"]
        made = run(*arguments, "--json", stdin=google.service_account()).json
        run("profile", "set", "fatture", "--sender", "f@example.com", "--transport", "gmail_oauth")
        moved = run("profile", "switch", "fatture", "--to", "gmail-service-account", "--json").json
        return {
            "auth client set": [made],
            "auth client list": [
                run("auth", "client", *verb, "--json").lines[0]
                for verb in (("list",), ("show", "google-service-account"))
            ],
            "profile switch": [moved],
            "auth login": [moved["signed_in"], run("auth", "login", "fatture", "--json").json],
            "auth status": [run("auth", "status", "--json").lines[0]],
            "health": [run("health", "--all", "--json").lines[0]],
            "auth logout": [run("auth", "logout", "fatture", "--json").json],
            "auth client remove": [
                run("auth", "client", "remove", "google-service-account", "--yes", "--json").json
            ],
        }


def test_the_page_names_what_is_printed(printed: dict[str, list[Any]]) -> None:
    assert {command for command, _part in PROMISED} == set(printed)
    for (command, part), names in PROMISED.items():
        for whole in printed[command]:
            if ("summary" in whole) != (
                part == "summary"
            ):  # lines of send-many, of which the last is another
                continue
            found = whole[part] if part else whole
            for each in found if isinstance(found, list) else [found] if found is not None else []:
                also = PROMISED["send", ""] if (command, part) == ("demo", "sends") else set()
                assert set(each) == names | also, (command, part)


def test_the_alternative_is_as_the_page_says() -> None:
    from recapito.cli.alternatives import Alternative
    from recapito.profile import ProfileKey

    other = Alternative(ProfileKey("", "anna"), "mail.example.it", 465, "ssl", signed_in=True)
    assert set(other.to_dict()) == PROMISED["check", "alternative"]
