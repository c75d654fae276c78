"""stream() against the model, whatever arrives."""

from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.temporal.model import EARLY, Arrived, stamped
from tests.temporal.render import Macros

BASE = 1_767_600_000_000_000
SECOND = 1_000_000
INSTANT = pa.timestamp("us", "UTC")
CON = duckdb.connect(config={"threads": 1, "TimeZone": "UTC"})


def silver(events: list[Arrived]) -> pa.Table:
    return pa.table(
        {
            "_enqueued_time": pa.array([e.arrival for e in events], pa.int64()).cast(INSTANT),
            "_partition": pa.array([e.partition for e in events], pa.string()),
            "_sequence_number": pa.array([e.number for e in events], pa.int64()),
            "event_time": pa.array([e.time for e in events], pa.int64()).cast(INSTANT),
            "_lake_hour": pa.array(["2026-01-05T08"] * len(events), pa.string()),
        }
    )


@st.composite
def arrivals(draw: Any) -> list[Arrived]:
    """A few seconds or minutes of events; many arrive at one instant, near a bound, or far out of order."""
    step = draw(st.sampled_from([0, 1, 999_999, SECOND, 7 * SECOND, 30 * SECOND]))
    arrival, events = BASE + draw(st.integers(-2, 2)), []
    for number in range(draw(st.integers(0, 40))):
        arrival += draw(st.sampled_from([0, 0, step, draw(st.integers(0, 2 * SECOND))]))
        behind = draw(
            st.sampled_from([0, 1, 49, 50, 51, 59, 60, 61, 100, -1, -10, -150, -299, -300, -301])
            | st.integers(-320, 70)
        )
        jitter = draw(st.sampled_from([-1, 0, 0, 1]) | st.integers(-SECOND, SECOND))
        partition = draw(st.sampled_from(["0", "1", "10", "2"]))
        events.append(Arrived(arrival, partition, number, arrival - behind * SECOND + jitter))
    return draw(st.permutations(events))


@pytest.mark.parametrize("policy", ["adjust", "drop"])
@settings(max_examples=300, deadline=None)
@given(arrivals(), st.sampled_from([(60_000, 50_000), (5_000, 0), (0, 0), (60_000, 90_000), (1, 1)]))
def test_every_event_gets_the_time_that_the_rules_give_it_one_after_another(
    policy: str, events: list[Arrived], tolerances: tuple[int, int]
) -> None:
    late, out_of_order = tolerances
    CON.register("pageviews", silver(events))
    found = CON.sql(
        "SELECT _partition, _sequence_number, epoch_us(_time) AS t FROM "
        + Macros("duckdb").stream("pageviews", late, out_of_order, policy)
    ).fetchall()
    wanted = stamped(events, late * 1000, out_of_order * 1000, policy)
    assert {(p, n): t for p, n, t in found} == wanted
    assert len(found) == len(wanted)


def test_the_bound_of_early_events_is_five_minutes() -> None:
    assert EARLY == 5 * 60 * SECOND
