"""What is sent in the comparison: the same texts and files for everybody."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["WORKLOADS", "Workload", "file_of"]

LINE = "A line of sixty characters, so that it is like a real text.\n"
ACCENTS = "Gentile società, l'estratto conto è in allegato: però manca già metà. «Più» – €\n"


@dataclass(frozen=True)
class Workload:
    """One kind of message: names, subject, text, and the octets of the file that goes with it (0: none)."""

    name: str
    sender_name: str
    recipient_name: str
    subject: str
    text: str
    file: int = 0


WORKLOADS = {
    each.name: each
    for each in (
        Workload("1 KB", "", "", "Invoice 12", (LINE * 17)[:1000]),
        Workload(
            "1 KB, accents", "Società Però", "Ditta Così", "Fattura nº 12 è già pronta", (ACCENTS * 13)[:1000]
        ),
        Workload("200 KB", "", "", "Invoice 12", "Attached.\n", 200_000),
        Workload("10 MB", "", "", "Invoice 12", "Attached.\n", 10_000_000),
        Workload("25 MB", "", "", "Invoice 12", "Attached.\n", 25_000_000),
    )
}


def file_of(size: int, folder: Path) -> Path:
    """A file of that size, the same octets each time; they look random, as a PDF's do."""
    path = folder / f"file-{size}.pdf"
    if not path.exists() or path.stat().st_size != size:
        block, octets = b"%PDF-1.7", bytearray()
        while len(octets) < min(size, 1 << 20):
            block = hashlib.sha512(block).digest()
            octets += block
        repeated = bytes(octets) * (size // len(octets) + 1)
        path.write_bytes(repeated[:size])
    return path
