"""Rows of windows that may still change are told from final ones, by what has landed and in tables of before."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from dagster_lake.contract.model import contracts
from dagster_lake.lake_hour import HOUR, parse_hour
from dagster_lake.landing.empty_hour import empty_hour
from dagster_lake.storage.delta.write import pin
from dagster_lake.storage.duckdb.scan import scan_sql
from dagster_lake.storage.manifest import read_manifest, write_manifest
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.unfinished import begin, end
from tests.lake.stream_world import DAY, StreamWorld, at, rows_of
from tests.lake.test_streams import models, run

WINDOWS = "pageviews_by_http_method_5m"
TEN, ELEVEN = f"{DAY}T10", f"{DAY}T11"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path / "lake"))


def landed(lake: Lake, hour: str, *, complete: bool) -> None:
    """Raw's manifest of the pageviews of an hour; silver is written by the world."""
    contract = contracts()["pageviews"]
    folder = lake.raw_partition("pageviews", hour, sensitive=contract.sensitive)
    folder.mkdir(parents=True, exist_ok=True)
    start = parse_hour(hour)
    told = replace(empty_hour(contract, start, start + HOUR), complete=complete, landed_at=start + HOUR)
    write_manifest(folder, told, replacing=read_manifest(folder))


def finals(lake: Lake) -> dict[datetime, bool | None]:
    return {row["_time"]: row.get("_is_final") for row in rows_of(lake, WINDOWS)}


def test_in_an_open_hour_windows_that_ended_are_final_and_become_so_as_it_goes_on(lake: Lake) -> None:
    world = StreamWorld(users={f"{DAY}T000000Z": [{"id": 1}]})
    for time in ("10:01", "10:06", "10:11:05"):
        world.view(time)
    world.write_snapshots(lake)
    world.write_hours(lake, [TEN])
    landed(lake, TEN, complete=False)
    run(lake, models(WINDOWS, "sessions"), TEN)
    # Known up to 10:10:55, so that what is a minute late has a time after 10:09:55.
    assert finals(lake) == {at("10:05"): True, at("10:10"): False, at("10:15"): False}
    assert [row["_is_final"] for row in rows_of(lake, "sessions")] == [False]

    world.view("10:11:10")
    world.write_hours(lake, [TEN])
    run(lake, models(WINDOWS), TEN)
    assert finals(lake) == {at("10:05"): True, at("10:10"): True, at("10:15"): False}

    world.view("10:59:30")
    world.write_hours(lake, [TEN])
    landed(lake, TEN, complete=True)
    run(lake, models(WINDOWS), TEN)
    assert finals(lake) == {at("10:05"): True, at("10:10"): True, at("10:15"): True, at("11:00"): False}

    landed(lake, ELEVEN, complete=True)
    run(lake, models(WINDOWS, "sessions"), ELEVEN)
    assert set(finals(lake).values()) == {True}
    assert [(row["_time"], row["_is_final"]) for row in rows_of(lake, "sessions")] == [
        (at("10:41:10"), True),
        (at("11:29:30"), True),
    ]


def test_an_hour_that_silver_was_not_made_of_yet_is_not_final(lake: Lake) -> None:
    world = StreamWorld()
    world.view("10:01")
    world.write_hours(lake, [TEN])
    landed(lake, TEN, complete=True)
    begin(lake, "pageviews", [TEN])
    run(lake, models(WINDOWS), TEN)
    assert finals(lake) == {at("10:05"): False}
    end(lake, "pageviews", [TEN])
    run(lake, models(WINDOWS), TEN)
    assert finals(lake) == {at("10:05"): True}


def test_a_hour_before_that_is_open_leaves_open_what_follows_from_it(lake: Lake) -> None:
    world = StreamWorld()
    world.view("10:01")
    world.view("11:01")
    world.write_hours(lake, [TEN, ELEVEN])
    landed(lake, TEN, complete=False)
    landed(lake, ELEVEN, complete=True)
    run(lake, models(WINDOWS), TEN, ELEVEN)
    assert finals(lake) == {at("10:05"): False, at("11:05"): False}
    landed(lake, TEN, complete=True)
    run(lake, models(WINDOWS), TEN)
    assert finals(lake) == {at("10:05"): True, at("11:05"): True}


def test_a_table_of_before_gets_the_column_and_its_other_hours_stay_as_they_are(lake: Lake) -> None:
    world = StreamWorld()
    for hour in (8, 10, 11):
        world.view(f"{hour:02}:01")
    world.write_hours(lake, world.hours)
    run(lake, models(WINDOWS), world.hours[0], world.hours[-1])
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        pinned = pin(lake.table("streams", WINDOWS))
        assert pinned is not None
        before = con.sql(f"SELECT * EXCLUDE (_is_final) FROM ({scan_sql(pinned)})").to_arrow_table()
    assert isinstance(before, pa.Table)
    write_deltalake(
        str(lake.table("streams", WINDOWS)),
        before,
        mode="overwrite",
        schema_mode="overwrite",
        partition_by=["_lake_hour"],
    )
    assert set(finals(lake).values()) == {None}

    run(lake, models(WINDOWS), TEN)
    assert finals(lake) == {at("08:05"): None, at("10:05"): True, at("11:05"): True}
