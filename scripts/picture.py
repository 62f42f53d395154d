"""Draw how a profile selects a transport: the picture of the README, as SVG."""

from xml.sax.saxutils import escape

__all__ = ["picture"]

WIDTH, HEIGHT = 880, 330
INK, PAPER, LINE, CALL, CARD, WAY = "#1f2933", "#ffffff", "#7b8794", "#e6f0ff", "#fff6e0", "#e8f7ee"
FONT = 'font-family="sans-serif" font-size="14"'
TIP = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"'
ALT = "The profile of the operator selects the transport at the moment of sending"

#: Whose profile · what it says · the transport it selects · where the mail leaves.
ROWS = (
    ("anna", "anna@ditta.it", "smtp_basic", ("smtps.aruba.it", "with her password")),
    ("bruno", "bruno@gmail.com", "gmail_oauth", ("Gmail", "signed in as Bruno")),
    ("carla", "carla@gruppo.com", "ms365_oauth", ("Microsoft 365", "signed in as Carla")),
    ("dario", "dario@acme.it", "acme", ("anything else", "a plugin that you write")),
)


def picture() -> str:
    """The whole picture, as SVG text."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {FONT} role="img" aria-label="{ALT}">',
        f'<defs><marker id="tip" {TIP}><path d="M0,0 L8,4 L0,8 z" fill="{LINE}"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="12" fill="{PAPER}"/>',
        *_heading(105, "your application"),
        *_heading(345, "the operator's profile"),
        *_heading(545, "transport"),
        *_heading(755, "the mail leaves through"),
        *_box(20, 135, 170, 80, CALL, ("mailer.send(", "  operator,", "  message)"), mono=True),
    ]
    for place, (operator, sender, transport, where) in enumerate(ROWS):
        top = 52 + place * 68
        middle = top + 26
        parts += [
            *_box(260, top, 170, 52, CARD, (f"{operator}", sender)),
            *_box(480, top, 130, 52, WAY, (transport,), mono=True),
            *_box(660, top, 200, 52, PAPER, where),
            _arrow(190, 175, 258, middle),
            _arrow(430, middle, 478, middle),
            _arrow(610, middle, 658, middle),
        ]
    return "\n".join([*parts, "</svg>", ""])


def _heading(middle: int, text: str) -> list[str]:
    return [f'<text x="{middle}" y="32" text-anchor="middle" fill="{LINE}">{escape(text)}</text>']


def _box(
    x: int, y: int, width: int, height: int, fill: str, lines: tuple[str, ...], *, mono: bool = False
) -> list[str]:
    family = ' font-family="monospace"' if mono else ""
    first = y + height / 2 + 5 - (len(lines) - 1) * 9
    shapes = [
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{fill}" stroke="{LINE}"/>'
    ]
    for number, line in enumerate(lines):
        text = escape(line).replace("  ", "\u00a0\u00a0")
        shapes.append(f'<text x="{x + 14}" y="{first + number * 18:g}" fill="{INK}"{family}>{text}</text>')
    return shapes


def _arrow(x1: int, y1: int, x2: int, y2: int) -> str:
    bend = (x1 + x2) / 2
    path = f"M{x1},{y1} C{bend:g},{y1} {bend:g},{y2} {x2},{y2}"
    return f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.5" marker-end="url(#tip)"/>'
