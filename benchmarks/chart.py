"""The picture of the comparison: one group of bars a workload, as long as the rate beside nodemailer's."""

from collections.abc import Mapping
from xml.sax.saxutils import escape

__all__ = ["picture"]

COLOURS = {
    "recapito": "#2563eb", "nodemailer": "#f59e0b", "Django": "#16a34a", "aiosmtplib": "#a855f7", "smtplib": "#94a3b8",
}  # fmt: skip
LEFT, WIDTH, BAR, GAP, HEAD = 250, 900, 17, 26, 64
ROOM = WIDTH - LEFT - 130


def picture(groups: Mapping[str, Mapping[str, tuple[float, float]]], caption: str) -> str:
    """An SVG. ``groups`` are workloads, each with peers and their messages a second, and the ratio to nodemailer's."""
    most = max(ratio for peers in groups.values() for _, ratio in peers.values())
    rows: list[str] = []
    top = HEAD
    for name, peers in groups.items():
        middle = top + len(peers) * BAR / 2 + 4
        rows.append(f'<text x="{LEFT - 14}" y="{middle:.0f}" class="name">{escape(name)}</text>')
        for peer, (rate, ratio) in peers.items():
            length = max(2.0, ratio / most * ROOM)
            rows.append(
                f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR - 3}" rx="2" fill="{COLOURS[peer]}"/>'
            )
            label = f"{rate:,.0f}/s" if rate >= 20 else f"{rate:.1f}/s"
            weight = ' class="own"' if peer == "recapito" else ""
            rows.append(
                f'<text x="{LEFT + length + 8:.1f}" y="{top + BAR - 6}"{weight}>{label} · {ratio:.2g}×</text>'
            )
            top += BAR
        top += GAP
    legend, x = [], LEFT
    for peer, colour in COLOURS.items():
        legend.append(f'<rect x="{x}" y="30" width="12" height="12" rx="2" fill="{colour}"/>')
        legend.append(f'<text x="{x + 17}" y="40">{peer}</text>')
        x += 34 + len(peer) * 8
    height = top + 16
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" font-size="13"
  font-family="system-ui, sans-serif"><title>Messages a second beside nodemailer</title>
<style>text {{ fill: #1f2937 }} .name {{ text-anchor: end; font-weight: 600 }} .own {{ font-weight: 600 }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #e5e7eb }} }}</style>
<text x="{LEFT}" y="18" class="own">Messages a second; × is beside nodemailer</text>
{"".join(legend)}
{chr(10).join(rows)}
<text x="{LEFT}" y="{height - 6}" font-size="11">{escape(caption)}</text>
</svg>
"""
