"""Bars as SVG, written by hand: a logarithmic scale, for costs that differ by a hundred."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from tests.bench.kept import OURS

WIDTH, ROW, LEFT, RIGHT, TITLE = 720, 18, 130, 70, 30
STYLE = (
    "text{font:12px sans-serif;fill:#444}.t{font-weight:bold}"
    ".o{fill:#d9480f}.p{fill:#adb5bd}.r{text-anchor:end}"
    "@media(prefers-color-scheme:dark){text{fill:#ccc}.p{fill:#868e96}}"
)


def bars(panels: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> str:
    """Return a picture of *panels*: each a title and its rows of name and value."""
    parts: list[str] = []
    y = 0
    for title, rows in panels:
        y += TITLE
        parts.append(f'<text class="t" x="0" y="{y - 8}">{html.escape(title)} (log scale)</text>')
        logs = [math.log10(value) for _, value in rows]
        floor, most = min(logs) - 0.5, max(logs)
        for name, value in rows:
            share = (math.log10(value) - floor) / (most - floor)
            width = round(share * (WIDTH - LEFT - RIGHT))
            kind = "o" if name == OURS else "p"
            parts += [
                f'<text class="r" x="{LEFT - 6}" y="{y + 12}">{html.escape(name)}</text>',
                f'<rect class="{kind}" x="{LEFT}" y="{y + 2}" width="{width}" height="{ROW - 4}"/>',
                f'<text x="{LEFT + width + 5}" y="{y + 12}">{value:.3g}</text>',
            ]
            y += ROW
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 4}">'
    return f"{head}<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
