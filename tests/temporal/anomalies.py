"""Spikes, dips and change points, one event after another, in plain Python: what the macros are held against."""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, pstdev

from tests.temporal.model import Event

Judged = tuple[float | None, int]
"""Score and is_anomaly of an event."""


def spikes_and_dips(
    events: Sequence[Event], limit: int, history: int, confidence: float, mode: str = "spikesanddips"
) -> list[Judged]:
    """Each event by those of its key before it; ``events`` in order, times in microseconds."""
    found: list[Judged] = []
    for position, event in enumerate(events):
        if event.value is None:
            found.append((None, 0))
            continue
        others = [e for e in events[:position] if e.key == event.key and e.value is not None][-history:]
        young = [e.value for e in others if e.time > event.time - limit and e.value is not None]
        score = _score(event.value, young, mode)
        found.append((score, int(score < 1 - confidence / 100)))
    return found


def change_points(events: Sequence[Event], limit: int, history: int, confidence: float) -> list[Judged]:
    """Each event by the bets of those of its key up to it."""
    scores = [score for score, _ in spikes_and_dips(events, limit, history, 100)]
    bets = [None if s is None else math.log(0.1 * max(s, 0.02) ** -0.9) for s in scores]
    found: list[Judged] = []
    for position, event in enumerate(events):
        if bets[position] is None:
            found.append((None, 0))
            continue
        up_to = zip(events[: position + 1], bets, strict=False)
        own = [(e, bet) for e, bet in up_to if e.key == event.key and bet is not None][-history:]
        recent = [bet for e, bet in own if e.time > event.time - limit]
        evidence = max(sum(recent[start:]) for start in range(len(recent)))
        found.append((math.exp(evidence), int(confidence < 100 and evidence >= -math.log(1 - confidence / 100))))
    return found


def _score(value: float, others: Sequence[float], mode: str) -> float:
    if len(others) < 10:
        return 1.0
    width = 0.9 * _spread(others) * len(others) ** -0.2
    below = fmean(_share_below(value, other, width) for other in others)
    return {"spikes": 1 - below, "dips": below, "spikesanddips": 2 * min(below, 1 - below)}[mode]


def _spread(values: Iterable[float]) -> float:
    known = sorted(values)
    quarter = len(known) // 4
    return min(pstdev(known), (known[-1 - quarter] - known[quarter]) / 1.34)


def _share_below(value: float, other: float, width: float) -> float:
    if width == 0:
        return 0.5 if value == other else float(value > other)
    return 0.5 * (1 + math.erf((value - other) / (width * math.sqrt(2))))
