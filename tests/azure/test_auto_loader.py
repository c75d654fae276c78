"""Auto Loader's landing gives what the landing by copy gives, however it is killed.

``cloudFiles`` exists on Databricks only. Spark's own file sources, which keep the same books in the same checkpoint,
take its place; Capture's Avro is played by Parquet of the same columns.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from dagster_lake import clock, commit
from dagster_lake.contract.model import contracts
from dagster_lake.databricks.auto_loader.load import load
from dagster_lake.databricks.auto_loader.options import auto_loader_options
from dagster_lake.databricks.upkeep import UpkeepError, tend
from dagster_lake.engines.duckdb.engine import DuckDBEngine
from dagster_lake.engines.spark.session import spark_session
from dagster_lake.engines.step import Step
from dagster_lake.lake_hour import HourRange, hour_key
from dagster_lake.landing.land import land_hours, land_snapshot, partitions
from dagster_lake.landing.result import LandingError
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.event_hub.protocol import EVENT_SCHEMA
from dagster_lake.sources.opened import Sources
from dagster_lake.storage.manifest import read_manifest
from dagster_lake.storage.paths import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOW = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
VIPS, STARS, ORDERS = (contracts()[name] for name in ("vip_users", "stars", "orders"))


@pytest.fixture(scope="module")
def spark() -> "SparkSession":
    return spark_session(Settings(threads=2, spark_memory="1g"))


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(clock, "utc_now", lambda: NOW)
    yield
    commit.observe(None)


class Killed(Exception):
    """What stands for the end of the process: Spark waits for ever for a callback that ends otherwise."""


def die_at(point: str) -> None:
    """Fails the next time that ``point`` is passed, once."""

    def observer(passed: str) -> None:
        if passed == point:
            commit.observe(None)
            raise Killed(f"killed at {point}")

    commit.observe(observer)


def bronze(lake: Lake, data_set: str) -> list[dict[str, Any]]:
    contract = contracts()[data_set]
    engine = DuckDBEngine(lake, contracts(), Settings(root=str(lake.root)))
    engine.run(Step(data_set, "bronze", tuple(partitions(lake, contract))))
    rows = DeltaTable(str(lake.table("bronze", data_set, sensitive=True))).to_pyarrow_table().to_pylist()
    return sorted(rows, key=repr)


# ---- files ----------------------------------------------------------------------------------------------------------


def drop(lake: Lake, name: str, text: str, at: datetime) -> None:
    folder = Path(str(lake.landing("vip_users")))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    os.utime(folder / name, (at.timestamp(), at.timestamp()))


def lakes(tmp_path: Path) -> tuple[Lake, Lake]:
    return Lake.at(str(tmp_path / "copy")), Lake.at(str(tmp_path / "auto"))


def loaded(spark: "SparkSession", lake: Lake, data_set: str = "vip_users") -> int:
    source_format = "binaryFile" if data_set == "vip_users" else "parquet"
    return load(spark, contracts()[data_set], lake, str(lake.root / "checkpoints" / data_set), source_format)


def test_dropped_files_become_the_bronze_that_copying_them_gives(spark: "SparkSession", tmp_path: Path) -> None:
    copy, auto = lakes(tmp_path)
    for lake in (copy, auto):
        drop(lake, "a.jsonl", '{"id": 1}\n{"id": 2}\nnot json\n', NOW - timedelta(hours=2))
        drop(lake, "notes.txt", "not for us", NOW)
    land_snapshot(VIPS, copy)
    assert loaded(spark, auto) == 1
    assert loaded(spark, auto) == 0  # nothing is new
    assert bronze(auto, "vip_users") == bronze(copy, "vip_users")
    for lake in (copy, auto):
        drop(lake, "b.jsonl", '{"id": 3}\n', NOW - timedelta(hours=1))
    land_snapshot(VIPS, copy)
    assert loaded(spark, auto) == 1
    found = bronze(auto, "vip_users")
    assert found == bronze(copy, "vip_users")
    assert len({row["_snapshot"] for row in found}) == 2


@pytest.mark.parametrize("point", ["raw.vip_users.files:after", "raw.vip_users:before", "raw.vip_users:after"])
def test_a_snapshot_killed_on_its_way_is_landed_once(spark: "SparkSession", tmp_path: Path, point: str) -> None:
    copy, auto = lakes(tmp_path)
    for lake in (copy, auto):
        drop(lake, "a.jsonl", '{"id": 1}\n{"id": 2}\n', NOW - timedelta(hours=2))
    land_snapshot(VIPS, copy)
    die_at(point)
    with pytest.raises(Exception, match="killed at"):
        loaded(spark, auto)
    assert loaded(spark, auto) == 1
    assert partitions(auto, VIPS) == partitions(copy, VIPS)
    assert bronze(auto, "vip_users") == bronze(copy, "vip_users")


# ---- Event Hubs Capture ---------------------------------------------------------------------------------------------

EVENTS = [  # (arrival, partition, sequence number): around the ends of hours, two partitions, one hour without any
    (datetime(2026, 1, 5, 9, 30, 0, tzinfo=UTC), "0", 1),
    (datetime(2026, 1, 5, 10, 0, 0, tzinfo=UTC), "0", 2),
    (datetime(2026, 1, 5, 10, 0, 1, tzinfo=UTC), "1", 1),
    (datetime(2026, 1, 5, 12, 0, 1, tzinfo=UTC), "0", 3),
    (datetime(2026, 1, 5, 13, 0, 0, tzinfo=UTC), "1", 2),
]
HOURS = HourRange.of("2026-01-05T09", "2026-01-05T12")


class Hub:
    """The hub that Capture wrote files of."""

    def __init__(self, events: list[tuple[datetime, str, int]]) -> None:
        self.events = events

    def settled_until(self, hub: str) -> datetime:
        return HOURS.end

    def read(
        self, hub: str, start: datetime, end: datetime, after: Mapping[str, int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        rows = [
            {
                "partition": part,
                "sequence_number": sequence,
                "enqueued_time": at,
                "partition_key": None,
                "body": body(sequence),
            }
            for at, part, sequence in self.events
            if start < at <= end
        ]
        yield from pa.Table.from_pylist(rows, EVENT_SCHEMA).to_batches()

    def held_since(self, hub: str) -> None:
        return None


def body(sequence: int) -> bytes:
    return f'{{"event_id": "e{sequence}", "user_id": {sequence}, "stars": 5}}'.encode()


def capture(lake: Lake, events: list[tuple[datetime, str, int]]) -> None:
    """Writes the events as Capture does: a file an event, in folders named by partition and time."""
    for at, part, sequence in events:
        file = Path(str(lake.landing("stars"))) / "namespace" / "stars" / part / f"{at:%Y/%m/%d/%H/%M/%S}.avro"
        file.parent.mkdir(parents=True, exist_ok=True)
        text = f"{at.month}/{at.day}/{at.year} {at.hour % 12 or 12}:{at:%M:%S %p}"
        row = {"SequenceNumber": [sequence], "Offset": ["0"], "EnqueuedTimeUtc": [text], "Body": [body(sequence)]}
        pq.write_table(pa.table(row), file)


def copied(lake: Lake) -> list[dict[str, Any]]:
    land_hours(STARS, lake, HOURS, Sources(Hub(EVENTS), None))  # type: ignore[arg-type]
    return bronze(lake, "stars")


def test_captured_events_become_the_bronze_that_reading_the_hub_gives(spark: "SparkSession", tmp_path: Path) -> None:
    copy, auto = lakes(tmp_path)
    capture(auto, EVENTS)
    loaded(spark, auto, "stars")
    assert bronze(auto, "stars") == copied(copy)
    manifests = [read_manifest(auto.raw_partition("stars", hour, sensitive=True)) for hour in HOURS.keys]
    assert [(m.rows, m.complete) for m in manifests if m] == [(2, True), (1, True), (0, True), (2, True)]


def test_files_that_come_later_are_added_to_their_hours(spark: "SparkSession", tmp_path: Path) -> None:
    copy, auto = lakes(tmp_path)
    for event in EVENTS:
        capture(auto, [event])
        loaded(spark, auto, "stars")
    assert loaded(spark, auto, "stars") == 0
    key = "_source_file"  # names the attempt
    without = [{**row, key: None} for row in bronze(auto, "stars")]
    assert sorted(without, key=repr) == sorted([{**row, key: None} for row in copied(copy)], key=repr)


@pytest.mark.parametrize(
    "point", ["raw.stars.files:before", "raw.stars.files:after", "raw.stars:before", "raw.stars:after"]
)
def test_a_batch_of_events_killed_on_its_way_is_landed_once(spark: "SparkSession", tmp_path: Path, point: str) -> None:
    copy, auto = lakes(tmp_path)
    capture(auto, EVENTS)
    die_at(point)
    with pytest.raises(Exception, match="killed at"):
        loaded(spark, auto, "stars")
    loaded(spark, auto, "stars")
    assert bronze(auto, "stars") == copied(copy)


def test_events_of_a_checkpoint_that_somebody_removed_land_again_rather_than_being_taken_for_landed(
    spark: "SparkSession", tmp_path: Path
) -> None:
    _, auto = lakes(tmp_path)
    capture(auto, EVENTS[:1])
    loaded(spark, auto, "stars")
    shutil.rmtree(str(auto.root / "checkpoints"))
    shutil.rmtree(str(auto.landing("stars")))
    capture(auto, EVENTS[1:2])
    loaded(spark, auto, "stars")
    manifest = read_manifest(auto.raw_partition("stars", hour_key(HOURS.first), sensitive=True))
    assert manifest is not None
    assert manifest.rows == 2


def test_a_file_that_capture_did_not_write_is_refused_by_name(spark: "SparkSession", tmp_path: Path) -> None:
    _, auto = lakes(tmp_path)
    file = Path(str(auto.landing("stars"))) / "odd.avro"
    file.parent.mkdir(parents=True)
    pq.write_table(pa.table({"SequenceNumber": [1], "EnqueuedTimeUtc": ["soon"], "Body": [b"x"]}), file)
    with pytest.raises(Exception, match="landing/stars is not as Event Hubs Capture writes it"):
        loaded(spark, auto, "stars")
    assert partitions(auto, STARS) == []


def test_a_database_table_is_refused(spark: "SparkSession", tmp_path: Path) -> None:
    with pytest.raises(LandingError, match=r"orders: is a database table.*land it by copy"):
        load(spark, ORDERS, lakes(tmp_path)[1], str(tmp_path / "checkpoint"))


@pytest.mark.parametrize("name", sorted(contracts()))
def test_the_options_follow_from_the_contract(name: str) -> None:
    contract = contracts()[name]
    options = auto_loader_options(contract, "/Volumes/shop/bronze/checkpoints/x")
    assert options["cloudFiles.schemaLocation"].startswith("/Volumes/shop/bronze/checkpoints/x/")
    assert options["cloudFiles.includeExistingFiles"] == "true"
    expected = {"files": "binaryFile"}.get(contract.source.kind, "avro")
    assert options["cloudFiles.format"] == expected
    assert ("rescuedDataColumn" in options) == (expected == "avro")


# ---- upkeep ---------------------------------------------------------------------------------------------------------


def test_upkeep_joins_the_small_files_of_recent_hours_and_changes_no_row(
    spark: "SparkSession", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recent, old, still_open = "2026-01-05T02", "2025-12-05T02", "2026-01-05T14"
    for hour in (recent, old, still_open):
        for number in range(3):
            rows = pa.table({"n": [number], "_lake_hour": [hour]})
            write_deltalake(tmp_path / "table", rows, mode="append", partition_by=["_lake_hour"])
    before = DeltaTable(tmp_path / "table").to_pyarrow_table().sort_by("n").to_pylist()
    names = [f"delta.`{tmp_path / 'missing'}`", f"delta.`{tmp_path / 'table'}`"]
    with pytest.raises(UpkeepError, match=r"optimize failed for 1 of 2 tables:\n.*missing"):
        tend(spark, "optimize", names)
    assert "3 files joined into 1" in capsys.readouterr().out
    table = DeltaTable(tmp_path / "table")
    files = [path.partition("/")[0].partition("=")[2].replace("%3A", ":") for path in _paths(table)]
    assert {hour: files.count(hour) for hour in (recent, old, still_open)} == {recent: 1, old: 3, still_open: 3}
    held = set((tmp_path / "table").glob("_lake_hour=*/*.parquet"))
    # A vacuum lists by 10,000 tasks unless told otherwise.
    spark.conf.set("spark.sql.sources.parallelPartitionDiscovery.parallelism", "2")
    tend(spark, "vacuum", names[1:])
    assert set((tmp_path / "table").glob("_lake_hour=*/*.parquet")) == held  # the week's files stay, joined or not
    assert sorted(DeltaTable(tmp_path / "table").to_pyarrow_table().to_pylist(), key=repr) == sorted(before, key=repr)


def _paths(table: DeltaTable) -> list[str]:
    return [uri.split("/table/")[1] for uri in table.file_uris()]
