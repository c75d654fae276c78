"""A table computed hour by hour, from the hours of silver that each needs, is the table computed at once."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_lake.dbt_runner.stream_hours import read_hours
from dagster_lake.lake_hour import hour_key, hour_of
from tests.temporal.duck import BASE, SECOND, rows, table
from tests.temporal.render import Macros
from tests.temporal.stream_models import COLUMNS, MODELS

HOURS = 7


def key_of(micros: int) -> str:
    return hour_key(hour_of(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)))


@st.composite
def silver(draw: st.DrawFn) -> pa.Table:
    """Events of some hours, many on and beside the edges of hours, late, early and out of order."""
    arrivals = draw(
        st.lists(
            st.integers(0, HOURS * 60).map(lambda m: m * 60 * SECOND)
            | st.tuples(st.integers(1, HOURS - 1), st.integers(-400, 400)).map(lambda t: (t[0] * 3600 + t[1]) * SECOND),
            min_size=draw(st.sampled_from([1, 50])),
            max_size=70,
        )
    )
    events = []
    for number, arrival in enumerate(sorted(arrivals)):
        ahead = draw(st.sampled_from([0, 0, 0, -1, -30, -55, -60, -61, -600, 300, 299, 120]))
        key = draw(st.sampled_from(["a", "b"]))
        arrived = BASE + arrival
        events.append((arrived, str(number % 3), number, arrived + ahead * SECOND, key, key_of(arrived)))
    return table(COLUMNS, events)


@pytest.mark.parametrize(("model", "look_back"), MODELS, ids=lambda m: getattr(m, "__name__", ""))
@settings(max_examples=12, deadline=None)
@given(events=silver(), draw=st.randoms(use_true_random=False))
def test_by_hours_as_at_once(model: Callable[[Macros], str], look_back: int, events: pa.Table, draw: Random) -> None:
    landed = sorted(set(events["_lake_hour"].to_pylist()))

    def computed(m: Macros) -> Counter[tuple[object, ...]]:
        return Counter(rows(f"select * from ({model(m)}) where {m.in_output_hours('_time')}", events=events))

    outputs = sorted({key_of(BASE + n * 3600 * SECOND) for n in range(HOURS + 1)} | {landed[0], landed[-1]})
    outputs = [hour for hour in outputs if hour <= landed[-1]]
    draw.shuffle(outputs)
    pieces: Counter[tuple[object, ...]] = Counter()
    while outputs:
        taken = [outputs.pop() for _ in range(min(len(outputs), draw.randint(1, 3)))]
        told = {"stream_hours": {str(look_back): taken}, "stream_reads": {str(look_back): read_hours(taken, look_back)}}
        pieces += computed(Macros("duckdb", told, look_back))
    assert pieces == computed(Macros("duckdb", {"newest_hour": landed[-1]}))
