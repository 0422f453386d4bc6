# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Draws bars, as SVG. Knows nothing of what they stand for."""
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 860, 330, 70  # of all, of the names, of the numbers; pixels
ROW, BAR, HEAD = 22, 14, 54


def bars(title, unit, panels):
    """panels: list of (heading, list of (name, value, colour))."""
    parts, y = [], 44
    for heading, rows in panels:
        scale = (WIDTH - LEFT - RIGHT) / max(value for _, value, _ in rows)
        parts.append(f'<text x="{LEFT}" y="{y + 22}" font-weight="bold">{escape(heading)}</text>')
        y += HEAD - ROW
        for name, value, colour in rows:
            middle = y + ROW / 2
            length = max(value * scale, 1)
            parts.append(f'<text x="{LEFT - 8}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>'
                         f'<rect x="{LEFT}" y="{middle - BAR / 2}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>'
                         f'<text x="{LEFT + length + 6:.1f}" y="{middle + 4}">{value:,.0f}</text>')
            y += ROW
    height = y + 16
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
            f'font-family="sans-serif" font-size="13" fill="#222">\n<rect width="100%" height="100%" fill="#fff"/>\n'
            f'<text x="16" y="26" font-size="15" font-weight="bold">{escape(title)}</text>\n'
            f'<text x="{WIDTH - 16}" y="26" text-anchor="end" fill="#666">{escape(unit)}</text>\n'
            + "\n".join(parts) + "\n</svg>\n")
