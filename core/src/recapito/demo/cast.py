"""Who is in the demo, and what they send. Names, addresses and numbers are invented."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

__all__ = ["CAST", "COMPANIES", "Actor", "Company", "Item", "Way"]

#: How an actor's mail leaves: through a server with a password, or with a sign-in.
Way = Literal["ssl", "starttls", "google", "microsoft"]


@dataclass(frozen=True, slots=True)
class Company:
    """A company that invoices."""

    id: str
    name: str
    address: str
    vat: str
    domain: str


@dataclass(frozen=True, slots=True)
class Item:
    """One row of an invoice; the price is without VAT."""

    text: str
    quantity: Decimal
    price: Decimal

    @property
    def amount(self) -> Decimal:
        """Quantity by price."""
        return (self.quantity * self.price).quantize(Decimal("0.01"))


@dataclass(frozen=True, slots=True)
class Actor:
    """An operator: the company, the way their mail leaves, and their invoice.

    ``password`` is their mailbox's, ``typed`` what they typed; who signs in has neither.
    """

    id: str
    name: str
    company: Company
    way: Way
    number: str
    customer: str
    to: str
    items: tuple[Item, ...]
    password: str = "parola-segreta-1"
    typed: str = "parola-segreta-1"

    @property
    def address(self) -> str:
        """Their mailbox."""
        return f"{self.id}@{self.company.domain}"

    @property
    def signs_in(self) -> bool:
        """Whether they sign in, instead of typing a password."""
        return self.way in ("google", "microsoft")

    @property
    def security(self) -> str:
        """How the connection is encrypted."""
        return "https" if self.signs_in else self.way


_ROSSI = Company(
    "rossi", "Rossi Ferramenta S.r.l.", "Via Garibaldi 12, 37121 Verona", "01234560231", "rossi.example"
)
_BIANCHI = Company(
    "bianchi", "Bianchi & Figli S.p.A.", "Corso Torino 7, 16129 Genova", "09876540102", "bianchi.example"
)

COMPANIES = (_ROSSI, _BIANCHI)


def _item(text: str, quantity: str, price: str) -> Item:
    return Item(text, Decimal(quantity), Decimal(price))


CAST = (
    Actor(
        "anna",
        "Anna Verdi",
        _ROSSI,
        "ssl",
        "12/2026",
        "Falegnameria Però di Niccolò Però",
        "amministrazione@falegnameria.example",
        (
            _item("Cerniere in ottone, confezione da 10", "14", "18.50"),
            _item("Viti autofilettanti 4x40, scatola", "25", "6.20"),
            _item("Consegna a domicilio", "1", "15.00"),
        ),
    ),
    Actor(
        "bruno",
        "Bruno Gallo",
        _ROSSI,
        "starttls",
        "13/2026",
        "Officina Meccanica Lucà",
        "ordini@officina-luca.example",
        (
            _item("Trapano a colonna, velocità variabile", "1", "489.00"),
            _item("Serie punte HSS-Co 1-13 mm", "2", "64.90"),
        ),
    ),
    Actor(
        "carla",
        "Carla D'Amico",
        _BIANCHI,
        "google",
        "A-204/2026",
        "Trattoria La Città Vecchia",
        "conti@cittavecchia.example",
        (
            _item("Olio extravergine DOP, lattina 5 l", "12", "47.00"),
            _item("Acciughe sotto sale, vaso 1 kg", "6", "23.80"),
            _item("Sconto fedeltà", "1", "-20.00"),
        ),
    ),
    Actor(
        "elena",
        "Elena Riva",
        _BIANCHI,
        "microsoft",
        "A-206/2026",
        "Enoteca Perché No",
        "acquisti@perche-no.example",
        (
            _item("Vermentino DOC, cartone da 6", "10", "58.80"),
            _item("Pesto genovese DOP, vaso 500 g", "20", "9.40"),
        ),
    ),
    Actor(
        "dario",
        "Dario Neri",
        _BIANCHI,
        "ssl",
        "A-205/2026",
        "Panificio Il Forno di Zoe",
        "fatture@fornozoe.example",
        (_item("Farina tipo 1, sacco 25 kg", "8", "31.50"),),
        typed="parola-sbagliata",
    ),
)
