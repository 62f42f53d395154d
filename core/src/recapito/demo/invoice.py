"""One page of PDF: an Italian invoice, made with the standard fonts alone."""

from datetime import date
from decimal import Decimal

from fpdf import FPDF, XPos, YPos

from recapito.demo.cast import Actor, Item

__all__ = ["make_invoice"]

_VAT = Decimal("0.22")
_CENT = Decimal("0.01")
_INK = (33, 37, 41)
_GREY = (108, 117, 125)
_TINT = (0, 92, 89)
_PALE = (236, 244, 243)
_WIDTHS = (96, 22, 32, 32)


def make_invoice(actor: Actor, today: date) -> bytes:
    """The invoice of ``actor`` as a PDF of one A4 page."""
    page = FPDF(format="A4")
    page.set_title(f"Fattura n. {actor.number}")
    page.set_author(actor.company.name)
    page.set_lang("it")
    page.set_margins(14, 16, 14)
    page.add_page()
    _letterhead(page, actor)
    _particulars(page, actor, today)
    _items(page, actor.items)
    _totals(page, sum((item.amount for item in actor.items), Decimal(0)))
    _footer(page)
    return bytes(page.output())


def _letterhead(page: FPDF, actor: Actor) -> None:
    page.set_fill_color(*_TINT)
    page.rect(0, 0, page.w, 6, style="F")
    _line(page, actor.company.name, size=17, style="B", colour=_TINT)
    _line(page, f"{actor.company.address}  -  P. IVA {actor.company.vat}", colour=_GREY)
    page.ln(9)


def _particulars(page: FPDF, actor: Actor, today: date) -> None:
    _line(page, f"Fattura n. {actor.number}", size=21, style="B")
    _line(page, f"del {today:%d/%m/%Y}", size=11, colour=_GREY)
    page.ln(5)
    _line(page, "Spett.le", colour=_GREY)
    _line(page, actor.customer, size=12, style="B")
    _line(page, actor.to, colour=_GREY)
    page.ln(8)


def _items(page: FPDF, items: tuple[Item, ...]) -> None:
    _row(page, ("Descrizione", "Quantità", "Prezzo EUR", "Importo EUR"), style="B", fill=True)
    for item in items:
        _row(
            page, (item.text, f"{item.quantity:f}".replace(".", ","), _money(item.price), _money(item.amount))
        )


def _totals(page: FPDF, net: Decimal) -> None:
    tax = (net * _VAT).quantize(_CENT)
    page.ln(3)
    for label, amount, style in (("Imponibile", net, ""), ("IVA 22%", tax, ""), ("Totale", net + tax, "B")):
        _row(page, ("", "", label, _money(amount)), style=style, fill=style == "B", ruled=False)


def _footer(page: FPDF) -> None:
    page.set_y(-38)
    _line(page, "Pagamento: bonifico a 30 giorni data fattura.", colour=_INK)
    _line(page, "Documento di prova, fatto da «recapito demo»: non ha valore fiscale.", size=8, colour=_GREY)


def _line(
    page: FPDF, text: str, *, size: float = 10, style: str = "", colour: tuple[int, int, int] = _INK
) -> None:
    page.set_font("helvetica", style, size)
    page.set_text_color(*colour)
    page.cell(0, size * 0.55, _latin(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _row(
    page: FPDF, cells: tuple[str, str, str, str], *, style: str = "", fill: bool = False, ruled: bool = True
) -> None:
    page.set_font("helvetica", style, 10)
    page.set_text_color(*_INK)
    page.set_fill_color(*_PALE)
    page.set_draw_color(*_PALE)
    for place, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True)):
        last = place == len(cells) - 1
        page.cell(
            width,
            8,
            _latin(cell),
            border="B" if ruled else 0,
            align="L" if place == 0 else "R",
            fill=fill and (ruled or place > 1),
            new_x=XPos.LMARGIN if last else XPos.RIGHT,
            new_y=YPos.NEXT if last else YPos.TOP,
        )


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f}".replace(",", " ").replace(".", ",").replace(" ", ".")


def _latin(text: str) -> str:
    # The standard fonts of PDF know Latin-1.
    return text.encode("latin-1", "replace").decode("latin-1")
