"""Charts as SVG: bars, and panels of lines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

COLORS = ("#2a78d6", "#d9622b", "#1a9c6d")
STYLE = """\
<style>
  text { font: 12px system-ui, sans-serif; fill: #52514e; }
  .title { font-size: 15px; font-weight: 600; fill: #0b0b0b; }
  .name { fill: #0b0b0b; }
  .grid { stroke: #e1e0d9; }
  .ground { fill: #fcfcfb; }
  @media (prefers-color-scheme: dark) {
    text { fill: #c3c2b7; }
    .title, .name { fill: #ffffff; }
    .grid { stroke: #3a3a37; }
    .ground { fill: #1a1a19; }
  }
</style>"""

WIDTH = 760
EDGE = 20
HEADING = 76
"""Height of the title and the two lines below it."""

BAR_ROW = 30
BAR_LEFT = 110
BAR_RIGHT = 90

COLUMNS = 3
PANEL_HEIGHT = 210
PLOT_HEIGHT = 110
GUTTER = 34


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; ``strong`` ones are highlighted."""

    name: str
    value: float
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a panel, with a value for each label."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One small chart, with labels at equal distances and an axis from 0."""

    title: str
    unit: str
    labels: tuple[str, ...]
    lines: tuple[Line, ...]


def bars(title: str, subtitle: str, shown: Sequence[Bar]) -> str:
    """Return a chart of horizontal bars with their values; ``subtitle`` has up to two lines."""
    most = max((bar.value for bar in shown), default=1.0) or 1.0
    room = WIDTH - BAR_LEFT - BAR_RIGHT
    drawn = []
    for row, bar in enumerate(shown):
        top = HEADING + row * BAR_ROW
        length = room * bar.value / most
        color = COLORS[0] if bar.strong else "#9a9890"
        drawn += [
            _text(BAR_LEFT - 8, top + 15, bar.name, "name", "end"),
            f'<rect x="{BAR_LEFT}" y="{top}" width="{length:.1f}" height="20" rx="3" fill="{color}"/>',
            _text(BAR_LEFT + length + 6, top + 15, _number(bar.value)),
        ]
    return _svg(title, subtitle, HEADING + len(shown) * BAR_ROW + EDGE - 10, drawn)


def panels(title: str, subtitle: str, shown: Sequence[Panel]) -> str:
    """Return panels of lines, three per row."""
    drawn = [part for number, panel in enumerate(shown) for part in _panel(panel, *_corner(number))]
    rows = math.ceil(len(shown) / COLUMNS)
    return _svg(title, subtitle, HEADING + rows * PANEL_HEIGHT, drawn)


def _corner(number: int) -> tuple[float, float]:
    row, column = divmod(number, COLUMNS)
    return EDGE + column * (_panel_width() + GUTTER), HEADING + row * PANEL_HEIGHT


def _panel_width() -> float:
    return (WIDTH - 2 * EDGE - (COLUMNS - 1) * GUTTER) / COLUMNS


def _panel(panel: Panel, left: float, top: float) -> Iterator[str]:
    most = _round_up(max((value for line in panel.lines for value in line.values), default=1.0))
    yield _text(left, top + 12, panel.title, "name")
    yield _text(left, top + 28, panel.unit)
    plot, axis = left + 36, top + 40
    width = _panel_width() - 36
    for share in (0.0, 0.5, 1.0):
        height = axis + PLOT_HEIGHT * (1 - share)
        yield f'<line class="grid" x1="{plot:.1f}" x2="{plot + width:.1f}" y1="{height}" y2="{height}"/>'
        yield _text(plot - 6, height + 4, _number(most * share), anchor="end")
    places = [plot + width * (index + 0.5) / len(panel.labels) for index in range(len(panel.labels))]
    for label, place in zip(panel.labels, places, strict=True):
        yield _text(place, axis + PLOT_HEIGHT + 17, label, anchor="middle")
    legend = plot
    for line, color in zip(panel.lines, COLORS, strict=False):
        heights = [axis + PLOT_HEIGHT * (1 - value / most) for value in line.values]
        points = [f"{x:.1f},{y:.1f}" for x, y in zip(places, heights, strict=True)]
        yield f'<polyline points="{" ".join(points)}" fill="none" stroke="{color}" stroke-width="2"/>'
        for x, y in zip(places, heights, strict=True):
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>'
        if len(panel.lines) > 1:
            under = axis + PLOT_HEIGHT + 36
            yield f'<circle cx="{legend + 4:.1f}" cy="{under - 4}" r="4" fill="{color}"/>'
            yield _text(legend + 12, under, line.name)
            legend += 22 + 6.2 * len(line.name)


def _svg(title: str, subtitle: str, height: float, drawn: Sequence[str]) -> str:
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title, {chr(34): "&quot;"})}">'
    )
    ground = f'<rect class="ground" width="{WIDTH}" height="{height:.0f}" rx="8"/>'
    lines = [_text(EDGE, 42 + 16 * number, line) for number, line in enumerate(subtitle.splitlines())]
    heading = [_text(EDGE, 24, title, "title"), *lines]
    return "\n".join([opening, STYLE, ground, *heading, *drawn, "</svg>", ""])


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    class_attribute = f' class="{kind}"' if kind else ""
    return f'<text{class_attribute} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 4, 6, 8 or 10 times a power of ten, so that half of it is short."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 4, 6, 8, 10) if value <= power * step)
