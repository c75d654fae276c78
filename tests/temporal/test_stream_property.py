"""stream() against the model, whatever arrives."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.temporal.duck import BASE, INSTANT, SECOND, rows, table
from tests.temporal.model import Arrived, stamped
from tests.temporal.render import Macros

COLUMNS = {
    "_enqueued_time": INSTANT,
    "_partition": pa.string(),
    "_sequence_number": pa.int64(),
    "event_time": INSTANT,
    "_lake_hour": pa.string(),
}
EDGES = [0, 1, 49, 50, 51, 59, 60, 61, 100, -1, -10, -150, -299, -300, -301]
"""Seconds between event and arrival, at and near the bounds of the rules."""
RATES = [None, 0.0003, 0.1, 1.0, 17.5, 1_000_000.0]
"""Events a second that the macro is told to expect, which decides how it goes about it and nothing else."""


def silver(events: list[Arrived]) -> pa.Table:
    return table(COLUMNS, [(e.arrival, e.partition, e.number, e.time, "2026-01-05T08") for e in events])


@st.composite
def arrivals(draw: st.DrawFn) -> list[Arrived]:
    """A few seconds or minutes of events; many arrive at one instant, near a bound, or far out of order."""
    step = draw(st.sampled_from([0, 1, SECOND - 1, SECOND, 7 * SECOND, 30 * SECOND]))
    # On both sides of an hour, where a span of arrival ends.
    arrival, events = BASE + draw(st.sampled_from([0, -1, 1, -10 * SECOND, -200 * SECOND, -310 * SECOND])), []
    numbers = dict.fromkeys(["0", "1", "10", "2"], 0)
    for _ in range(draw(st.integers(0, 40))):
        arrival += draw(st.sampled_from([0, 0, step]) | st.integers(0, 2 * SECOND))
        behind = draw(st.sampled_from(EDGES) | st.integers(-320, 70))
        jitter = draw(st.sampled_from([-1, 0, 0, 1]) | st.integers(-SECOND, SECOND))
        partition = draw(st.sampled_from(list(numbers)))
        events.append(Arrived(arrival, partition, numbers[partition], arrival - behind * SECOND + jitter))
        numbers[partition] += 1
    return draw(st.permutations(events))


@pytest.mark.parametrize("policy", ["adjust", "drop"])
@settings(max_examples=150, deadline=None)
@given(
    arrivals(),
    st.sampled_from([(60_000, 50_000), (5_000, 0), (0, 0), (60_000, 90_000), (1, 1)]),
    st.sampled_from(RATES),
)
def test_every_event_gets_the_time_that_the_rules_give_it_one_after_another(
    policy: str, events: list[Arrived], tolerances: tuple[int, int], rate: float | None
) -> None:
    late, out_of_order = tolerances
    ask = Macros("duckdb", {} if rate is None else {"arrival_rates": {"pageviews": rate}})
    stream = ask.stream("pageviews", late, out_of_order, policy)
    found = rows(f"SELECT _partition, _sequence_number, epoch_us(_time) FROM {stream}", pageviews=silver(events))
    wanted = stamped(events, late * 1000, out_of_order * 1000, policy)
    assert sorted(found) == sorted((*position, time) for position, time in wanted.items())


@pytest.mark.parametrize("policy", ["adjust", "drop"])
@settings(max_examples=60, deadline=None)
@given(arrivals(), st.sampled_from([(60_000, 50_000), (5_000, 0), (60_000, 90_000)]))
def test_over_a_key_each_substream_gets_the_times_that_it_has_alone(
    policy: str, events: list[Arrived], tolerances: tuple[int, int]
) -> None:
    late, out_of_order = tolerances
    stream = Macros("duckdb").stream("pageviews", late, out_of_order, policy, ["_partition"])
    found = rows(f"SELECT _partition, _sequence_number, epoch_us(_time) FROM {stream}", pageviews=silver(events))
    wanted = {}
    for partition in {event.partition for event in events}:
        alone = [event for event in events if event.partition == partition]
        wanted |= stamped(alone, late * 1000, out_of_order * 1000, policy)
    assert sorted(found) == sorted((*position, time) for position, time in wanted.items())
