import pytest

from recapito.cli.csv_columns import columns_of, security_of
from recapito.cli.csv_file import CsvProblem, read_table
from recapito.plugins import Plugins

TEXT = "operatore;email;nome\nanna;anna@libero.it;Niccolò Però\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("separator", [";", ",", "\t", "|"])
def test_separator_and_encoding_are_found_out(encoding: str, separator: str) -> None:
    table = read_table(TEXT.replace(";", separator).encode(encoding))
    assert table.separator == separator
    assert table.header == ["operatore", "email", "nome"]
    assert table.rows[0].cells == ["anna", "anna@libero.it", "Niccolò Però"]


def test_a_separator_inside_quotes_does_not_count() -> None:
    table = read_table(b'operator,"a;b;c;d",email\nanna,x,y\n')
    assert table.separator == ","


def test_excels_own_line_about_the_separator_is_not_a_row() -> None:
    table = read_table(b"sep=,\r\noperator,email\r\nanna,a@x.it\r\n")
    assert table.header == ["operator", "email"]
    assert table.rows[0].line == 3


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    table = read_table(b'operator;ca_file\nanna;"one\ntwo"\n\nbruno;x\n')
    assert [row.line for row in table.rows] == [2, 5]


def test_rows_without_text_are_left_out() -> None:
    assert len(read_table(b"operator;email\n;;\n  ;\nanna;x\n").rows) == 1


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x89PNG\r\n\x1a\n\x00\x00", b'operator;email\n"open'])
def test_what_is_no_table_is_refused(content: bytes) -> None:
    with pytest.raises(CsvProblem):
        read_table(content)


@pytest.mark.parametrize(
    "header",
    [
        "operatore;email;nome;server;porta;sicurezza;utente;password",
        "Operator;E-mail;Name;Server;Port;Security;User;Password",
        "OPERATORE; Mittente ;nome mittente;host;Porta;Cifratura;nome utente;password",
    ],
)
def test_headings_are_understood_in_both_languages(header: str) -> None:
    names = columns_of(header.split(";"), Plugins.load())
    assert list(names.values()) == [
        "operator",
        "sender",
        "sender_name",
        "host",
        "port",
        "security",
        "username",
        "password",
    ]


def test_any_setting_of_a_transport_is_a_heading() -> None:
    assert columns_of(["ca", "nonsense"], Plugins.load()) == {0: "ca", 1: None}


@pytest.mark.parametrize(
    ("written", "port", "means"),
    [
        ("SSL", "465", "ssl"),
        ("SSL/TLS", "", "ssl"),
        ("ssl / tls", "", "ssl"),
        ("StartTLS", "587", "starttls"),
        ("TLS", "587", "starttls"),
        ("TLS", "465", "ssl"),
        ("none", "25", "none"),
    ],
)
def test_security_is_understood_as_people_write_it(written: str, port: str, means: str) -> None:
    assert security_of(written, port) == means
