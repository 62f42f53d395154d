import socket
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from recapito.secret import Secret
from recapito.testing import SmtpServer

Run = Callable[..., Any]


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def _anna(
    recapito: Run, server: SmtpServer, *, host: str = "localhost", port: int, sender: str = "anna@example.it"
) -> None:
    Path("ca.pem").write_text(server.pem, encoding="ascii")
    recapito(
        *("profile", "set", "anna", "--sender", sender, "--transport", "smtp_basic", "--set", f"host={host}"),
        *(
            "--set",
            f"port={port}",
            "--set",
            "security=ssl",
            "--set",
            "username=anna",
            "--set",
            "ca_file=ca.pem",
        ),
        "--password-stdin",
        stdin="pl4nted",
    )


def _provider_at(server: SmtpServer, name: str, *, domain: str, host: str = "localhost") -> None:
    """A host's own plugin with a catalogue entry whose endpoint is ``server``, named in recapito.toml."""
    Path(f"{name}.py").write_text(
        "from datetime import date\n"
        "from recapito import hookimpl\n"
        "from recapito.catalogue import Endpoint, Provider, Way\n"
        "@hookimpl\n"
        "def recapito_register_providers(register):\n"
        f"    at = Endpoint({host!r}, {server.port}, 'ssl', 'the test', date({date.today().year}, 1, 1))\n"
        f"    register.provider(Provider('{name}', 'Ours', domains=({domain!r},), hosts=({host!r},),"
        " ways=(Way('smtp_basic', (at,)),)))\n",
        encoding="utf-8",
    )
    Path("recapito.toml").write_text(f'hooks = ["{name}"]\n', encoding="utf-8")


def test_each_step_is_shown_with_its_time_and_nothing_is_sent(recapito: Run, server: SmtpServer) -> None:
    _anna(recapito, server, port=server.port)
    found = recapito("check", "anna", "--json").json
    assert found["ok"] is True
    assert [step["name"] for step in found["steps"]] == [
        "name", "port", "encryption", "answer", "sign-in", "sender", "recipient", "message",
    ]  # fmt: skip
    assert all(step["ok"] for step in found["steps"][:-1])
    assert found["steps"][-1]["skipped"]
    assert all(step["seconds"] >= 0 for step in found["steps"])
    assert found["problem"] is None
    assert not server.messages


def test_with_an_address_a_message_is_really_sent(recapito: Run, server: SmtpServer) -> None:
    _anna(recapito, server, port=server.port)
    found = recapito("check", "anna", "--send-to", "me@x.it", "--json").json
    assert found["steps"][-1]["ok"] is True
    assert server.messages[0].rcpt_tos == ("me@x.it",)


def test_without_json_every_step_has_a_mark_and_a_word_in_the_language_of_the_run(
    recapito: Run, server: SmtpServer
) -> None:
    _anna(recapito, server, port=server.port)
    shown = recapito("check", "anna", "--lang", "it").out
    assert "✓ ok: accesso riuscito" in shown
    assert "→ saltato: messaggio" in shown
    assert "anna può spedire" in shown


def test_the_first_problem_is_explained_and_has_its_exit_code(recapito: Run, server: SmtpServer) -> None:
    _anna(recapito, server, port=server.port)
    server.users = {"anna": "another"}
    ended = recapito("check", "anna", "--json", code=4)
    found = ended.json
    assert (found["ok"], found["problem"]["code"]) == (False, "AUTH-FAILED")
    assert found["steps"][-1]["name"] == "sign-in"
    assert found["steps"][-1]["problem"]["code"] == "AUTH-FAILED"
    assert found["alternative"] is None
    shown = recapito("check", "anna", "--lang", "it", code=4).out
    assert "✗ fallito: accesso" in shown
    assert "(tu)" in shown


def test_an_unknown_profile_is_3(recapito: Run, server: SmtpServer) -> None:
    _anna(recapito, server, port=server.port)
    assert recapito("check", "bruno", "--json", code=3).json["problem"]["code"] == "PROFILE-UNKNOWN"


def test_an_address_that_is_none_is_told_before_anybody_is_connected_to(
    recapito: Run, server: SmtpServer
) -> None:
    _anna(recapito, server, port=server.port)
    ended = recapito("check", "anna", "--send-to", "nope", "--json", code=6)
    assert "nope" in ended.json["problem"]["what"]
    assert not server.connections


@pytest.mark.parametrize("text", ["nan", "inf", "0", "-1"])
def test_a_timeout_that_is_no_time_is_a_usage_error(recapito: Run, text: str) -> None:
    assert "--timeout" in recapito("check", "anna", "--timeout", text, code=2).err


def test_a_server_that_does_not_answer_is_given_up_in_time(recapito: Run, server: SmtpServer) -> None:
    _anna(recapito, server, port=server.port)
    with server.hold("ehlo"):
        found = recapito("check", "anna", "--timeout", "0.7", "--json", code=5).json
    assert found["problem"] is not None
    assert found["seconds"] < 10


def test_another_endpoint_of_the_same_provider_is_tried_and_the_command_given(
    recapito: Run, server: SmtpServer, closed_port: int
) -> None:
    _provider_at(server, "ours_same", domain="ditta.example")
    _anna(recapito, server, port=closed_port)
    found = recapito("check", "anna", "--json", code=None)
    other = found.json["alternative"]
    assert found.code != 0
    assert (other["host"], other["port"], other["signed_in"]) == ("localhost", server.port, True)
    assert other["command"].startswith("recapito profile set anna --set host=localhost")
    shown = recapito("check", "anna", code=None).out
    assert other["command"] in shown
    assert recapito("profile", "show", "anna", "--json").json["settings"]["port"] == closed_port


def test_fix_saves_what_works(recapito: Run, server: SmtpServer, closed_port: int) -> None:
    _provider_at(server, "ours_fix", domain="ditta.example")
    _anna(recapito, server, port=closed_port)
    found = recapito("check", "anna", "--fix", "--json").json
    assert (found["ok"], found["fixed"]) == (True, True)
    assert recapito("profile", "show", "anna", "--json").json["settings"]["port"] == server.port
    assert recapito("check", "anna", "--json").json["ok"] is True


def test_the_password_never_goes_to_a_server_of_another_provider(
    recapito: Run, server: SmtpServer, closed_port: int
) -> None:
    _provider_at(server, "ours_other", domain="ditta.example")
    _anna(recapito, server, host="127.0.0.1", port=closed_port, sender="anna@ditta.example")
    found = recapito("check", "anna", "--fix", "--json", code=None).json
    other = found["alternative"]
    assert (other["port"], other["signed_in"], found["fixed"]) == (server.port, False, False)
    assert server.connections
    assert not server.logins
    assert not server.login_failures


def test_a_refused_sign_in_tries_no_other_server(recapito: Run, server: SmtpServer) -> None:
    with SmtpServer(tls="ssl", users={"anna": "pl4nted"}) as second:
        _provider_at(second, "ours_second", domain="example.it")
        _anna(recapito, server, port=server.port)
        server.users = {"anna": "another"}
        assert recapito("check", "anna", "--json", code=4).json["alternative"] is None
        assert not second.connections


def test_a_stranger_is_not_even_handed_the_password(
    recapito: Run, server: SmtpServer, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recapito.mailer import AsyncMailer
    from recapito.profile import Found
    from recapito.transport import CheckStep

    handed: list[Found] = []

    async def check(_self: AsyncMailer, _operator: str, *, draft: Found) -> AsyncIterator[CheckStep]:
        handed.append(draft)
        yield CheckStep("name")

    _provider_at(server, "ours_stranger", domain="ditta.example")
    _anna(recapito, server, host="127.0.0.1", port=closed_port, sender="anna@ditta.example")
    monkeypatch.setattr(AsyncMailer, "check", check)
    recapito("check", "anna", code=None)
    assert handed
    assert all(draft.secrets["password"] != Secret("pl4nted") for draft in handed)
