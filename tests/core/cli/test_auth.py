"""Signing in from the command line, with a program at the browser."""

import http.client
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from recapito.testing import GoogleServer, MicrosoftServer

Run = Callable[..., Any]
SEND = "https://www.googleapis.com/auth/gmail.send"


class Browser(webbrowser.BaseBrowser):
    """What ``webbrowser`` opens: it visits the vendor, and brings the answer to the loopback address."""

    visit: Callable[[str], dict[str, str]] | None = None
    opened: list[str]
    page = ""

    def __init__(self) -> None:
        super().__init__("stand-in")
        self.opened = []
        self.shown = threading.Event()

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        self.opened.append(url)
        if self.visit is None:
            return False
        threading.Thread(target=self._bring, args=(url, self.visit(url)), daemon=True).start()
        return True

    def _bring(self, url: str, query: dict[str, str]) -> None:
        place = urlsplit(dict(part.split("=") for part in urlsplit(url).query.split("&"))["redirect_uri"])
        back = urlsplit(http_unquoted(place.geturl()))
        line = http.client.HTTPConnection(back.hostname or "", back.port, timeout=20)
        line.request("GET", f"{back.path or '/'}?{urlencode(query)}")
        answer = line.getresponse()
        self.page = answer.read().decode()
        self.headers = dict(answer.getheaders())
        line.close()
        self.shown.set()


def http_unquoted(text: str) -> str:
    from urllib.parse import unquote

    return unquote(text)


BROWSER = Browser()
webbrowser.register("stand-in", None, BROWSER, preferred=True)


@pytest.fixture
def browser() -> Iterator[Browser]:
    BROWSER.__init__()  # type: ignore[misc]
    BROWSER.visit = None
    yield BROWSER
    BROWSER.visit = None


def sets(settings: dict[str, Any], ca: str) -> list[str]:
    Path(ca).write_text(settings.pop("ca"), encoding="ascii")
    named = [f"{name}={value}" for name, value in settings.items()] + [f"ca_file={ca}"]
    return [each for value in named for each in ("--set", value)]


@pytest.fixture
def google(recapito: Run, browser: Browser) -> Iterator[GoogleServer]:
    """A company with a client, and Anna's profile; a browser at which Anna sits."""
    with GoogleServer("anna@example.com") as server:
        browser.visit = server.visit
        given = sets(server.client_settings(), "google.pem")
        recapito("auth", "client", "set", "google", *given, "--secret-stdin", stdin=server.client_secret)
        recapito("profile", "set", "anna", "--sender", "anna@example.com", "--transport", "gmail_oauth")
        yield server


@pytest.fixture
def microsoft(recapito: Run, browser: Browser) -> Iterator[MicrosoftServer]:
    with MicrosoftServer("bruno@example.com") as server:
        browser.visit = server.visit
        given = sets(server.client_settings(), "microsoft.pem")
        secret = ("--secret-stdin", "client_secret")
        recapito("auth", "client", "set", "microsoft", *given, *secret, stdin=server.client_secret)
        recapito("profile", "set", "bruno", "--sender", "bruno@example.com", "--transport", "ms365_oauth")
        yield server


def test_a_sign_in_by_the_browser_says_who_what_where_and_when(
    recapito: Run, google: GoogleServer, browser: Browser
) -> None:
    done = recapito("auth", "login", "anna", "--json").json
    assert (done["account"], done["sender"], done["resumed"]) == (
        "anna@example.com",
        "anna@example.com",
        False,
    )
    assert SEND in done["scopes"]
    assert done["kept"].startswith("sqlite:///")
    assert done["next_check"] > done["granted"]
    recapito("send", "anna", "--to", "cliente@example.org", "--text", "x")
    assert google.messages[0].recipients == ("cliente@example.org",)


def test_the_page_that_ends_it_is_safe_and_in_the_persons_language(
    recapito: Run, google: GoogleServer, browser: Browser
) -> None:
    recapito("--lang", "it", "auth", "login", "anna")
    assert browser.shown.wait(20)
    assert "Puoi chiudere questa finestra" in browser.page
    assert (browser.headers["Referrer-Policy"], browser.headers["Cache-Control"]) == (
        "no-referrer",
        "no-store",
    )
    assert "default-src 'none'" in browser.headers["Content-Security-Policy"]


def test_another_account_is_refused_and_nothing_is_kept(
    recapito: Run, google: GoogleServer, browser: Browser
) -> None:
    google.consents("mario@example.com")
    ended = recapito("auth", "login", "anna", code=4)
    assert "mario@example.com" in ended.err
    assert browser.shown.wait(20)
    assert "mario@example.com" in browser.page
    recapito("auth", "status", "anna", code=4)


def test_markup_in_what_the_vendor_says_is_shown_as_text(
    recapito: Run, microsoft: MicrosoftServer, browser: Browser
) -> None:
    microsoft.consents("bruno@example.com", error="server_error", description="<script>alert(1)</script>")
    recapito("auth", "login", "bruno", code=None)
    assert browser.shown.wait(20)
    assert "<script>" not in browser.page


def test_without_a_browser_the_address_is_pasted(
    recapito: Run, google: GoogleServer, browser: Browser
) -> None:
    """Whoever runs it reads the link, opens it elsewhere, and pastes where it ended."""
    ended = recapito("auth", "login", "anna", "--no-browser", stdin="https://nothing.example/", code=2)
    assert "no address with an answer" in ended.err
    assert browser.opened == []


def test_a_pasted_state_of_nobodys_is_refused_before_anybody_is_asked(
    recapito: Run, google: GoogleServer
) -> None:
    pasted = "http://127.0.0.1:8400/?state=made-up&code=4/abc"
    ended = recapito("auth", "login", "anna", "--no-browser", "--json", stdin=pasted, code=4)
    assert ended.json["problem"]["code"] == "SIGN-IN-STATE"
    assert google.token_requests == 0


def test_a_code_is_typed_on_another_device(recapito: Run, microsoft: MicrosoftServer) -> None:
    microsoft.interval = 1
    person = threading.Thread(target=type_the_code, args=(microsoft,), daemon=True)
    person.start()
    done = recapito("auth", "login", "bruno", "--device", "--json")
    person.join()
    assert done.json["account"] == "bruno@example.com"
    assert "microsoft.com/devicelogin" in done.err


def type_the_code(microsoft: MicrosoftServer) -> None:
    while not microsoft.devices:
        time.sleep(0.01)
    for device in list(microsoft.devices.values()):
        microsoft.authorize_device(device.user_code)


def test_status_health_and_logout_tell_how_it_stands(recapito: Run, google: GoogleServer) -> None:
    recapito("auth", "login", "anna")
    assert recapito("auth", "status", "--json").lines[0]["problem"] is None
    assert recapito("health", "--json").lines[0]["renewed"] is False
    assert recapito("health", "--all", "--json").lines[0]["renewed"] is True
    google.revoke("anna@example.com")
    found = recapito("health", "--all", "--json", code=4).lines[0]
    assert (found["ok"], found["problem"]["code"]) == (False, "OAUTH-REVOKED")
    asked = google.token_requests
    assert recapito("auth", "status", "anna", "--json", code=4).lines[0]["problem"]["code"] == "OAUTH-REVOKED"
    recapito("send", "anna", "--to", "a@example.org", "--text", "x", code=4)
    assert google.token_requests == asked, "a dead grant is not asked for again"
    assert recapito("auth", "logout", "anna", "--json").json["signed_out"] is True
    assert recapito("auth", "logout", "anna", "--json").json["signed_out"] is False
    recapito("auth", "status", "nobody", code=3)


def test_a_new_sign_in_lets_a_held_profile_run_again(recapito: Run, google: GoogleServer) -> None:
    recapito("auth", "login", "anna")
    google.revoke("anna@example.com")
    recapito("health", "--all", code=4)
    assert recapito("auth", "login", "anna", "--json").json["resumed"] is True
    recapito("send", "anna", "--to", "a@example.org", "--text", "x")


def test_a_switch_changes_the_profile_and_signs_in_as_one_act(
    recapito: Run, microsoft: MicrosoftServer
) -> None:
    recapito("profile", "set", "bruno", "--set", "send_by=smtp")
    microsoft.consents("bruno@example.com", deny=True)
    recapito("profile", "switch", "bruno", "--to", "graph", code=4)
    assert recapito("profile", "show", "bruno", "--json").json["settings"]["send_by"] == "smtp"
    microsoft.consents("bruno@example.com")
    done = recapito("profile", "switch", "bruno", "--to", "graph", "--json").json
    assert done["settings"]["send_by"] == "graph"
    assert done["signed_in"]["account"] == "bruno@example.com"


def test_a_password_profile_at_microsoft_moves_to_graph_and_its_password_is_gone(
    recapito: Run, microsoft: MicrosoftServer
) -> None:
    recapito(
        *("profile", "set", "carla", "--sender", "bruno@example.com", "--transport", "smtp_basic"),
        *("--set", "host=smtp.office365.com", "--password-stdin"),
        stdin="parola segreta",
    )
    recapito("profile", "switch", "carla", "--to", "graph")
    shown = recapito("profile", "show", "carla", "--json").json
    assert (shown["transport"], shown["secrets"]) == ("ms365_oauth", [])
    recapito("send", "carla", "--to", "a@example.org", "--text", "x")


def test_a_secret_is_no_argument_and_never_shown(recapito: Run, google: GoogleServer) -> None:
    ended = recapito("auth", "client", "set", "google", "--set", "client_secret=GOCSPX-typed", code=2)
    assert "--secret-stdin" in ended.err
    shown = recapito("auth", "client", "show", "google", "--json")
    assert shown.json["secrets"] == ["client_secret"]
    for said in (shown.out, recapito("auth", "client", "list").out, recapito("audit", "--json").out):
        assert google.client_secret not in said


def test_every_wrong_field_of_a_client_is_named(recapito: Run) -> None:
    ended = recapito("auth", "client", "set", "google", "--set", "auth_uri=http://x", stdin="", code=3)
    assert "client_id" in ended.err
    assert "auth_uri" in ended.err
    recapito("auth", "client", "set", "nonsense", "--set", "a=b", code=3)


def test_a_client_that_is_removed_holds_its_profiles(recapito: Run, google: GoogleServer) -> None:
    recapito("auth", "login", "anna")
    recapito("auth", "client", "remove", "google", "--yes")
    ended = recapito("send", "anna", "--to", "a@example.org", "--text", "x", "--json", code=4)
    assert ended.json["problem"]["code"] == "CLIENT-MISSING"


def test_a_taken_port_is_told(recapito: Run, google: GoogleServer) -> None:
    ended = recapito("auth", "login", "anna", "--port", str(google.port), code=3)
    assert str(google.port) in ended.err
    assert "--port" in ended.err
