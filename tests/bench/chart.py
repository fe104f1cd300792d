"""Bars and lines as SVG, written by hand. Bars are logarithmic: costs differ by a hundred."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

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


PANEL, HIGH, MARGIN_LEFT, MARGIN_TOP = 360, 230, 52, 30
AREA_WIDTH, AREA_HEIGHT = PANEL - MARGIN_LEFT - 28, HIGH - MARGIN_TOP - 62
LINE_STYLE = (
    "text{font:11px sans-serif;fill:#444}.t{font-weight:bold;font-size:12px}.r{text-anchor:end}"
    ".m{text-anchor:middle}path,.a{fill:none;stroke-width:2}.a{stroke:#adb5bd;stroke-width:1}"
    ".s0{stroke:#1971c2}.s1{stroke:#d9480f;stroke-dasharray:6 3}.s2{stroke:#2b8a3e;"
    "stroke-dasharray:2 3}@media(prefers-color-scheme:dark){text{fill:#ccc}.a{stroke:#555}"
    ".s0{stroke:#74c0fc}.s1{stroke:#ffa94d}.s2{stroke:#8ce99a}}"
)


class Panel(NamedTuple):
    """Lines over a number of things: the number on a logarithmic axis, what one costs from zero."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[tuple[str, Sequence[tuple[int, float]]]]


def growth(panels: Sequence[Panel]) -> str:
    """Return a picture of *panels*, two in a row. A line that is flat costs the same for each."""
    rows = (len(panels) + 1) // 2
    drawn = [
        f'<g transform="translate({at % 2 * PANEL},{at // 2 * HIGH})">{"".join(_lines(panel))}</g>'
        for at, panel in enumerate(panels)
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * PANEL} {rows * HIGH}">'
    return f"{head}<style>{LINE_STYLE}</style>\n" + "\n".join(drawn) + "\n</svg>\n"


def _lines(panel: Panel) -> Iterator[str]:
    points = [point for _, line in panel.lines for point in line]
    first, last = (math.log10(pick(n for n, _ in points)) for pick in (min, max))
    top = _round_above(max(value for _, value in points))
    bottom = MARGIN_TOP + AREA_HEIGHT

    def place(n: float, value: float) -> tuple[float, float]:
        share = (math.log10(n) - first) / ((last - first) or 1)
        return MARGIN_LEFT + share * AREA_WIDTH, bottom - value / top * AREA_HEIGHT

    yield _text(4, 16, "t", panel.title)
    for value in (0.0, top / 2, top):
        y = place(10**first, value)[1]
        yield f'<path class="a" d="M{MARGIN_LEFT} {y:.0f}h{AREA_WIDTH}"/>'
        yield _text(MARGIN_LEFT - 5, y + 4, "r", f"{value:,.4g}")
    for power in range(math.ceil(first), math.floor(last) + 1):
        yield _text(place(10**power, 0)[0], bottom + 15, "m", f"{10**power:,}")
    yield _text(MARGIN_LEFT + AREA_WIDTH / 2, bottom + 31, "m", panel.x_label)
    middle = MARGIN_TOP + AREA_HEIGHT / 2
    yield f'<g transform="rotate(-90 10 {middle:.0f})">{_text(10, middle, "m", panel.y_label)}</g>'
    x = float(MARGIN_LEFT)
    for at, (name, line) in enumerate(panel.lines):
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        yield f'<path class="s{at}" d="M{way}"/>'
        yield f'<path class="s{at}" d="M{x:.0f} {bottom + 46}h18"/>'
        yield _text(x + 22, bottom + 50, "", name)
        x += 34 + 6 * len(name)


def _round_above(value: float) -> float:
    """Return a number above *value* with one digit that counts, 1, 2, 4, 6 or 8."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 4, 6, 8, 10) if power * step >= value)


def _text(x: float, y: float, kind: str, said: str) -> str:
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}">{html.escape(said)}</text>'
