"""Auto Loader as a landing, on Databricks: ``lake-auto-load`` finds what is new for one data set, lands it and ends.

What raw holds afterwards is what the landing by copy would have made of the same files, with the same manifest as its
commit point:

- files: when something in the drop folder is new, the folder as it stands is landed as a snapshot, by the very code of
  the landing by copy. A snapshot made of the new files alone would look like one that lost all the others.
- Event Hubs Capture: each event goes to the lake hour of its arrival. A micro-batch adds one attempt to every hour that
  it has events of.

A micro-batch whose manifest was not published counts for nothing, and Spark brings it again. One whose manifest was
published, but which Spark does not know to be done, is brought again too, and found to be landed already.
"""

import argparse
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from upath import UPath

from dagster_lake import clock
from dagster_lake.commit import commit
from dagster_lake.contract.model import Contract, ContractError, EventHubSource, FileSource, contracts
from dagster_lake.databricks.auto_loader.options import auto_loader_options
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, hour_of, parse_hour
from dagster_lake.landing.attempt import AttemptFolder
from dagster_lake.landing.empty_hour import empty_hour
from dagster_lake.landing.events import NewEvents, landed_runs
from dagster_lake.landing.gaps import closed, hold_other_hours, told
from dagster_lake.landing.result import LandingError
from dagster_lake.landing.snapshot import land_snapshot
from dagster_lake.sources.event_hub.captured import CAPTURE_LAG
from dagster_lake.sources.event_hub.protocol import EVENT_SCHEMA
from dagster_lake.storage.manifest import Attempt, read_manifest, write_manifest
from dagster_lake.storage.paths import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_FILES = "path STRING, modificationTime TIMESTAMP, length LONG, content BINARY"
# As Spark reads Capture's Avro, whose unions become members of a struct.
_CAPTURE = (
    "SequenceNumber LONG, EnqueuedTimeUtc STRING, SystemProperties MAP<STRING, STRUCT<member0: LONG, member1: DOUBLE, "
    "member2: STRING, member3: BINARY>>, Body BINARY"
)
_CAPTURE_TIME = "M/d/yyyy h:mm:ss a"
# .../namespace/hub/partition/year/month/day/hour/minute/second.avro
_CAPTURE_PARTITION = r"/(\d+)/\d{4}/\d{2}/\d{2}/\d{2}/\d{2}/\d{2}\.\w+$"
_MOST_HOURS = 48


@dataclass(frozen=True, kw_only=True)
class VolumeLake(Lake):
    """The lake as a job on Databricks sees it, through a Unity Catalog volume over each of the folders it needs."""

    drops: UPath
    open_raw: UPath
    sensitive_raw: UPath

    def raw(self, data_set: str, *, sensitive: bool = False) -> UPath:
        """The folder of a data set's raw partitions."""
        return (self.sensitive_raw if sensitive else self.open_raw) / data_set

    def landing(self, data_set: str) -> UPath:
        """The drop folder of a data set, or where Capture writes its hub."""
        return self.drops / data_set


def main(arguments: Sequence[str] | None = None) -> None:
    """Lands what is new for one data set. Raises LandingError, ContractError, or what Spark raises."""
    from pyspark.sql import SparkSession

    parser = argparse.ArgumentParser(prog="lake-auto-load", description=__doc__.splitlines()[0])
    parser.add_argument("--data-set", required=True, help="the contract's name")
    parser.add_argument("--landing", required=True, help="the volume over the drop folders")
    parser.add_argument("--raw", required=True, help="the volume over the lake's raw")
    parser.add_argument("--sensitive-raw", required=True, help="the volume over the lake's sensitive/raw")
    parser.add_argument("--checkpoints", required=True, help="the volume of checkpoints")
    known = parser.parse_args(arguments)
    if known.data_set not in contracts():
        raise ContractError(f"--data-set {known.data_set!r} has no contract; name one of {', '.join(contracts())}")
    raw = UPath(known.raw)
    lake = VolumeLake(
        root=raw.parent, drops=UPath(known.landing), open_raw=raw, sensitive_raw=UPath(known.sensitive_raw)
    )
    spark = SparkSession.builder.getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    batches = load(spark, contracts()[known.data_set], lake, f"{known.checkpoints}/{known.data_set}")
    print(f"{known.data_set}: {batches} micro-batch(es) landed")


def load(
    spark: "SparkSession", contract: Contract, lake: Lake, checkpoint: str, source_format: str = "cloudFiles"
) -> int:
    """Lands every file that no earlier run has landed; gives the number of micro-batches that took.

    ``source_format`` is Auto Loader's, which only Databricks has; Spark's own file sources take its place in tests.
    """
    started = clock.utc_now()
    land: Callable[[DataFrame, int], None]
    if isinstance(contract.source, FileSource):
        schema, land = _FILES, partial(land_drop_folder, contract=contract, lake=lake)
    elif isinstance(contract.source, EventHubSource):
        schema, land = _CAPTURE, partial(land_events, contract=contract, lake=lake, checkpoint=checkpoint)
    else:
        raise LandingError(f"{contract.name}: is a database table, which leaves no files; land it by copy")
    reader = spark.readStream.format(source_format).schema(schema)
    reader = reader.options(**auto_loader_options(contract, checkpoint))
    found = reader.load(str(lake.landing(contract.name)))
    # Without their contents, which a snapshot's landing reads itself: an idle run opens no file.
    wanted = found.select("path") if isinstance(contract.source, FileSource) else found.selectExpr("*", "_metadata")
    query = (
        wanted.writeStream.foreachBatch(land)
        .option("checkpointLocation", checkpoint)
        .trigger(availableNow=True)
        .queryName(f"land {contract.name}")
        .start()
    )
    query.awaitTermination()
    if isinstance(contract.source, FileSource):
        # Files that were still being written when they were found, or wait for a marker, are not brought again.
        for warning in land_snapshot(contract, lake).warnings:
            print(f"{contract.name}: {warning}")
    if isinstance(contract.source, EventHubSource):
        close_hours(contract, lake, started)
    return len({progress["batchId"] for progress in query.recentProgress if progress["numInputRows"]})


# ---- files ----


def land_drop_folder(batch: "DataFrame", batch_id: int, *, contract: Contract, lake: Lake) -> None:
    """Lands the drop folder as it stands. Brought again, it finds the same content landed and changes nothing."""
    if not batch.isEmpty():
        land_snapshot(contract, lake)


# ---- Event Hubs Capture ----


def land_events(batch: "DataFrame", batch_id: int, *, contract: Contract, lake: Lake, checkpoint: str) -> None:
    """Adds the batch's events to the lake hours of their arrival, unless it did so before."""
    events = batch.selectExpr(
        "Body AS body",
        # The column knows whole seconds only; the property, where there is one, milliseconds.
        "coalesce(timestamp_millis(SystemProperties['x-opt-enqueued-time'].member0), "
        f"try_to_timestamp(EnqueuedTimeUtc, '{_CAPTURE_TIME}')) AS enqueued_time",
        f"nullif(regexp_extract(_metadata.file_path, r'{_CAPTURE_PARTITION}', 1), '') AS partition",
        "SequenceNumber AS sequence_number",
        "SystemProperties['x-opt-partition-key'].member2 AS partition_key",
    ).selectExpr(
        "*",
        # (start, end]: what arrived at 13:00:00 sharp belongs to the hour that ends then.
        "date_format(enqueued_time - INTERVAL 1 MICROSECOND, \"yyyy-MM-dd'T'HH\") AS hour",
    )
    hours = [row["hour"] for row in events.select("hour").distinct().collect()]
    if None in hours:
        raise LandingError(
            f"{contract.name}: a file in {lake.landing(contract.name)} is not as Event Hubs Capture writes it (no "
            f"EnqueuedTimeUtc such as 1/5/2026 12:00:01 PM); move it away and run again"
        )
    name = f"{_stream_id(checkpoint)}b{batch_id}"
    for hour in sorted(hours):
        table = events.where(f"hour = '{hour}'").select(EVENT_SCHEMA.names).toArrow().cast(EVENT_SCHEMA)
        _add_attempt(contract, lake, parse_hour(hour), name, table)


def _add_attempt(contract: Contract, lake: Lake, hour: datetime, name: str, events: pa.Table) -> None:
    folder = lake.raw_partition(contract.name, hour_key(hour), sensitive=contract.sensitive)
    before = read_manifest(folder)
    if before and any(re.match(rf"attempt-\d+-{name}/", file.path) for file in before.files):
        return
    now = clock.utc_now()
    known = before or empty_hour(contract, hour, now)
    number = known.next_attempt
    attempt = AttemptFolder(folder, number)
    # The batch's own name: what a killed run left of it is written over, not added to.
    attempt.path = folder / f"attempt-{number:04d}-{name}"
    attempt.discard()
    news = NewEvents(landed_runs(folder, known))
    with commit(f"raw.{contract.name}.files"):
        attempt.write_parquet("events", EVENT_SCHEMA, news.of(iter(events.to_batches())))
    if not attempt.files:
        return  # a checkpoint that was removed has all files brought again
    landed = Attempt(number, now, tuple(attempt.files))
    after = news.noted_in(replace(known, attempts=(*known.attempts, landed), landed_at=now))
    write_manifest(folder, after, replacing=before)


def close_hours(contract: Contract, lake: Lake, looked_at: datetime) -> None:
    """Marks as complete the hours, since the first that landed, whose files had all been written at ``looked_at``.

    An hour without events is landed too, with none. One of which events are missing is held, and told. Only the last
    two days are looked at.
    """
    raw = lake.raw(contract.name, sensitive=contract.sensitive)
    landed = sorted(entry.name for entry in raw.iterdir()) if raw.exists() else []
    last = hour_of(looked_at - CAPTURE_LAG) - HOUR
    if not landed or parse_hour(landed[0]) > last:
        return
    for hour in HourRange(max(parse_hour(landed[0]), last - _MOST_HOURS * HOUR), last):
        folder = raw / hour_key(hour)
        before = read_manifest(folder)
        if before is None or not before.complete:
            folder.mkdir(parents=True, exist_ok=True)
            known = before or empty_hour(contract, hour, clock.utc_now())
            after = closed(contract, lake, hour, replace(known, runs=dict(landed_runs(folder, known)), complete=True))
            if after != before:
                write_manifest(folder, after, replacing=before)
            if after.lacks:
                hold_other_hours(contract, lake, hour, after.lacks)
                print(f"{contract.name}: {told(contract, after.lacks)}")


def _stream_id(checkpoint: str) -> str:
    """What Spark calls the stream: another one when somebody removed the checkpoint, and batches count from 0 again."""
    found: str = json.loads((Path(checkpoint) / "metadata").read_text(encoding="utf-8"))["id"]
    return found.replace("-", "")[:12]
