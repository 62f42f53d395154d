"""Attachments: whatever they come from, they arrive whole, under their name and type."""

import gzip
import io
import os
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recapito.errors import InvalidMessage
from recapito.message import Attachment, Message
from recapito.rendering import render

DATA = bytes(range(256)) * 300


def attached(arrived: Any) -> Any:
    (part,) = arrived.message.iter_attachments()
    return part


def octets(arrived: Any) -> bytes:
    data: bytes = attached(arrived).get_payload(decode=True)
    return data


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    path = tmp_path / "fattura è.pdf"
    path.write_bytes(DATA)
    return path


def test_a_path_is_attached_under_its_last_part(send: Any, pdf: Path) -> None:
    for given in (pdf, str(pdf), Attachment(pdf)):
        arrived = send(Message(to=["a@x.it"], text="ciao", attachments=[given]))
        assert octets(arrived) == DATA
        assert attached(arrived).get_filename() == "fattura è.pdf"
        assert attached(arrived).get_content_type() == "application/pdf"
        assert attached(arrived).get_content_disposition() == "attachment"


def test_a_relative_path_is_attached(send: Any, pdf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pdf.parent)
    assert octets(send(Message(to=["a@x.it"], attachments=[pdf.name]))) == DATA


def test_bytes_stay_bytes(send: Any) -> None:
    for given in (("a.bin", DATA), Attachment(DATA, "a.bin"), Attachment(DATA, "a.bin", "text/plain")):
        assert octets(send(Message(to=["a@x.it"], attachments=[given]))) == DATA


def test_names_and_types_that_are_given_are_used(send: Any, pdf: Path) -> None:
    given = Attachment(pdf, "Città.csv", 'Text/CSV; charset="iso-8859-1"; header=present')
    part = attached(send(Message(to=["a@x.it"], attachments=[given])))
    assert part.get_filename() == "Città.csv"
    assert dict(part["Content-Type"].params) == {"charset": "iso-8859-1", "header": "present"}
    assert part.get_content_type() == "text/csv"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.PDF", "application/pdf"),
        ("a.xml.p7m", "application/pkcs7-mime"),
        ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.csv", "text/csv"),
        ("a.txt", "text/plain"),
        ("a.jpeg", "image/jpeg"),
        ("a.tar.gz", "application/gzip"),
        ("a.eml", "application/octet-stream"),
        ("a.unknown", "application/octet-stream"),
        ("pdf", "application/octet-stream"),
        ("Makefile", "application/octet-stream"),
    ],
)
def test_the_type_is_found_by_the_name(send: Any, name: str, content_type: str) -> None:
    assert (
        attached(send(Message(to=["a@x.it"], attachments=[(name, b"x")]))).get_content_type() == content_type
    )


NAMES = [
    "fattura.pdf",
    "Fattura n. 12 è pronta.pdf",
    'virgolette "doppie".pdf',
    "barra\\rovescia.pdf",
    "percento%20e'apice.pdf",
    "=?utf-8?q?ciao?=.pdf",
    "🎉.png",
    "..pdf",
    "a;b=c.pdf",
    "n" * 200 + ".pdf",
    "perché no? " * 25 + ".pdf",
    "佐藤" * 100 + ".pdf",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_name_arrives_right_in_short_lines(send: Any, name: str) -> None:
    arrived = send(Message(to=["a@x.it"], attachments=[(name, b"x")]))
    assert attached(arrived).get_filename() == name
    (part,) = arrived.content.parts()
    assert part.filename == name
    assert arrived.octets.isascii()
    assert max(map(len, arrived.octets.split(b"\r\n"))) <= 78


def test_an_open_file_is_read_from_where_it_stands_and_stays_there(send: Any, pdf: Path) -> None:
    with pdf.open("rb") as file:
        file.read(1000)
        message = Message(to=["a@x.it"], attachments=[Attachment(file)])
        for _ in range(2):
            assert octets(send(message)) == DATA[1000:]
            assert file.tell() == 1000
        assert attached(send(message)).get_filename() == "fattura è.pdf"


def test_an_open_file_may_be_closed_once_the_message_is_taken(profile: Any, read: Any, pdf: Path) -> None:
    with pdf.open("rb") as file:
        content = render(Message(to=["a@x.it"], attachments=[Attachment(file)]), profile).content
    assert content.size == len(read(content))


def test_what_was_written_and_not_flushed_is_attached(send: Any) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(DATA)
        file.seek(10)
        assert octets(send(Message(to=["a@x.it"], attachments=[Attachment(file, "a.bin")]))) == DATA[10:]


def memory() -> io.BytesIO:
    return io.BytesIO(DATA)


def spooled() -> Any:
    file = tempfile.SpooledTemporaryFile(1000)  # noqa: SIM115 (closed with the test)
    file.write(DATA)
    file.seek(0)
    return file


def compressed() -> gzip.GzipFile:
    return gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(DATA)))


def zipped() -> Any:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bin", DATA)
    return zipfile.ZipFile(buffer).open("a.bin")


def write_and_close(descriptor: int) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(DATA)


def pipe() -> Any:
    reading, writing = os.pipe()
    threading.Thread(target=write_and_close, args=(writing,), daemon=True).start()
    return os.fdopen(reading, "rb")


@pytest.mark.parametrize("make", [memory, spooled, compressed, zipped, pipe])
def test_what_only_looks_like_a_file_is_read_whole(send: Any, make: Callable[[], Any]) -> None:
    with make() as file:
        assert octets(send(Message(to=["a@x.it"], attachments=[Attachment(file, "a.bin")]))) == DATA


def test_what_can_seek_gives_the_same_to_a_second_message(send: Any) -> None:
    for file in (memory(), spooled(), zipped()):
        with file:
            message = Message(to=["a@x.it"], attachments=[Attachment(file, "a.bin")])
            assert octets(send(message)) == octets(send(message)) == DATA


def test_a_large_stream_is_kept_in_a_file(send: Any) -> None:
    class Stream(io.RawIOBase):
        left = 60

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            if not self.left:
                return 0
            self.left -= 1
            buffer[:] = b"x" * len(buffer)
            return len(buffer)

    stream: Any = Stream()
    arrived = send(Message(to=["a@x.it"], attachments=[Attachment(stream, "a.bin")]))
    assert octets(arrived) == b"x" * (60 << 16)


def test_a_named_pipe_is_read_to_its_end(send: Any, tmp_path: Path) -> None:
    fifo = tmp_path / "a.bin"
    os.mkfifo(fifo)
    # A reader first, since a pipe opens for writing only when there is one.
    waiting = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    thread = threading.Thread(target=write_and_close, args=(os.open(fifo, os.O_WRONLY),), daemon=True)
    thread.start()
    try:
        arrived = send(Message(to=["a@x.it"], attachments=[fifo]))
    finally:
        thread.join(10)
        os.close(waiting)
    assert octets(arrived) == DATA


def test_a_pipe_that_nobody_writes_to_is_refused_at_once(refused: Any, tmp_path: Path) -> None:
    fifo = tmp_path / "a.bin"
    os.mkfifo(fifo)
    refused(Message(to=["a@x.it"], attachments=[fifo]), "FILE-PIPE")


def test_a_device_without_an_end_is_refused(refused: Any) -> None:
    refused(Message(to=["a@x.it"], attachments=["/dev/zero"]), "FILE-KIND")


def test_what_is_not_there_or_no_file_is_refused_by_its_name(refused: Any, tmp_path: Path) -> None:
    missing = tmp_path / "manca.pdf"
    error = refused(Message(to=["a@x.it"], attachments=[missing]), "FILE-MISSING")
    assert "manca.pdf" in str(error)
    assert "manca.pdf" in str(refused(Message(to=["a@x.it"], attachments=[str(missing)]), "FILE-MISSING"))
    folder = tmp_path / "cartella"
    folder.mkdir()
    assert "cartella" in str(refused(Message(to=["a@x.it"], attachments=[folder]), "FILE-FOLDER"))
    loop = tmp_path / "giro.pdf"
    loop.symlink_to(loop)
    assert "giro.pdf" in str(refused(Message(to=["a@x.it"], attachments=[loop]), "FILE-UNREADABLE"))


@pytest.fixture
def without_rights(pdf: Path) -> Iterator[Path]:
    """A file that this process may not read, even where the tests run as root."""
    pdf.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield pdf
    os.seteuid(user)


def test_a_file_that_may_not_be_read_is_refused_by_its_name(profile: Any, without_rights: Path) -> None:
    with pytest.raises(InvalidMessage, match=r"FILE-UNREADABLE: .*fattura è.pdf"):
        render(Message(to=["a@x.it"], attachments=[without_rights]), profile)


def test_a_closed_file_is_refused(refused: Any, pdf: Path) -> None:
    with pdf.open("rb") as file:
        pass
    refused(Message(to=["a@x.it"], attachments=[Attachment(file)]), "FILE-UNREADABLE")


def test_a_file_opened_as_text_is_refused(refused: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("ciao")
    with path.open() as file:
        refused(Message(to=["a@x.it"], attachments=[Attachment(file)]), "FILE-TEXT")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given", [12, None, ("a.pdf",), ("a.pdf", "text"), ("a.pdf", b"x", "application/pdf")]
)
def test_what_cannot_be_attached_is_refused(refused: Any, given: Any) -> None:
    refused(Message(to=["a@x.it"], attachments=[given]), "FILE-SOURCE")


def test_a_source_without_a_name_gets_one(send: Any) -> None:
    assert (
        attached(send(Message(to=["a@x.it"], attachments=[Attachment(b"x")]))).get_filename() == "attachment"
    )


def descriptors() -> list[str]:
    """What this process holds open."""
    return [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]


def test_files_are_closed_when_a_later_one_is_refused(refused: Any, pdf: Path) -> None:
    before = len(descriptors())
    refused(Message(to=["a@x.it"], attachments=[pdf, pdf, pdf.parent / "manca.pdf"]), "FILE-MISSING")
    assert len(descriptors()) == before


def test_files_stay_open_until_the_content_is_closed_or_forgotten(profile: Any, pdf: Path) -> None:
    def held() -> int:
        return descriptors().count(str(pdf))

    message = Message(to=["a@x.it"], attachments=[pdf, pdf])
    content = render(message, profile).content
    assert held() == 2
    more = content.with_header("X-A", "b")
    content.close()
    content.close()
    assert held() == 0
    more.close()

    content = render(message, profile).content
    assert held() == 2
    del content
    assert held() == 0
