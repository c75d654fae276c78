"""What the macros make of the hours they are told, and how they refuse what makes no sense."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_lake.lake_hour import HOUR, hour_key
from tests.temporal.duck import ASK, INSTANT, rows, table
from tests.temporal.golden import at
from tests.temporal.render import CompilerError, Macros

MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)


def told(hours: list[str], newest: str | None = None) -> Macros:
    return Macros("duckdb", {"stream_hours": {"1": hours}, "newest_hour": newest}, look_back_hours=1)


def holding(m: Macros, *times: str) -> list[str]:
    """The times that lie in the model's output hours; both conditions must say the same."""
    events = table({"_time": INSTANT}, [(at(time),) for time in times])
    by_instant = rows(f"select strftime(_time, '%H:%M:%S.%g') from e where {m.in_output_hours('_time')}", e=events)
    by_key = rows(
        f"select strftime(_time, '%H:%M:%S.%g') from (select *, {m.lake_hour_of('_time')} as h from e) "
        f"where {m.output_hours('h')}",
        e=events,
    )
    assert by_instant == by_key
    return sorted(time for (time,) in by_instant)


def test_the_end_of_an_output_hour_is_in_it_and_its_start_is_not() -> None:
    found = holding(told(["2026-01-05T10"]), "10:00:00", "10:00:00.001", "11:00:00", "11:00:00.001")
    assert found == ["10:00:00.001", "11:00:00.000"]


def test_hours_with_a_gap_between_them_leave_the_gap_out() -> None:
    m = told(["2026-01-05T14", "2026-01-05T10", "2026-01-05T11"])
    assert holding(m, "10:30:00", "11:30:00", "12:30:00", "14:30:00") == [
        "10:30:00.000",
        "11:30:00.000",
        "14:30:00.000",
    ]
    assert m.in_output_hours("_time").count(" and ") == 2


def test_no_hours_to_replace_let_no_row_through() -> None:
    assert holding(told([]), "10:30:00") == []


def test_of_a_full_refresh_no_result_is_later_than_the_newest_hour_of_events() -> None:
    m = Macros("duckdb", {"newest_hour": "2026-01-05T10"})
    assert holding(m, "01:00:00", "11:00:00", "11:00:00.001") == ["01:00:00.000", "11:00:00.000"]


def test_without_being_told_any_hours_everything_is_computed() -> None:
    assert holding(ASK, "10:30:00", "23:30:00") == ["10:30:00.000", "23:30:00.000"]


def test_a_model_that_does_not_say_how_far_it_looks_back_is_named() -> None:
    m = Macros("duckdb", {"stream_hours": {"1": ["2026-01-05T10"]}})
    with pytest.raises(CompilerError, match="model_at_work: stream_hours has no hours for look_back_hours None; give"):
        m.stream_hours()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 96), unique=True, max_size=6),
    st.lists(st.integers(24, 72), unique=True, min_size=1, max_size=4),
    st.lists(st.tuples(st.sampled_from([0, 1, 1800, 3599, 3600]), st.integers(-60, 300)), min_size=1, max_size=10),
)
def test_of_reference_data_enough_versions_are_read_for_the_hours(
    snapshots: list[int], hours: list[int], offsets: list[tuple[int, int]]
) -> None:
    """Half of the snapshots fall on an hour, half between; the events are as early and as late as can be."""
    keys = [(MIDNIGHT + n * HOUR / 2).strftime("%Y-%m-%dT%H%M%SZ") for n in snapshots]
    reads = [hour_key(MIDNIGHT + n * HOUR) for n in hours]
    times = [
        MIDNIGHT + hour * HOUR + timedelta(seconds=arrival + ahead) for hour in hours for arrival, ahead in offsets
    ]
    snapshots_of_one = pa.table({"id": pa.array([1] * len(keys)), "_snapshot": pa.array(keys, pa.string())})
    given_tables = {
        "users_snapshots": snapshots_of_one,
        "users_accepted": snapshots_of_one,
        "e": pa.table({"_time": pa.array(times, INSTANT)}),
    }
    few = Macros("duckdb", {"stream_reads": {"1": reads}, "reference_snapshots": {"users": keys}}, look_back_hours=1)

    def seen(m: Macros) -> Counter[tuple[object, ...]]:
        condition = "e._time >= r._valid_from and e._time < r._valid_to"
        return Counter(
            rows(f"select e._time, r._snapshot from e join {m.reference('users')} as r on {condition}", **given_tables)
        )

    assert seen(few) == seen(ASK)
    assert len(few.snapshots_seen("users")) <= len(keys)


def test_reference_data_of_other_days_is_not_read() -> None:
    keys = [f"2026-01-{day:02}T000000Z" for day in range(1, 31)]
    told = {"stream_reads": {"1": ["2026-01-05T10", "2026-01-05T23"]}, "reference_snapshots": {"users": keys}}
    assert Macros("duckdb", told, look_back_hours=1).snapshots_seen("users") == [keys[4], keys[5]]


WINDOW = {"kind": "tumbling", "size_ms": 1000}


@pytest.mark.parametrize(
    "of", [[{**WINDOW, "id": "a"}, {**WINDOW, "id": "A"}], [{**WINDOW, "id": "a"}, WINDOW]], ids=["equal", "missing"]
)
def test_ids_of_windows_are_given_to_all_or_none_and_differ_in_more_than_case(of: list[dict[str, object]]) -> None:
    with pytest.raises(CompilerError, match="all have an id or none has, and ids differ in more than case: a"):
        ASK.windows("events", "ts", [], ["count(*)"], of)


def test_what_is_not_known_is_named_with_what_is() -> None:
    with pytest.raises(CompilerError, match="kind snapshot is unknown; use tumbling, hopping, sliding or session"):
        ASK.windows("events", "ts", [], ["count(*)"], [{"kind": "snapshot"}])
    with pytest.raises(CompilerError, match="part min is unknown; use one of year, quarter, month"):
        ASK.boundaries_crossed("min", "a", "b")
    with pytest.raises(CompilerError, match=r"stream\('stars'\): policy keep is unknown; use adjust or drop"):
        ASK.stream("stars", policy="keep")
