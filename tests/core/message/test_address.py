"""Addresses are read strictly, and one where one is meant."""

from typing import Any

import pytest

from recapito.address import parse_address, parse_address_list, same_address, unique_addresses
from recapito.errors import InvalidMessage

ONE = {
    "a@example.it": ("", "a@example.it"),
    "  a@example.it ": ("", "a@example.it"),
    "<a@example.it>": ("", "a@example.it"),
    "Anna Verdi <a@example.it>": ("Anna Verdi", "a@example.it"),
    "Rossi & C. S.r.l. (Milano) <info@rossi.it>": ("Rossi & C. S.r.l. (Milano)", "info@rossi.it"),
    "Niccolò D'Angelo <n@example.it>": ("Niccolò D'Angelo", "n@example.it"),
    '"Verdi, Anna" <a@example.it>': ("Verdi, Anna", "a@example.it"),
    '"a@x.it" <a@example.it>': ("a@x.it", "a@example.it"),
    r'"Anna \"Nina\" Verdi" <a@example.it>': ('Anna "Nina" Verdi', "a@example.it"),
    "a@caffè.it": ("", "a@xn--caff-8oa.it"),
    "a@CAFFÈ.IT": ("", "a@xn--caff-8oa.it"),
    "a@xn--caff-8oa.it": ("", "a@xn--caff-8oa.it"),
    "perché@example.it": ("", "perché@example.it"),
    "o'brien+tag=1@example.it": ("", "o'brien+tag=1@example.it"),
    "root@localhost": ("", "root@localhost"),
    '"a b"@example.it': ("", '"a b"@example.it'),
    '"anna"@example.it': ("", "anna@example.it"),
    r'"a\"b@c,d"@example.it': ("", r'"a\"b@c,d"@example.it'),
    f"{'a' * 64}@example.it": ("", f"{'a' * 64}@example.it"),
}

NONE = {
    "": "ADDR-EMPTY",
    "   ": "ADDR-EMPTY",
    "<>": "ADDR-SYNTAX",
    "anna": "ADDR-SYNTAX",
    "anna@": "ADDR-SYNTAX",
    "@example.it": "ADDR-SYNTAX",
    "a b@example.it": "ADDR-SYNTAX",
    "a@example .it": "ADDR-SYNTAX",
    "a@@example.it": "ADDR-SYNTAX",
    "a@b@example.it": "ADDR-SYNTAX",
    ".a@example.it": "ADDR-SYNTAX",
    "a.@example.it": "ADDR-SYNTAX",
    "a..b@example.it": "ADDR-SYNTAX",
    "a(comment)@example.it": "ADDR-SYNTAX",
    "a@example.it(comment)": "ADDR-SYNTAX",
    "<a@example.it": "ADDR-SYNTAX",
    "a@example.it>": "ADDR-SYNTAX",
    "Anna <a@example.it> x": "ADDR-SYNTAX",
    '""@example.it': "ADDR-SYNTAX",
    '"a"b@example.it': "ADDR-SYNTAX",
    # Some servers decode an encoded word there, and deliver to what it hides.
    "=?utf-8?q?evil=40y.it=3E?=@example.it": "ADDR-SYNTAX",
    '"a@example.it': "ADDR-SYNTAX",
    "a\u200bb@example.it": "ADDR-SYNTAX",
    "a\u00a0b@example.it": "ADDR-SYNTAX",
    "a@x.it,evil@y.it": "ADDR-SEVERAL",
    "a@x.it;evil@y.it": "ADDR-SEVERAL",
    "a@x.it, evil@y.it": "ADDR-SEVERAL",
    "a@x.it evil@y.it": "ADDR-SEVERAL",
    "Anna <a@x.it,evil@y.it>": "ADDR-SEVERAL",
    "a@x.it, Evil <evil@y.it>": "ADDR-NAME",
    "a@x.it <evil@y.it>": "ADDR-NAME",
    "Verdi, Anna <a@x.it>": "ADDR-NAME",
    "<@relay.it:a@x.it>": "ADDR-SYNTAX",
    "undisclosed:;": "ADDR-GROUP",
    "friends: a@x.it, b@y.it;": "ADDR-GROUP",
    "a@[192.0.2.1]": "ADDR-DOMAIN",
    "a@[IPv6:::1]": "ADDR-SYNTAX",
    "a@192.0.2.1": "ADDR-DOMAIN",
    "a@example..it": "ADDR-DOMAIN",
    "a@-example.it": "ADDR-DOMAIN",
    "a@example.it.": "ADDR-DOMAIN",
    "a@ex_ample.it": "ADDR-DOMAIN",
    f"a@{'b' * 64}.it": "ADDR-DOMAIN",
    "a@xn--a.it": "ADDR-DOMAIN",
    "a@℀.it": "ADDR-DOMAIN",
    f"{'a' * 65}@example.it": "ADDR-LONG",
    f"{'è' * 33}@example.it": "ADDR-LONG",
    f"a@{'b.' * 150}it": "ADDR-LONG",
    f"a@{'è.' * 150}it": "ADDR-LONG",
    f"{'n' * 3000} <a@example.it>": "ADDR-LONG",
    "a@example.it\r\nBcc: evil@y.it": "MSG-CHARACTER",
    "a@example.it\0": "MSG-CHARACTER",
    "Anna\x1b[31m <a@example.it>": "MSG-CHARACTER",
    "Anna\u2028Verdi <a@example.it>": "MSG-CHARACTER",
    "Anna\x85 <a@example.it>": "MSG-CHARACTER",
    "\ud83d <a@example.it>": "MSG-CHARACTER",
    "=?utf-8?q?=0D=0AX-Injected:_1?= <a@example.it>": "MSG-CHARACTER",
    "=?utf-8?b?DQpYLUluamVjdGVkOiAx?= <a@example.it>": "MSG-CHARACTER",
    "=?utf-7?q?+AA0ACg-X:_1?= <a@example.it>": "MSG-CHARACTER",
}


@pytest.mark.parametrize("text", ONE)
def test_an_address_is_read_whole(text: str) -> None:
    address = parse_address(text, "to")
    assert (address.name, address.addr_spec) == ONE[text]
    assert parse_address(str(address), "to") == address


@pytest.mark.parametrize("text", NONE)
def test_what_is_not_one_address_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        parse_address(text, "cc")
    assert caught.value.problem.code == NONE[text]
    assert caught.value.problem.params["field"] == "cc"
    for language in ("en", "it"):
        shown = str(caught.value.problem.explain(language))
        assert "cc" in shown
        assert shown.isprintable()
        assert len(shown) < 600


def test_what_is_no_text_is_refused() -> None:
    not_text: Any = 12
    with pytest.raises(InvalidMessage, match="MSG-TEXT"):
        parse_address(not_text, "to")


def test_domains_are_compared_as_servers_see_them() -> None:
    assert same_address("Anna <a@CAFFÈ.it>", "a@xn--caff-8oa.it")
    assert same_address("a@Example.IT", "a@example.it")
    assert not same_address("a@example.it", "A@example.it")
    assert not same_address("a@example.it", "a@example.com")


def test_a_mailbox_is_kept_once_where_it_came_first() -> None:
    texts = ["b@x.it", "a@x.it", "B <b@X.it>", '"a"@x.it']
    kept = unique_addresses(parse_address(text, "to") for text in texts)
    assert [str(address) for address in kept] == ["b@x.it", "a@x.it"]


LISTS = {
    "a@x.it": ["a@x.it"],
    "a@x.it, B <b@y.it>,,": ["a@x.it", '"B" <b@y.it>'],
    '"Verdi, Anna" <a@x.it>, b@y.it': ['"Verdi, Anna" <a@x.it>', "b@y.it"],
    "=?utf-8?q?Verdi=2C_Anna?= <a@x.it>": ['"Verdi, Anna" <a@x.it>'],
    "=?utf-8?b?w6g=?= =?utf-8?b?w6g=?= <a@x.it>": ['"èè" <a@x.it>'],
    "=?utf-8?b?ww==?= =?utf-8?b?qA==?= <a@x.it>": ['"è" <a@x.it>'],
    "a@x.it (Anna, the one), (x) b@y.it": ["a@x.it", "b@y.it"],
    "undisclosed-recipients:;": [],
    "undisclosed-recipients: ;, a@x.it": ["a@x.it"],
    "Rossi S.r.l. <a@x.it>": ['"Rossi S.r.l." <a@x.it>'],
    "": [],
}


@pytest.mark.parametrize("text", LISTS)
def test_a_list_of_a_ready_message_is_read_whole(text: str) -> None:
    assert [str(address) for address in parse_address_list(text, "To")] == LISTS[text]


@pytest.mark.parametrize(
    "text",
    [
        "a@x.it;evil@y.it",
        "a@x.it <evil@y.it>",
        "a@x.it evil@y.it",
        "Anna <a@x.it> evil@y.it",
        "Anna <a@x.it <evil@y.it>>",
        "friends: a@x.it;",
        "friends: a@x.it",
        "a: b: c@x.it;",
        'Anna "x <a@x.it>',
        "(a@x.it",
        'a@x.it ("), evil@y.it ("")',
        "a@x.it)",
        "<@relay.it:a@x.it>",
        "anna",
        "Anna <>",
        "=?utf-8?q?a=0Ab?= <a@x.it>",
    ],
)
def test_a_list_with_a_doubtful_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidMessage):
        parse_address_list(text, "To")


def test_long_nonsense_is_refused_in_linear_time() -> None:
    # Each would take minutes if reading went back over it.
    for text in (
        "a" * 200_000,
        "a." * 100_000,
        '"' * 100_001,
        "<" * 100_000,
        "(" * 100_000,
        "=?a?q?" * 50_000,
    ):
        with pytest.raises(InvalidMessage):
            parse_address_list(text + "@", "To")
        with pytest.raises(InvalidMessage):
            parse_address(text + "@", "to")
