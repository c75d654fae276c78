"""What Stream Analytics wrote, held against the lake: files as it writes them, and every way they may differ."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dagster_lake.lake_hour import HOUR, hour_key, hour_of, parse_hour
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.stream_analytics.compare import Comparison, Difference, Hour, Shape, compare
from dagster_lake.streams.stream_analytics.outputs import files_of, results_sql

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
TWELVE, THIRTEEN = "2026-01-05T12", "2026-01-05T13"
STREAM = "pageviews_by_http_method_5m"
COLUMNS = pa.schema(
    [
        ("http_method", pa.string()),
        ("pageviews", pa.int64()),
        ("mean_latency", pa.float64()),
        ("_time", pa.timestamp("us", "UTC")),
    ]
)
SHAPE = Shape(("http_method", "_time"), ("pageviews", "mean_latency"), frozenset({"mean_latency"}), 1e-9)
Row = dict[str, Any]


def window(minutes: float, pageviews: int = 10, mean_latency: float | None = 80.5, method: str = "GET") -> Row:
    time = NOON + timedelta(minutes=minutes)
    return {"http_method": method, "pageviews": pageviews, "mean_latency": mean_latency, "_time": time}


def in_hours(rows: list[Row]) -> pa.Table:
    filed = [{**row, "_lake_hour": hour_key(hour_of(row["_time"]))} for row in rows]
    return pa.Table.from_pylist(filed, COLUMNS.append(pa.field("_lake_hour", pa.string())))


def compared(ours: list[Row], theirs: list[Row], *hours: str, shape: Shape = SHAPE) -> Comparison:
    with duckdb.connect(":memory:") as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("here", in_hours(ours))
        con.register("there", in_hours(theirs))
        return compare(con, "here", "there", hours or (TWELVE,), shape)


# --- comparing --------------------------------------------------------------------------------------------------------


def test_equal_rows_agree() -> None:
    rows = [window(5), window(10), window(10, method="POST")]
    assert compared(rows, rows[::-1]) == Comparison([Hour(TWELVE, 3, 3, 0, 0, 0, 0)], [])


def test_one_window_that_differs_is_named_with_both_values() -> None:
    found = compared([window(5), window(10, pageviews=12)], [window(5), window(10, pageviews=13)])
    assert found.hours == [Hour(TWELVE, 2, 2, 0, 0, 0, 1)]
    assert found.differences == [
        Difference(TWELVE, "http_method GET, _time 2026-01-05 12:10:00+00", "pageviews: 12 here, 13 there")
    ]
    assert found.disagreeing(SHAPE) == found.hours


def test_windows_that_only_one_side_has_are_named() -> None:
    found = compared([window(5)], [window(10)])
    assert found.hours == [Hour(TWELVE, 1, 1, 0, 1, 1, 0)]
    assert [d.what for d in found.differences] == ["only here", "only there"]


def test_rows_delivered_again_count_once() -> None:
    found = compared([window(5), window(10)], [window(5), window(10), window(10), window(10)])
    assert found.hours == [Hour(TWELVE, 2, 2, 2, 0, 0, 0)]
    assert found.disagreeing(SHAPE) == []


def test_a_window_delivered_with_two_values_differs() -> None:
    found = compared([window(5)], [window(5), window(5, pageviews=11)])
    assert found.differences[0].what == "pageviews: 10 here, 11 there"
    assert found.disagreeing(SHAPE) == found.hours


@pytest.mark.parametrize(
    ("factor", "alike"), [(1 + 1e-10, True), (1 - 9e-10, True), (1 + 3e-9, False), (-1, False), (0, False)]
)
def test_doubles_may_differ_by_a_share(factor: float, alike: bool) -> None:
    found = compared([window(5, mean_latency=80.5)], [window(5, mean_latency=80.5 * factor)])
    assert (found.differences == []) == alike


def test_nothing_is_alike_to_nothing_alone() -> None:
    assert compared([window(5, mean_latency=None)], [window(5, mean_latency=None)]).differences == []
    for values in ((None, 0.0), (0.0, None)):
        ours, theirs = ([window(5, mean_latency=value)] for value in values)
        assert compared(ours, theirs).hours[0].differing == 1


def test_zero_agrees_with_zero() -> None:
    assert compared([window(5, mean_latency=0.0)], [window(5, mean_latency=0.0)]).differences == []


def test_a_share_of_the_rows_may_differ_where_it_is_declared() -> None:
    ours = [window(n / 2) for n in range(1, 101)]
    theirs = [window(n / 2, pageviews=10 + (n == 7)) for n in range(1, 101)]
    for share, agrees in ((0.01, True), (0.009, False)):
        shape = Shape(SHAPE.key, SHAPE.values, SHAPE.floats, 1e-9, share)
        found = compared(ours, theirs, shape=shape)
        assert (found.disagreeing(shape) == []) == agrees
        assert (found.differences == []) == agrees


def test_hours_are_compared_each_on_its_own_and_an_empty_one_agrees() -> None:
    found = compared([window(5), window(65)], [window(5)], TWELVE, THIRTEEN, "2026-01-05T14")
    assert [(hour.hour, hour.agrees(SHAPE)) for hour in found.hours] == [
        (TWELVE, True),
        (THIRTEEN, False),
        ("2026-01-05T14", True),
    ]
    assert [difference.hour for difference in found.differences] == [THIRTEEN]


def test_only_the_hours_asked_for_are_looked_at() -> None:
    assert compared([window(5), window(65)], [window(5), window(70)], TWELVE).differences == []


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["GET", "POST"]),
        st.integers(1, 24).map(lambda n: n * 5),
        st.integers(1, 3),
        st.sampled_from([None, 1.5, 2.5]),
    ),
    max_size=12,
    unique_by=lambda row: row[:2],
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(ROWS, ROWS, st.lists(st.integers(0, 100), max_size=4))
def test_the_counts_are_those_of_a_naive_comparison(ours: list[Any], theirs: list[Any], again: list[int]) -> None:
    def made(rows: list[Any]) -> list[Row]:
        return [window(minutes, views, mean, method) for method, minutes, views, mean in rows]

    repeated = [theirs[n % len(theirs)] for n in again if theirs]
    found = compared(made(ours), made(theirs + repeated), TWELVE, THIRTEEN)
    for hour in found.hours:
        here = {row[:2]: row[2:] for row in ours if (row[1] <= 60) == (hour.hour == TWELVE)}
        there = {row[:2]: row[2:] for row in theirs if (row[1] <= 60) == (hour.hour == TWELVE)}
        twice = [row for row in repeated if (row[1] <= 60) == (hour.hour == TWELVE)]
        assert hour == Hour(
            hour.hour,
            len(here),
            len(there),
            len(twice),
            len(here.keys() - there.keys()),
            len(there.keys() - here.keys()),
            sum(here[key] != there[key] for key in here.keys() & there.keys()),
        )


# --- files ------------------------------------------------------------------------------------------------------------


def folder(lake: Lake, time: datetime) -> Path:
    """Where Stream Analytics files a result: by the hour of its time, which begins with the full hour."""
    made = Path(str(lake.root)) / "stream_analytics" / STREAM / f"{time:year=%Y/month=%m/day=%d/hour=%H}"
    made.mkdir(parents=True, exist_ok=True)
    return made


def write_parquet(lake: Lake, rows: list[Row], name: str = "0_abc_1.parquet", schema: pa.Schema = COLUMNS) -> None:
    for time in {row["_time"].replace(minute=0, second=0, microsecond=0) for row in rows}:
        own = [row for row in rows if time <= row["_time"] < time + HOUR]
        pq.write_table(pa.Table.from_pylist(own, schema), folder(lake, time) / name)


def write_json(lake: Lake, rows: list[Row], name: str = "0_abc_1.json") -> None:
    for time in {row["_time"].replace(minute=0, second=0, microsecond=0) for row in rows}:
        own = [row for row in rows if time <= row["_time"] < time + HOUR]
        lines = [json.dumps({**row, "_time": f"{row['_time']:%Y-%m-%dT%H:%M:%S.%f}0Z"}) for row in own]
        (folder(lake, time) / name).write_text("\r\n".join(lines), encoding="utf-8")


Write = Callable[[Lake, list[Row]], None]
FORMATS = pytest.mark.parametrize(("file_format", "write"), [("parquet", write_parquet), ("json_lines", write_json)])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path / "lake"))


def read(lake: Lake, file_format: str, *hours: str) -> list[Row]:
    with duckdb.connect(":memory:") as con:
        con.execute("SET TimeZone = 'UTC'")
        sql = results_sql(con, files_of(lake, STREAM, file_format, hours), file_format, COLUMNS)
        wanted = ", ".join(f"'{hour}'" for hour in hours)
        found = con.sql(f"SELECT * FROM ({sql}) WHERE _lake_hour IN ({wanted}) ORDER BY _time").to_arrow_table()
    return [{name: value for name, value in row.items() if name != "_lake_hour"} for row in found.to_pylist()]


@FORMATS
def test_results_are_read_as_they_were_written(lake: Lake, file_format: str, write: Write) -> None:
    rows = [window(5), window(10, 12, 1 / 3), window(15, 7, None), window(55.000001)]
    write(lake, rows)
    assert read(lake, file_format, TWELVE) == rows


@FORMATS
def test_a_window_that_ends_on_the_hour_is_filed_under_the_next_and_read_with_its_own(
    lake: Lake, file_format: str, write: Write
) -> None:
    rows = [window(0), window(5), window(60), window(65)]
    write(lake, rows)
    assert folder(lake, NOON + HOUR).joinpath("0_abc_1" + (".json" if "json" in file_format else ".parquet")).exists()
    assert read(lake, file_format, TWELVE) == [rows[1], rows[2]]
    assert read(lake, file_format, "2026-01-05T11") == [rows[0]]


def test_several_files_of_an_hour_are_all_read_and_files_of_other_kinds_are_not(lake: Lake) -> None:
    write_json(lake, [window(5)], "0_abc_1.json")
    write_json(lake, [window(10)], "0_abc_2.json")
    (folder(lake, NOON) / "notes.txt").write_text("by hand")
    assert read(lake, "json_lines", TWELVE) == [window(5), window(10)]


def test_no_files_are_no_results(lake: Lake) -> None:
    assert read(lake, "parquet", TWELVE) == []
    assert read(lake, "json_lines", TWELVE) == []


def test_a_column_that_the_files_lack_and_a_value_of_another_type_are_null(lake: Lake) -> None:
    lacking = COLUMNS.remove(COLUMNS.get_field_index("pageviews"))
    write_parquet(lake, [window(5)], schema=lacking)
    assert read(lake, "parquet", TWELVE) == [{**window(5), "pageviews": None}]
    write_json(lake, [{**window(5), "pageviews": "ten"}])
    assert read(lake, "json_lines", TWELVE) == [{**window(5), "pageviews": None}]


def test_parquet_with_times_to_the_millisecond_and_without_zone_is_utc(lake: Lake) -> None:
    schema = COLUMNS.set(3, pa.field("_time", pa.timestamp("ms")))
    write_parquet(lake, [{**window(5), "_time": window(5)["_time"].replace(tzinfo=None)}], schema=schema)
    assert read(lake, "parquet", TWELVE) == [window(5)]


def test_a_broken_file_is_an_error_that_names_it(lake: Lake) -> None:
    write_json(lake, [window(5)])
    (folder(lake, NOON) / "0_abc_2.json").write_text('{"http_method": "GE')
    with pytest.raises(duckdb.Error, match=r"0_abc_2\.json"):
        read(lake, "json_lines", TWELVE)


def test_hours_are_found_by_their_folders_alone(lake: Lake) -> None:
    write_parquet(lake, [window(60 * hour + 5) for hour in range(5)])
    files = files_of(lake, STREAM, "parquet", [hour_key(parse_hour(TWELVE) + HOUR)])
    assert [file.split("/")[-2] for file in files] == ["hour=13", "hour=14"]
