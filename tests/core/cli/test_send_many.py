"""send-many: the list is checked whole, sent once, and a second run sends only what is left."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recapito.limits import Limits, Rate
from recapito.testing import SmtpServer

Run = Callable[..., Any]
ROWS = [
    ("a@x.it", "Estratto 1", "uno", "statement:1"),
    ("b@x.it", "Estratto 2", "due; e ½", "statement:2"),
    ("c@x.it; d@x.it", "Estratto 3", "tre", "statement:3"),
]


def write(rows: list[tuple[str, ...]] = ROWS, header: str = "to,subject,text,reference") -> str:
    lines = [header, *(",".join(f'"{cell}"' for cell in row) for row in rows)]
    Path("list.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "list.csv"


def recipients(server: SmtpServer) -> list[tuple[str, ...]]:
    return sorted(message.rcpt_tos for message in server.messages)


def test_each_row_is_a_message(anna: Run, server: SmtpServer) -> None:
    Path("listino.pdf").write_bytes(b"%PDF price list")
    rows = [("a@x.it", "c@x.it", "d@x.it", "Listino", "In allegato.", "<p>In allegato.</p>", "listino.pdf")]
    ended = anna("send-many", "anna", write(rows, "to,cc,bcc,subject,text,html,attach"))
    (arrived,) = server.messages
    assert arrived.rcpt_tos == ("a@x.it", "c@x.it", "d@x.it")
    assert arrived.message["Subject"] == "Listino"
    assert arrived.message.get_body("html").get_content() == "<p>In allegato.</p>"
    (attached,) = arrived.message.iter_attachments()
    assert attached.get_content() == b"%PDF price list"
    assert ended.out == "accepted: 1\n"
    assert "1 message to send, to 3 recipients" in ended.err


def test_headings_may_be_italian_and_the_separator_a_semicolon(anna: Run, server: SmtpServer) -> None:
    Path("lista.csv").write_bytes("destinatario;oggetto;testo\r\na@x.it;Però;è\r\n".encode("cp1252"))
    ended = anna("--lang", "it", "send-many", "anna", "lista.csv")
    assert server.messages[0].message["Subject"] == "Però"
    assert ended.out == "accettato: 1\n"


def test_a_folder_of_ready_messages_is_sent_by_name(anna: Run, server: SmtpServer) -> None:
    Path("out").mkdir()
    for number in (2, 1):
        text = f"From: anna@example.it\r\nTo: n{number}@x.it\r\nSubject: {number}\r\n\r\nx\r\n"
        Path(f"out/{number}.eml").write_text(text)
    Path("out/readme.txt").write_text("not a message")
    ended = anna("send-many", "anna", "out", "--connections", "1", "--json")
    assert [line["place"] for line in ended.lines[:-1]] == ["1.eml", "2.eml"]
    assert recipients(server) == [("n1@x.it",), ("n2@x.it",)]
    assert anna("send-many", "anna", "out").out == "accepted before: 2\n"
    assert len(server.messages) == 2


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_every_fault_is_named_and_nothing_is_sent(
    anna: Run, server: SmtpServer, options: tuple[str, ...]
) -> None:
    rows = [
        ("a@x.it", "ok", ""),
        ("no address", "bad", ""),
        ("b@x.it", "file", "missing.pdf"),
        ("", "nobody", ""),
    ]
    ended = anna("send-many", "anna", write(rows, "to,subject,attach"), *options, code=6)
    told = ended.out + ended.err
    assert "line 2" not in told
    for place, culprit in (("line 3", "no address"), ("line 4", "missing.pdf"), ("line 5", "")):
        assert place in told
        assert culprit in told
    assert "Nothing was sent." in ended.err
    assert server.messages == []


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("to,subjct", "'subjct'"),
        ("subject,text", "no column to"),
        ("to,a", "there twice"),
        ("", "is empty"),
    ],
)
def test_a_list_that_is_none_is_a_usage_error(anna: Run, server: SmtpServer, header: str, told: str) -> None:
    Path("list.csv").write_text(f"{header}\nx@x.it,y\n" if header else "")
    assert told in anna("send-many", "anna", "list.csv", code=2).err
    assert server.connections == 0


def test_a_row_with_more_cells_than_the_header_is_a_usage_error(anna: Run) -> None:
    Path("list.csv").write_text("to,text\na@x.it,Hello, Anna\n")
    assert "line 2: has more cells" in anna("send-many", "anna", "list.csv", code=2).err


def test_a_list_that_is_not_there_is_a_usage_error(anna: Run) -> None:
    assert "No such file" in anna("send-many", "anna", "nowhere.csv", code=2).err


def test_a_second_run_sends_only_what_was_not_accepted(anna: Run, server: SmtpServer) -> None:
    server.refuse("rcpt", "450 4.2.1 try later", address="d@x.it")
    server.refuse("rcpt", "450 4.2.1 try later", address="b@x.it")
    first = anna("send-many", "anna", write(), "--json", code=7)
    assert {line["reference"]: line["outcome"] for line in first.lines[:-1]} == {
        "statement:1": "accepted",
        "statement:2": "not_sent",
        "statement:3": "accepted",
    }
    server.allow()
    second = anna("send-many", "anna", "list.csv")
    assert recipients(server) == [("a@x.it",), ("b@x.it",), ("c@x.it",), ("d@x.it",)]
    assert second.out == "accepted: 2 · accepted before: 1\n"
    assert anna("send-many", "anna", "list.csv").out == "accepted before: 3\n"


def test_rows_without_a_reference_are_known_again_by_what_they_say(anna: Run, server: SmtpServer) -> None:
    rows = [("a@x.it", "one"), ("a@x.it", "one"), ("b@x.it", "two")]
    anna("send-many", "anna", write(rows, "to,subject"))
    assert len(server.messages) == 3
    rows = [("c@x.it", "new"), *rows[:2], ("b@x.it", "changed")]
    ended = anna("send-many", "anna", write(rows, "to,subject"))
    assert ended.out == "accepted: 2 · accepted before: 2\n"
    assert len(server.messages) == 5


def test_what_is_unknown_is_told_and_not_repeated_unasked(anna: Run, server: SmtpServer) -> None:
    server.drop("content", address="b@x.it")
    first = anna("send-many", "anna", write(), "--connections", "1", code=8)
    assert "unknown: line 3, b@x.it" in first.out
    server.allow()
    second = anna("send-many", "anna", "list.csv", code=8)
    assert "unknown from an earlier run, not sent: line 3, b@x.it" in second.err
    assert "not repeated: 1" in second.out
    assert ("b@x.it",) not in recipients(server)
    anna("send-many", "anna", "list.csv", "--again")
    assert recipients(server).count(("b@x.it",)) == 1
    assert anna("send-many", "anna", "list.csv").out == "accepted before: 3\n"


def test_every_message_that_failed_is_listed_and_each_problem_explained_once(
    anna: Run, server: SmtpServer
) -> None:
    server.refuse("rcpt", "550 5.1.1 unknown user", address="a@x.it")
    server.refuse("rcpt", "550 5.1.1 unknown user", address="b@x.it")
    ended = anna("send-many", "anna", write(), code=7)
    assert "refused: line 2, a@x.it" in ended.out
    assert "refused: line 3, b@x.it" in ended.out
    assert ended.out.count("RCPT-UNKNOWN") == 1
    assert ended.out.endswith("accepted: 1 · refused: 2\n")


def test_a_dry_run_sends_nothing_and_says_how_long_it_takes(anna: Run, server: SmtpServer) -> None:
    anna("profile", "set", "anna", "--limit", "1/h")
    ended = anna("send-many", "anna", write(), "--dry-run", "--json")
    assert "3 messages to send, to 4 recipients" in ended.err
    assert "take at least 2 h: 1 message in 1 h." in ended.err
    assert ended.json["summary"]["limits_seconds"] == 7200
    assert server.messages == []


def test_json_is_a_line_for_each_receipt_and_a_summary(anna: Run, server: SmtpServer) -> None:
    ended = anna("send-many", "anna", write(), "--json", "--quiet")
    *receipts, last = ended.lines
    assert [line["place"] for line in receipts] == ["line 2", "line 3", "line 4"]
    assert last["summary"]["accepted"] == last["summary"]["messages"] == 3
    assert ended.err == ""


def test_an_operator_without_a_profile_is_not_configured(anna: Run) -> None:
    assert "PROFILE-UNKNOWN" in anna("send-many", "bruno", write(), code=3).err


def test_a_paused_profile_holds_all_of_it(anna: Run, server: SmtpServer) -> None:
    anna("profile", "pause", "anna")
    assert anna("send-many", "anna", write(), code=4).out.endswith("held: 3\n")
    assert server.messages == []


def test_ctrl_c_ends_it_in_order_and_the_next_run_goes_on(anna: Run, server: SmtpServer, home: Path) -> None:
    server.delay = 0.03
    rows = [(f"n{number}@x.it", f"Estratto {number}") for number in range(200)]
    write(rows, "to,subject")
    command = [sys.executable, "-m", "recapito", "send-many", "anna", "list.csv", "--connections", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        while len(server.messages) < 10:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert "goes on where it stopped" in err
    assert "Traceback" not in err
    arrived = len(server.messages)
    assert arrived < 200
    server.delay = 0.0
    anna("send-many", "anna", "list.csv")
    assert sorted(recipients(server)) == sorted((to,) for to, _subject in rows)


@pytest.mark.parametrize(
    ("rates", "messages", "recipients", "seconds"),
    [
        ((), 5_000, 5_000, 0.0),
        ((Rate(30, 60.0),), 2_000, 2_000, 3_960.0),
        ((Rate(200, 1_200.0),), 2_000, 2_000, 10_800.0),
        ((Rate(30, 60.0),), 30, 30, 0.0),
        ((Rate(30, 60.0),), 31, 31, 60.0),
        ((Rate(30, 60.0), Rate(10, 86_400.0, "recipients")), 5, 25, 172_800.0),
        ((Rate(0, 1.0),), 5, 5, 0.0),
    ],
)
def test_limits_say_how_long_it_takes_at_least(
    rates: tuple[Rate, ...], messages: int, recipients: int, seconds: float
) -> None:
    assert Limits(rates=rates).seconds_for(messages, recipients) == seconds


def test_it_says_through_what_it_sends(anna: Run) -> None:
    assert "3 messages to send, to 4 recipients, through anna (smtp_basic)" in (
        anna("send-many", "anna", write(), "--dry-run").err
    )


def test_who_refused_is_asked_again_by_the_next_run_and_the_others_are_not(
    anna: Run, server: SmtpServer
) -> None:
    server.refuse("rcpt", "550 5.1.1 unknown user", address="d@x.it")
    first = anna("send-many", "anna", write(), code=7)
    assert "refused: line 4, d@x.it  550 5.1.1 unknown user" in first.out
    server.allow()
    assert anna("send-many", "anna", "list.csv").out == "accepted: 1 · accepted before: 2\n"
    assert recipients(server) == [("a@x.it",), ("b@x.it",), ("c@x.it",), ("d@x.it",)]


def test_a_reference_that_stands_twice_names_two_messages_and_takes_no_other_name(
    anna: Run, server: SmtpServer
) -> None:
    rows = [("a@x.it", "r"), ("b@x.it", "r"), ("c@x.it", "r#2")]
    ended = anna("send-many", "anna", write(rows, "to,reference"), "--json")
    assert [line["reference"] for line in ended.lines[:-1]] == ["r", "r#3", "r#2"]
    assert anna("send-many", "anna", "list.csv").out == "accepted before: 3\n"


def test_a_message_that_the_mailbox_does_not_take_is_a_fault_of_the_list(
    anna: Run, server: SmtpServer
) -> None:
    anna("profile", "set", "anna", "--limit", "size=20kB")
    rows = [("a@x.it", "x"), ("b@x.it", "x" * 30_000)]
    ended = anna("send-many", "anna", write(rows, "to,text"), code=6)
    assert "line 3" in ended.err
    assert "MSG-TOO-BIG" in ended.err
    assert server.messages == []


def test_a_problem_of_all_messages_is_explained_once(anna: Run) -> None:
    anna("profile", "pause", "anna")
    assert anna("send-many", "anna", write(), code=4).out.count("PROFILE-PAUSED") == 1
