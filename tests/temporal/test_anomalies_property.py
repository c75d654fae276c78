"""Spikes, dips and change points of any series, against the plain reference, which shares no SQL with the macros."""

import math
from collections.abc import Sequence

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.temporal import anomalies
from tests.temporal.anomalies import Judged
from tests.temporal.duck import ASK, BASE, INSTANT, rows, table
from tests.temporal.model import Event

COLUMNS = {"n": pa.int64(), "ts": INSTANT, "k": pa.string(), "v": pa.int64()}
LIMITS = st.sampled_from([12, 60])
CONFIDENCES = st.sampled_from([70, 95, 100])
SPREADS = st.sampled_from([[5], [0, 1], list(range(100, 120)), [None, *range(7)], [0, 3, 1_000_000_000]])


@st.composite
def series(draw: st.DrawFn) -> list[Event]:
    """Events in canonical order; often alike, of one time, without a value, or far off."""
    values = st.sampled_from(draw(SPREADS))
    time, found = BASE, []
    for _ in range(draw(st.integers(10, 60))):
        time += draw(st.sampled_from([0, 1000, 1000, 2500]))
        value = draw(st.integers(-500, 500)) if draw(st.integers(0, 9)) == 0 else draw(values)
        found.append(Event(time, draw(st.sampled_from(["a", "a", "a", None])), value))
    return found


def asked(macro: str, events: list[Event], *arguments: object, **named: str) -> list[Judged]:
    """What a macro says of each event in order, whatever the order of the table's rows."""
    offered = table(COLUMNS, [(n, e.time, e.key, e.value) for n, e in reversed(list(enumerate(events)))])
    judged = getattr(ASK, macro)("events", "v", "ts", *arguments, keys=["k"], ties=["n"], **named)
    found = sorted(rows(f"SELECT n, score, is_anomaly FROM {judged} AS judged", events=offered))
    return [(score, is_anomaly) for _, score, is_anomaly in found]


def differing(found: Sequence[Judged], wanted: Sequence[Judged], least_anomaly: float, within: float) -> list[object]:
    """Events of other scores than wanted, or of another verdict where the score is not at the edge of one."""

    def is_alike(a: Judged, b: Judged) -> bool:
        if a[0] is None or b[0] is None:
            return a == b
        at_edge = math.isclose(b[0], least_anomaly, rel_tol=within, abs_tol=1e-6)
        return math.isclose(a[0], b[0], rel_tol=within, abs_tol=1e-6) and (a[1] == b[1] or at_edge)

    return [(n, a, b) for n, (a, b) in enumerate(zip(found, wanted, strict=True)) if not is_alike(a, b)]


@settings(max_examples=40, deadline=None)
@given(series(), LIMITS, CONFIDENCES, st.sampled_from(["spikes", "dips", "spikesanddips"]))
def test_spikes_and_dips_are_those_of_the_reference(
    events: list[Event], limit: int, confidence: int, mode: str
) -> None:
    found = asked("spikes_and_dips", events, limit, 12, confidence, mode=mode)
    wanted = anomalies.spikes_and_dips(events, limit * 1000, 12, confidence, mode)
    assert differing(found, wanted, 1 - confidence / 100, 1e-9) == []


@settings(max_examples=40, deadline=None)
@given(series(), LIMITS, CONFIDENCES)
def test_change_points_are_those_of_the_reference(events: list[Event], limit: int, confidence: int) -> None:
    found = asked("change_points", events, limit, 12, confidence)
    wanted = anomalies.change_points(events, limit * 1000, 12, confidence)
    assert differing(found, wanted, math.inf if confidence == 100 else 1 / (1 - confidence / 100), 1e-3) == []
