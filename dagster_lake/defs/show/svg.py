"""A small chart over time as SVG: lines above, columns below. Written by hand, it is a few kilobytes and costs no time,
where a picture by matplotlib would be stored by the ten kilobytes with every run."""

import base64
from collections.abc import Mapping, Sequence
from html import escape

from dagster_lake.reports.charts import BLUE, GREY, RED

_WIDTH, _LEFT, _RIGHT = 720, 56, 64
_INNER = _WIDTH - _LEFT - _RIGHT
_LINES_HEIGHT, _COLUMNS_HEIGHT, _GAP, _EDGE = 120, 50, 14, 22
_COLORS = (GREY, BLUE, RED)
_TEXT_HEIGHT = 12
_INK = "#2d3748"


def timeline(
    times: Sequence[str],
    lines: Mapping[str, Sequence[float | None]],
    lines_title: str,
    counts: Sequence[float],
    counts_title: str,
) -> str:
    """The chart as SVG: up to three named lines, if any, over columns; ``times`` name the places from left to right.

    Every scale begins at zero. A value of None leaves a gap.
    """
    upper = _EDGE + _LINES_HEIGHT + _GAP if lines else 0
    height = upper + _EDGE + _COLUMNS_HEIGHT + _EDGE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="11" fill="{_INK}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        *(_lines(lines, lines_title) if lines else []),
        *_columns(counts, counts_title, upper),
        *_time_axis(times, height),
        "</svg>",
    ]
    return "".join(parts)


def as_image(svg: str, alternative: str) -> str:
    """The picture within Markdown, as it stands in Dagster's metadata."""
    return f"![{alternative}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _lines(lines: Mapping[str, Sequence[float | None]], title: str) -> list[str]:
    highest = max((v for values in lines.values() for v in values if v is not None), default=0) or 1
    parts = _frame(title, highest, _EDGE, _LINES_HEIGHT)
    labels = []
    for (name, values), color in zip(lines.items(), _COLORS, strict=False):
        heights = [None if v is None else _EDGE + _LINES_HEIGHT * (1 - v / highest) for v in values]
        parts.append(
            f'<path d="{_drawn(heights)}" fill="none" stroke="{color}" stroke-width="1.6" stroke-linecap="round"/>'
        )
        last = next((y for y in reversed(heights) if y is not None), None)
        if last is not None:
            labels.append((last, name, color))
    return [*parts, *_labels(labels)]


def _drawn(heights: Sequence[float | None]) -> str:
    steps, pen_down = [], False
    for place, y in enumerate(heights):
        if y is not None:
            # A line of no length has round ends: a point without neighbours is a dot.
            steps.append(f"{'L' if pen_down else 'M'}{_x(place, len(heights)):.0f} {y:.0f}{'' if pen_down else 'h0'}")
        pen_down = y is not None
    return "".join(steps)


def _labels(labels: Sequence[tuple[float, str, str]]) -> list[str]:
    """The lines' names at their right ends, the lowest first, moved up where they would overlap."""
    parts, free = [], float("inf")
    for y, name, color in sorted(labels, key=lambda label: -label[0]):
        y = min(y, free)
        free = y - _TEXT_HEIGHT
        parts.append(f'<text x="{_WIDTH - _RIGHT + 6}" y="{y + 4:.0f}" fill="{color}">{escape(name)}</text>')
    return parts


def _columns(counts: Sequence[float], title: str, top: float) -> list[str]:
    highest = max(counts, default=0) or 1
    bottom = top + _EDGE + _COLUMNS_HEIGHT
    width = max(2, round(0.7 * _INNER / max(len(counts), 1)))
    drawn = [
        f"M{_x(place, len(counts)):.0f} {bottom:.0f}V{bottom - _COLUMNS_HEIGHT * count / highest:.0f}"
        for place, count in enumerate(counts)
        if count
    ]
    return [
        *_frame(title, highest, top + _EDGE, _COLUMNS_HEIGHT),
        f'<path d="{"".join(drawn)}" stroke="{BLUE}" stroke-width="{min(width, 24)}"/>',
    ]


def _frame(title: str, highest: float, top: float, height: float) -> list[str]:
    return [
        f'<text x="{_LEFT}" y="{top - 7:.0f}" font-weight="bold">{escape(title)}</text>',
        f'<text x="{_LEFT - 6}" y="{top + 9:.0f}" text-anchor="end">{highest:,.0f}</text>',
        f'<text x="{_LEFT - 6}" y="{top + height:.0f}" text-anchor="end">0</text>',
        f'<path d="M{_LEFT} {top:.0f}h{_INNER}m{-_INNER} {height:.0f}h{_INNER}" stroke="#cbd5e0"/>',
    ]


def _time_axis(times: Sequence[str], height: float) -> list[str]:
    step = max(1, -(-len(times) // 8))
    return [
        f'<text x="{_x(place, len(times)):.0f}" y="{height - 7:.0f}" text-anchor="middle">{escape(times[place])}</text>'
        for place in range(0, len(times), step)
    ]


def _x(place: int, places: int) -> float:
    """The middle of one of ``places`` equal parts of the width."""
    return _LEFT + _INNER * (place + 0.5) / max(places, 1)
