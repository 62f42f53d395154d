import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recapito.testing import SmtpServer

Run = Callable[..., Any]
FIELDS = {
    "outcome", "partial", "reference", "message_id", "provider_id", "server_reply", "recipients", "problem", "seconds",
}  # fmt: skip


def _object(ended: Any) -> Any:
    """The one object of a send, whatever became of it."""
    found = ended.json
    assert set(found) == FIELDS
    assert found["outcome"] in {"accepted", "refused", "not_sent", "held", "unknown"}
    assert found["problem"] is None or set(found["problem"]) == {"code", "what", "why", "do", "who", "reply"}
    assert all(set(row) == {"address", "outcome", "reply"} for row in found["recipients"])
    return found


def test_the_line_that_scripts_rely_on_sends_an_invoice(anna: Run, server: SmtpServer) -> None:
    Path("fattura.pdf").write_bytes(b"%PDF-1.7 not much of an invoice")
    ended = anna(
        *("send", "anna", "--to", "a@x.it", "--cc", "b@x.it", "--bcc", "c@x.it"),
        *(
            "--subject",
            "Fattura n. 12 è pronta",
            "--text",
            "In allegato.",
            "--attach",
            "fattura.pdf",
            "--json",
        ),
        *("--reference", "invoice:12"),
    )
    found = _object(ended)
    assert (found["outcome"], found["partial"], found["reference"]) == ("accepted", False, "invoice:12")
    assert [row["address"] for row in found["recipients"]] == ["a@x.it", "b@x.it", "c@x.it"]
    assert found["server_reply"].startswith("250 ")
    assert 0 < found["seconds"] < 60
    (arrived,) = server.messages
    assert arrived.rcpt_tos == ("a@x.it", "b@x.it", "c@x.it")
    assert arrived.message["Subject"] == "Fattura n. 12 è pronta"
    assert arrived.message["Message-ID"] == found["message_id"]
    assert b"c@x.it" not in arrived.content
    (attached,) = arrived.message.iter_attachments()
    assert attached.get_content() == b"%PDF-1.7 not much of an invoice"


@pytest.mark.parametrize("source", ["message.eml", "-"])
def test_a_ready_message_leaves_as_it_is(anna: Run, server: SmtpServer, source: str) -> None:
    ready = (
        b"Date: Wed, 25 Nov 2026 10:00:00 +0100\r\nFrom: anna@example.it\r\nMessage-ID: <1@example.it>\r\n"
        b"To: elsewhere@x.it\r\nSubject: =?utf-8?q?gi=C3=A0?= fatto\r\n\r\nciao\r\n"
    )
    Path("message.eml").write_bytes(ready)
    found = _object(anna("send", "anna", "--eml", source, "--to", "a@x.it", "--json", stdin=ready))
    assert (found["outcome"], found["message_id"]) == ("accepted", "<1@example.it>")
    assert server.messages[0].content == ready
    assert server.messages[0].rcpt_tos == ("a@x.it",)


def test_a_ready_message_goes_to_its_own_recipients_where_none_are_named(
    anna: Run, server: SmtpServer
) -> None:
    ready = b"From: anna@example.it\nTo: a@x.it\nBcc: b@x.it\nSubject: x\n\nx\n"
    anna("send", "anna", "--eml", "-", stdin=ready)
    assert server.messages[0].rcpt_tos == ("a@x.it", "b@x.it")
    assert b"b@x.it" not in server.messages[0].content


@pytest.mark.parametrize(
    "option", ["--subject", "--text", "--cc", "--bcc", "--attach", "--html", "--from", "--reply-to"]
)
def test_what_would_change_a_ready_message_is_refused(anna: Run, server: SmtpServer, option: str) -> None:
    ended = anna("send", "anna", "--eml", "-", "--to", "a@x.it", option, "x", "--json", stdin=b"x", code=2)
    assert option in ended.err
    assert _object(ended)["problem"]["code"] == "CLI-USAGE"
    assert not server.messages


def test_text_and_html_come_from_where_they_are_said_to(anna: Run, server: SmtpServer) -> None:
    Path("text.html").write_text("<p>perché</p>", encoding="utf-8")
    anna("send", "anna", "--to", "a@x.it", "--text", "-", "--html", "text.html", stdin="perché\n")
    message = server.messages[0].message
    assert message.get_body(("plain",)).get_content().rstrip() == "perché"  # type: ignore[union-attr]
    assert "<p>perché</p>" in message.get_body(("html",)).get_content()  # type: ignore[union-attr]


def test_an_alias_may_stand_in_from_and_another_address_may_not(anna: Run, server: SmtpServer) -> None:
    anna("profile", "set", "anna", "--alias", "info@example.it")
    anna("send", "anna", "--to", "a@x.it", "--from", "info@example.it", "--text", "x")
    assert server.messages[0].envelope_from == "info@example.it"
    ended = anna(
        "send", "anna", "--to", "a@x.it", "--from", "boss@example.it", "--text", "x", "--json", code=6
    )
    assert _object(ended)["outcome"] == "refused"
    assert len(server.messages) == 1


def _refused_rcpt(server: SmtpServer) -> None:
    server.refuse("rcpt", "550 5.1.1 No such user", address="a@x.it")
    server.refuse("rcpt", "550 5.1.1 No such user", address="b@x.it")


def _partly(server: SmtpServer) -> None:
    server.refuse("rcpt", "550 5.1.1 No such user", address="b@x.it")


def _later(server: SmtpServer) -> None:
    server.refuse("mail", "451 4.3.0 Try again later")


def _wrong_password(server: SmtpServer) -> None:
    server.users = {"anna": "another"}


def _lost(server: SmtpServer) -> None:
    server.drop("content")


@pytest.mark.parametrize(
    ("arrange", "outcome", "code", "problem"),
    [
        (_refused_rcpt, "refused", 6, "RCPT-UNKNOWN"),
        (_partly, "accepted", 7, "RCPT-UNKNOWN"),
        (_later, "not_sent", 5, None),
        (_wrong_password, "held", 4, "AUTH-FAILED"),
        (_lost, "unknown", 8, "UNCERTAIN"),
    ],
)
def test_each_outcome_has_its_exit_code_object_and_words(
    anna: Run,
    server: SmtpServer,
    arrange: Callable[[SmtpServer], None],
    outcome: str,
    code: int,
    problem: str | None,
) -> None:
    arrange(server)
    ended = anna("send", "anna", "--to", "a@x.it", "--cc", "b@x.it", "--text", "x", "--json", code=code)
    found = _object(ended)
    assert (found["outcome"], found["partial"]) == (outcome, code == 7)
    assert len(found["recipients"]) == 2
    assert found["problem"]["code"] == (problem or found["problem"]["code"])
    assert "pl4nted" not in ended.out + ended.err
    if code == 4:
        return  # the profile is paused now; the next send is held without trying
    shown = anna(
        "send", "anna", "--to", "a@x.it", "--cc", "b@x.it", "--text", "x", "--lang", "it", code=code
    ).out
    assert found["problem"]["code"] in shown
    assert ("✗" in shown) or code == 0


def test_a_wrong_password_pauses_the_profile_and_a_passed_check_resumes_it(
    anna: Run, server: SmtpServer
) -> None:
    server.users = {"anna": "another"}
    anna("send", "anna", "--to", "a@x.it", "--text", "x", code=4)
    assert anna("profile", "list", "--json").json["state"] == "paused"
    tries = server.login_failures
    assert (
        _object(anna("send", "anna", "--to", "a@x.it", "--text", "x", "--json", code=4))["outcome"] == "held"
    )
    assert server.login_failures == tries
    server.users = {"anna": "pl4nted"}
    anna("check", "anna")
    assert anna("profile", "list", "--json").json["state"] == "active"
    anna("send", "anna", "--to", "a@x.it", "--text", "x")


@pytest.mark.parametrize(
    ("arguments", "outcome", "code"),
    [
        (["anna", "--to", "no address"], "refused", 6),
        (["anna"], "refused", 6),
        (["anna", "--to", "a@x.it", "--subject", "a\r\nBcc: evil@x.it"], "refused", 6),
        (["anna", "--to", "a@x.it", "--attach", "missing.pdf"], "refused", 6),
        (["nobody", "--to", "a@x.it"], "held", 3),
        (["anna", "--to", "a@x.it", "--html", "missing.html"], "refused", 6),
        (["anna", "--to", "a@x.it", "--eml", "missing.eml"], "refused", 6),
        (["anna", "--to", "a@x.it", "--eml", "."], "refused", 6),
        *(
            (["anna", "--to", "a@x.it", "--timeout", text], "refused", 2)
            for text in ("soon", "nan", "inf", "0", "-1")
        ),
        ([], "refused", 2),
    ],
)
def test_bad_input_has_the_same_object_and_nothing_leaves(
    anna: Run, server: SmtpServer, arguments: list[str], outcome: str, code: int
) -> None:
    ended = anna("send", *arguments, "--json", code=code)
    assert _object(ended)["outcome"] == outcome
    assert not server.messages
    assert ended.err


def test_a_text_that_is_not_utf_8_is_refused(anna: Run, server: SmtpServer) -> None:
    ended = anna("send", "anna", "--to", "a@x.it", "--text", "-", "--json", stdin=b"perch\xe9", code=6)
    assert _object(ended)["problem"]["code"] == "CLI-FILE"
    assert not server.messages


def test_a_held_send_says_since_when_the_profile_is_paused_and_how_it_sends_again(
    anna: Run, server: SmtpServer
) -> None:
    server.users = {"anna": "another"}
    first = anna("send", "anna", "--to", "a@x.it", "--text", "x", code=4).out
    assert "is paused from now on" in first
    again = anna("send", "anna", "--to", "a@x.it", "--text", "x", code=4).out
    assert "anna is paused since 20" in again
    assert "nothing was tried now" in again
    for shown in (first, again, anna("profile", "show", "anna").out):
        assert "recapito check anna " in shown
        assert "recapito profile resume anna" in shown
    assert "anna is paused since 20" in anna("profile", "show", "anna").out
    _object(anna("send", "anna", "--to", "a@x.it", "--text", "x", "--json", code=4))


def test_a_persons_pause_is_not_said_to_end_with_a_check(anna: Run, server: SmtpServer) -> None:
    anna("profile", "pause", "anna")
    held = anna("send", "anna", "--to", "a@x.it", "--text", "x", code=4).out
    for shown in (held, anna("profile", "show", "anna").out):
        assert "anna is paused since 20" in shown
        assert "To let it send again: recapito profile resume anna" in shown
        assert "recapito check" not in shown


def test_line_ends_in_a_reference_are_written_as_escapes(anna: Run, server: SmtpServer) -> None:
    anna("send", "anna", "--to", "a@x.it", "--text", "x", "--reference", "a\n✓ accepted", "--json", code=None)
    shown = anna("profile", "show", "anna").out
    assert "\n✓" not in shown


def test_seconds_have_the_decimal_sign_of_the_language(anna: Run, server: SmtpServer) -> None:
    def shown(language: str) -> str:
        out: str = anna("send", "anna", "--to", "a@x.it", "--text", "x", "--lang", language).out
        return out.rstrip().splitlines()[-1]

    assert re.search(r", \d+,\d s$", shown("it"))
    assert re.search(r", \d+\.\d s$", shown("en"))


def test_the_timeout_bounds_it_all(anna: Run, server: SmtpServer) -> None:
    with server.hold("mail"):
        found = _object(
            anna("send", "anna", "--to", "a@x.it", "--text", "x", "--timeout", "0.8", "--json", code=5)
        )
    assert found["outcome"] == "not_sent"
    assert found["seconds"] < 10


def test_without_a_store_the_object_says_what_to_do(recapito: Run) -> None:
    ended = recapito("send", "anna", "--to", "a@x.it", "--json", code=3)
    found = _object(ended)
    assert found["problem"]["code"] == "STORE-NOWHERE"
    assert found["recipients"] == [{"address": "a@x.it", "outcome": found["outcome"], "reply": None}]


def test_an_unexpected_error_before_anything_left_is_not_sent_and_after_it_unknown(
    anna: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr("recapito.blocking.Mailer.send", broken)
    found = _object(anna("send", "anna", "--to", "a@x.it", "--json", code=8))
    assert (found["outcome"], found["problem"]["code"]) == ("unknown", "CLI-UNEXPECTED")
    monkeypatch.setattr("recapito.blocking.Mailer.__init__", broken)
    assert _object(anna("send", "anna", "--to", "a@x.it", "--json", code=1))["outcome"] == "not_sent"


def test_the_hooks_of_the_configuration_are_called(anna: Run, server: SmtpServer) -> None:
    Path("erp_footer.py").write_text(
        "from recapito import hookimpl\n"
        "@hookimpl\n"
        "def recapito_prepare_message(profile, message):\n"
        "    return message.with_(text=(message.text or '') + '\\n-- \\nDitta Srl')\n"
        "@hookimpl\n"
        "def recapito_record_receipt(profile, receipt):\n"
        "    raise ValueError('in a hook')\n",
        encoding="utf-8",
    )
    Path("recapito.toml").write_text('hooks = ["erp_footer"]\n', encoding="utf-8")
    ended = anna("send", "anna", "--to", "a@x.it", "--text", "ciao")
    assert "Ditta Srl" in server.messages[0].message.get_content()
    assert "erp_footer" in ended.err
    assert "Traceback" not in ended.err


def test_hooks_that_cannot_be_used_stop_the_send_before_it(anna: Run, server: SmtpServer) -> None:
    Path("recapito.toml").write_text('hooks = ["no_such_module_of_erp"]\n', encoding="utf-8")
    found = _object(anna("send", "anna", "--to", "a@x.it", "--json", code=3))
    assert found["problem"]["code"] == "HOOKS-BROKEN"
    assert not server.messages


def test_the_last_sends_are_shown_with_the_profile(anna: Run, server: SmtpServer) -> None:
    anna("send", "anna", "--to", "a@x.it", "--text", "x", "--reference", "invoice:1")
    server.refuse("rcpt", "550 5.1.1 No such user")
    anna("send", "anna", "--to", "b@x.it", "--text", "x", "--reference", "invoice:2", code=6)
    sends = anna("profile", "show", "anna", "--json").json["last_sends"]
    assert [(send["reference"], send["outcome"], send["to"]) for send in sends] == [
        ("invoice:2", "refused", ["b@x.it"]),
        ("invoice:1", "accepted", ["a@x.it"]),
    ]
    shown = anna("profile", "show", "anna", "--lang", "it").out
    assert "accettato" in shown
    assert "[invoice:1]" in shown
    assert len(anna("profile", "show", "anna", "--last", "1", "--json").json["last_sends"]) == 1


def test_a_receipt_without_json_names_each_recipient_and_never_says_delivered(
    anna: Run, server: SmtpServer
) -> None:
    server.refuse("rcpt", "550 5.1.1 \x1b[31mNo such user", address="b@x.it")
    shown = anna("send", "anna", "--to", "a@x.it", "--to", "b@x.it", "--text", "x", code=7).out
    assert "✓ accepted: a@x.it" in shown
    assert "✗ refused: b@x.it" in shown
    assert "\x1b" not in shown
    assert "deliver" not in shown.lower()


def test_json_is_one_line(anna: Run) -> None:
    ended = anna("send", "anna", "--to", "a@x.it", "--text", "x", "--json")
    assert ended.out.count("\n") == 1
    assert json.loads(ended.out)
    assert ended.err == ""


def test_an_interrupted_send_says_unknown_and_ends_with_130(
    anna: Run, server: SmtpServer, home: Path
) -> None:
    with server.hold("content"):
        process = subprocess.Popen(
            [sys.executable, "-m", "recapito", "send", "anna", "--to", "a@x.it", "--text", "x", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not [command for command in server.commands if command.verb.upper() == "DATA"]:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        time.sleep(0.2)  # until the content has left; before that it would be not sent
        process.send_signal(signal.SIGINT)
        out, _err = process.communicate(timeout=20)
    assert process.returncode == 130
    found = json.loads(out)
    assert set(found) == FIELDS
    assert (found["outcome"], found["problem"]["code"]) == ("unknown", "CLI-INTERRUPTED")
    (send,) = anna("profile", "show", "anna", "--json").json["last_sends"]
    assert send["outcome"] == "unknown"


def test_a_reader_that_has_enough_ends_the_run_quietly(home: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "recapito", "providers", "list", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=20) == 1
    process.stderr.close()
