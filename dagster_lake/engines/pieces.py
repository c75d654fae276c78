"""Long ranges are computed piece by piece, so that memory follows the piece and not the range."""

from collections.abc import Callable, Sequence
from itertools import groupby
from math import ceil

PIECE_ROWS = 1_000_000
"""Rows that are computed at once, about: a piece ends with an hour. That many pageviews take about 1 GB."""


def pieces(hours: Sequence[str], rows: Callable[[str], int]) -> list[list[str]]:
    """``hours`` in order, cut into as few pieces of about ``PIECE_ROWS`` rows as there can be, about equal in rows.

    ``rows`` counts the rows of an hour. No hour is divided; without rows there is one piece.
    """
    if len(hours) < 2:
        return [list(hours)]
    counts = [rows(hour) for hour in hours]
    total = sum(counts)
    number = max(1, ceil(total / PIECE_ROWS))
    before, placed = 0, []
    for hour, count in zip(hours, counts, strict=True):
        # Where the hour's middle lies decides, so that an hour goes to the piece that has most of it.
        placed.append((min(number - 1, (before + count / 2) * number // max(total, 1)), hour))
        before += count
    return [[hour for _, hour in piece] for _, piece in groupby(placed, key=lambda each: each[0])]
