"""A table computed hour by hour, from the hours of silver that each needs, is the table computed at once."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_lake.engines.stream_hours import read_hours
from dagster_lake.lake_hour import hour_key, hour_of
from tests.temporal.duck import BASE, INSTANT, SECOND, rows, table
from tests.temporal.render import Macros

COLUMNS = {
    "_enqueued_time": INSTANT,
    "_partition": pa.string(),
    "_sequence_number": pa.int64(),
    "event_time": INSTANT,
    "k": pa.string(),
    "_lake_hour": pa.string(),
}
HOURS = 7
MINUTE = 60_000


def key_of(micros: int) -> str:
    return hour_key(hour_of(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)))


def stream(m: Macros) -> str:
    return f"(select * from {m.stream('events')})"


def tumbling(m: Macros) -> str:
    return f"select k, {m.tumbling_end('_time', 5 * MINUTE)} as _time, count(*) as n from {stream(m)} group by all"


def hopping(m: Macros) -> str:
    ends = m.unnested(m.hopping_ends("_time", 15 * MINUTE, 5 * MINUTE))
    windows = f"(select k, {ends} as window_end from {stream(m)})"
    return f"select k, window_end as _time, count(*) as n from {windows} group by all"


def sliding(m: Macros) -> str:
    windows = m.sliding(stream(m), "_time", 10 * MINUTE, ["k"], ["count(*) as n"])
    return f"select k, window_end as _time, n from {windows}"


def sessions(m: Macros) -> str:
    rows = m.sessions(stream(m), "_time", ["k"], 30 * MINUTE, 60 * MINUTE)
    return f"select k, session_end as _time, session_start, count(*) as n from {rows} group by all"


def first_of_hour(m: Macros) -> str:
    first = m.is_first("_time", 60 * MINUTE, ["k"])
    return f"select k, _time, _sequence_number from (select *, {first} as is_first from {stream(m)}) where is_first = 1"


def lag(m: Macros) -> str:
    return f"select k, _time, {m.lag_within('_sequence_number', '_time', 30 * MINUTE, ['k'])} as n from {stream(m)}"


def last_hour(m: Macros) -> str:
    return f"select k, _time, {m.over_limit('count(*)', '_time', 60 * MINUTE, ['k'])} as n from {stream(m)}"


def outer_join(m: Macros) -> str:
    time = m.join_time("l._time", "r._time", 15 * MINUTE)
    return (
        f"select l._sequence_number as l, r._sequence_number as r, {time} as _time "
        f"from {stream(m)} as l left join {stream(m)} as r "
        f"on l.k = 'a' and r.k = 'b' and {m.boundaries_crossed('mi', 'l._time', 'r._time')} between 0 and 15"
    )


# With each model, the hours that it looks back: its windows and 610 s, in whole hours.
MODELS: list[tuple[Callable[[Macros], str], int]] = [
    (tumbling, 1),
    (hopping, 1),
    (sliding, 1),
    (sessions, 3),
    (first_of_hour, 1),
    (lag, 1),
    (last_hour, 2),
    (outer_join, 1),
]


@st.composite
def silver(draw: st.DrawFn) -> pa.Table:
    """Events of some hours, many on and beside the edges of hours, late, early and out of order."""
    arrivals = draw(
        st.lists(
            st.integers(0, HOURS * 60).map(lambda m: m * 60 * SECOND)
            | st.tuples(st.integers(1, HOURS - 1), st.integers(-400, 400)).map(lambda t: (t[0] * 3600 + t[1]) * SECOND),
            min_size=1,
            max_size=60,
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
@settings(max_examples=20, deadline=None)
@given(events=silver(), seed=st.randoms(use_true_random=False))
def test_by_hours_as_at_once(model: Callable[[Macros], str], look_back: int, events: pa.Table, seed: object) -> None:
    landed = sorted(set(events["_lake_hour"].to_pylist()))

    def computed(m: Macros) -> Counter[tuple[object, ...]]:
        return Counter(rows(f"select * from ({model(m)}) where {m.in_output_hours('_time')}", events=events))

    outputs = sorted({key_of(BASE + n * 3600 * SECOND) for n in range(HOURS + 1)} | {landed[0], landed[-1]})
    outputs = [hour for hour in outputs if hour <= landed[-1]]
    seed.shuffle(outputs)  # type: ignore[attr-defined]
    pieces: Counter[tuple[object, ...]] = Counter()
    while outputs:
        taken = [outputs.pop() for _ in range(min(len(outputs), seed.randint(1, 3)))]  # type: ignore[attr-defined]
        told = {"stream_hours": {str(look_back): taken}, "stream_reads": {str(look_back): read_hours(taken, look_back)}}
        pieces += computed(Macros("duckdb", told, look_back))
    assert pieces == computed(Macros("duckdb", {"newest_hour": landed[-1]}))
