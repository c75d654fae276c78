"""Analytic functions against the model: events of one time in the order of arrival."""

from collections.abc import Callable

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.temporal import model
from tests.temporal.duck import ASK, BASE, INSTANT, rows, table
from tests.temporal.model import Event

COLUMNS = {"n": pa.int64(), "ts": INSTANT, "k": pa.string(), "v": pa.int64()}
VALUES = st.sampled_from([None, -3, 0, 1, 2, 7])


@st.composite
def in_order(draw: st.DrawFn) -> list[Event]:
    """Events in canonical order of time and arrival; many at one time."""
    times = sorted(draw(st.lists(st.integers(0, 40), max_size=30)))
    keys = st.sampled_from(["a", "b", None])
    return [Event(BASE + t * 1000 + draw(st.sampled_from([0, 0, 1])) * 500, draw(keys), draw(VALUES)) for t in times]


CONDITIONS: dict[str | None, Callable[[Event], bool]] = {
    None: lambda e: True,
    "v > 0": lambda e: e.value is not None and e.value > 0,
    "false": lambda e: False,
}


def asked(expression: str, events: list[Event]) -> list[object]:
    """The expression's value for each event in order, whatever the order of the table's rows."""
    ordered = sorted(events, key=lambda e: e.time)
    offered = table(COLUMNS, [(n, e.time, e.key, e.value) for n, e in reversed(list(enumerate(ordered)))])
    return [found for _, found in sorted(rows(f"SELECT n, {expression} FROM events", events=offered))]


@settings(max_examples=100, deadline=None)
@given(in_order(), st.integers(1, 30), st.sampled_from(list(CONDITIONS)))
def test_is_first_marks_one_event_of_each_interval_and_key(events: list[Event], size: int, when: str | None) -> None:
    ordered = sorted(events, key=lambda e: e.time)
    found = asked(ASK.is_first("ts", size, ["k"], when, ties=["n"]), events)
    assert found == model.is_first(ordered, size * 1000, CONDITIONS[when])


@settings(max_examples=100, deadline=None)
@given(in_order(), st.integers(1, 30))
def test_first_events_are_those_that_is_first_marks(events: list[Event], size: int) -> None:
    ordered = sorted(events, key=lambda e: e.time)
    offered = table(COLUMNS, [(n, e.time, e.key, e.value) for n, e in reversed(list(enumerate(ordered)))])
    firsts = ASK.first_events("events", "ts", size, ["k"], ["n", "v"], ties=["n"])
    found = sorted(rows(f"SELECT n, k, v FROM {firsts}", events=offered), key=lambda row: row[0])
    marks = model.is_first(ordered, size * 1000, CONDITIONS[None])
    assert found == [(n, e.key, e.value) for n, (e, mark) in enumerate(zip(ordered, marks, strict=True)) if mark]


@settings(max_examples=150, deadline=None)
@given(
    in_order(), st.integers(1, 30), st.integers(1, 4), st.sampled_from([None, 99]), st.sampled_from(list(CONDITIONS))
)
def test_lag_counts_back_among_the_candidates(
    events: list[Event], limit: int, offset: int, default: int | None, when: str | None
) -> None:
    ordered = sorted(events, key=lambda e: e.time)
    expression = ASK.lag_within("v", "ts", limit, ["k"], offset, default, when, ties=["n"])
    assert asked(expression, events) == model.lag(ordered, limit * 1000, offset, default, CONDITIONS[when])


@settings(max_examples=100, deadline=None)
@given(in_order(), st.integers(1, 30), st.sampled_from([None, 99]), st.sampled_from(list(CONDITIONS)))
def test_last_begins_with_the_event_itself(
    events: list[Event], limit: int, default: int | None, when: str | None
) -> None:
    ordered = sorted(events, key=lambda e: e.time)
    expression = ASK.last_within("v", "ts", limit, ["k"], default, when, ties=["n"])
    assert asked(expression, events) == model.lag(ordered, limit * 1000, 0, default, CONDITIONS[when])


@settings(max_examples=100, deadline=None)
@given(in_order(), st.integers(1, 30))
def test_an_aggregate_over_a_duration_holds_what_is_younger(events: list[Event], limit: int) -> None:
    ordered = sorted(events, key=lambda e: e.time)
    held = model.over_limit(ordered, limit * 1000)
    known = [[e.value for e in content if e.value is not None] for content in held]
    over = {a: asked(ASK.over_limit(a, "ts", limit, ["k"]), events) for a in ["count(*)", "sum(v)", "min(v)", "max(v)"]}
    assert over["count(*)"] == [len(content) for content in held]
    assert over["sum(v)"] == [sum(values) if values else None for values in known]
    assert over["min(v)"] == [min(values, default=None) for values in known]
    assert over["max(v)"] == [max(values, default=None) for values in known]
