"""Replies are read whole or not at all, whatever the server sends."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recapito.smtp.reply import LINE_LIMIT, LINES_LIMIT, Garbled, Reply, ReplyParser

TALK = b"250-mail.example.it\r\n250-SIZE 1000\r\n250 AUTH PLAIN\r\n550 5.1.1 unknown\r\n354\r\n"


def read(data: bytes) -> list[Reply]:
    return ReplyParser().feed(data)


def test_a_reply_has_status_enhanced_code_and_words() -> None:
    [reply] = read(b"550 5.1.1 No such user\r\n")
    assert (reply.status, reply.enhanced, reply.text) == (550, "5.1.1", "No such user")
    assert str(reply) == "550 5.1.1 No such user"


def test_lines_of_one_reply_are_joined_and_the_repeated_code_is_left_out() -> None:
    [reply] = read(b"535-5.7.8 Username and Password not accepted.\r\n535 5.7.8  BadCredentials\r\n")
    assert str(reply) == "535 5.7.8 Username and Password not accepted.\nBadCredentials"


@given(st.lists(st.integers(0, len(TALK)), max_size=8))
def test_where_the_bytes_were_cut_does_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(TALK)]
    parser = ReplyParser()
    replies = [reply for start, end in itertools.pairwise(edges) for reply in parser.feed(TALK[start:end])]
    assert [reply.status for reply in replies] == [250, 550, 354]
    assert replies[0].lines == ("mail.example.it", "SIZE 1000", "AUTH PLAIN")
    assert not parser.pending


def test_a_bare_line_feed_ends_a_line_too() -> None:
    assert [reply.status for reply in read(b"250 a\n250 b\r\n")] == [250, 250]


def test_what_has_begun_is_pending() -> None:
    parser = ReplyParser()
    parser.feed(b"250-half\r\n")
    assert parser.pending


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n",
        b"25 x\r\n",
        b"2500 x\r\n",
        b"199 x\r\n",
        b"650 x\r\n",
        b"250+x\r\n",
        b"\r\n",
        b"\xff\xfe\r\n",
        b"250-a\r\n251 b\r\n",
        b"\x00250 x\r\n",
        "\u0662\u0665\u0660 x\r\n".encode(),
    ],
)
def test_what_is_no_reply_is_garbled(garbage: bytes) -> None:
    with pytest.raises(Garbled):
        read(garbage)


def test_a_line_has_an_end() -> None:
    parser = ReplyParser()
    for _ in range(LINE_LIMIT):
        parser.feed(b"2")
    with pytest.raises(Garbled):
        parser.feed(b"2")
    with pytest.raises(Garbled):
        read(b"250 " + b"x" * LINE_LIMIT + b"\r\n")


def test_a_reply_has_an_end() -> None:
    assert read(b"250-x\r\n" * (LINES_LIMIT - 1) + b"250 x\r\n")
    with pytest.raises(Garbled):
        read(b"250-x\r\n" * (LINES_LIMIT + 1))
    with pytest.raises(Garbled):
        read((b"250-" + b"x" * 10_000 + b"\r\n") * 10)


def test_words_are_plain_text() -> None:
    [reply] = read("550 5.7.1 <script>\x1b[31mred\x1b[0m\x00\u202enoil\r\n".encode())
    assert reply.text == "<script>rednoil"
    assert reply.clean


def test_words_that_are_no_utf8_are_shown_and_marked() -> None:
    [reply] = read("250 è accettato\r\n".encode("latin-1"))
    assert reply.text == "è accettato"
    assert not reply.clean


def test_words_are_capped() -> None:
    [reply] = read(b"550 " + b"x" * 10_000 + b"\r\n")
    assert len(reply.text) <= 2001
