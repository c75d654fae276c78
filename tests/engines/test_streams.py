"""The streams on DuckDB and on Spark from the same silver: late, early and unordered events, long visits, anomalies."""

import shutil
from pathlib import Path

import pytest

from dagster_lake.dbt_runner import run as dbt
from dagster_lake.dbt_runner.manifest import manifest
from dagster_lake.lake_hour import HourRange
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.declarations import stream_declarations
from dagster_lake.streams.sinks.deliver import fill
from dagster_lake.streams.sinks.sink import Sink
from tests.engines.report import note
from tests.engines.tables import differences
from tests.lake.stream_world import StreamWorld, rows_of
from tests.lake.test_streams import STREAMS, models, random_world, read, unlike

FLOATS = 1e-12
"""Relative: percentiles may be rounded differently in their last digits."""
AGAIN = ("pageviews_stars_correlation", "sessions")


@pytest.fixture(scope="module")
def world() -> StreamWorld:
    return random_world(0)


@pytest.fixture(scope="module")
def lakes(world: StreamWorld, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Lake]:
    """Two lakes of the same silver; each engine has computed all streams, and then some for one hour again."""
    root = tmp_path_factory.mktemp("streams")
    silver = Lake.at(str(root / "duckdb"))
    world.write_snapshots(silver)
    world.write_hours(silver, world.hours)
    shutil.copytree(root / "duckdb", root / "spark")
    found = {engine: Lake.at(str(root / engine)) for engine in ("duckdb", "spark")}
    for engine, lake in found.items():
        settings = Settings(engine=engine, threads=2)  # type: ignore[arg-type]
        list(dbt.build(models(), HourRange.of(world.hours[0], world.hours[-1]), lake, settings))
        list(dbt.build(models(*AGAIN), HourRange.of(world.hours[3]), lake, settings))
    return found


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_is_the_same_table_on_both_engines(stream: str, lakes: dict[str, Lake], record_property) -> None:
    found, wanted = (Path(str(lakes[engine].table("streams", stream))) for engine in ("spark", "duckdb"))
    assert differences(found, wanted, float_tolerance=FLOATS) == []
    rows = len(rows_of(lakes["spark"], stream))
    assert rows > 0
    note(
        record_property,
        kind="stream",
        name=stream,
        table=f"streams/{stream}",
        engine="spark",
        case="late and unordered events",
        rows=rows,
    )


def test_sinks_get_the_same_whichever_engine_wrote_the_streams(lakes: dict[str, Lake]) -> None:
    """The streams without doubles, whose last digits an engine may round otherwise, byte by byte."""
    streams = {name: stream for name, stream in stream_declarations(manifest()).items() if name in ("sessions", *AGAIN)}
    files = [Sink(name, tuple(one.key), "files", name, "jsonl") for name, one in streams.items()]
    found = {}
    for engine, lake in lakes.items():
        table = Sink("latency_anomalies", ("http_method", "_time"), "database_table", "anomalies")
        filled = fill(lake, Settings(root=str(lake.root), threads=2), [*files, table])
        assert [one.trouble for one in filled] == [None] * len(filled)
        folder = Path(str(lake.root)) / "drops"
        found[engine] = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.jsonl")}
    assert found["spark"] == found["duckdb"]
    assert found["spark"]


def test_on_spark_the_streams_are_what_a_naive_computation_gives(lakes: dict[str, Lake], world: StreamWorld) -> None:
    assert unlike(read(lakes["spark"]), world.streams()) == {}
