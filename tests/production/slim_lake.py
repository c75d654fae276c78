"""A code location that is quick to load: two tables by the hour, written as the lake writes its own."""

import os
from collections.abc import Iterator

import dagster as dg
import pyarrow as pa
from upath import UPath

from dagster_lake.lake_hour import HOUR, KEY_FORMAT
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.delta.spec import TableSpec
from tests.production.gates import gate

ROWS = 2_000
HOURS = dg.HourlyPartitionsDefinition(start_date="2020-01-01T00", fmt=KEY_FORMAT, timezone="UTC")


def table(name: str) -> TableSpec:
    """One of the two tables."""
    schema = pa.schema([("_lake_hour", pa.string()), ("number", pa.int64())])
    return TableSpec(UPath(os.environ["LAKE_ROOT"]) / "slim" / name, schema, partition_by="_lake_hour")


def rows_of(hour: str) -> pa.Array:
    """The numbers that an hour has."""
    first = int(hour[-2:]) * ROWS
    return pa.array(range(first, first + ROWS), pa.int64())


def write(name: str, hour: str, numbers: pa.Array) -> None:
    """Replaces one hour, in two batches with a gate between them: ``<table>-<hour>``."""

    def batches() -> Iterator[pa.RecordBatch]:
        half = len(numbers) // 2
        for place, part in enumerate((numbers[:half], numbers[half:])):
            if place:
                gate(f"{name}-{hour}")
            yield pa.record_batch([pa.array([hour] * len(part)), part], schema=table(name).schema)

    delta.replace_partitions(
        table(name), [hour], lambda: pa.RecordBatchReader.from_batches(table(name).schema, batches()), {}
    )


@dg.asset(partitions_def=HOURS)
def numbers(context: dg.AssetExecutionContext) -> None:
    write("numbers", context.partition_key, rows_of(context.partition_key))


@dg.asset(partitions_def=HOURS, deps=[numbers], pool="squares")
def squares(context: dg.AssetExecutionContext) -> None:
    hour = context.partition_key
    pinned = delta.pin(table("numbers").uri)
    assert pinned is not None
    found = pa.table(pinned.table.to_pyarrow_dataset().to_table(filter=pa.compute.field("_lake_hour") == hour))
    write("squares", hour, pa.compute.power(found["number"].combine_chunks(), 2))


slim_job = dg.define_asset_job("slim", [numbers, squares], partitions_def=HOURS)


def each_hour_at(minute: int) -> dg.ScheduleDefinition:
    """A schedule like the lake's own; there are two, so that a test need not wait for the next tick, or hurry."""

    @dg.schedule(name=f"at_{minute}", job=slim_job, cron_schedule=f"{minute} * * * *", execution_timezone="UTC")
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        hour = (context.scheduled_execution_time - HOUR).strftime(KEY_FORMAT)
        gate(f"tick-{hour}")
        return dg.RunRequest(run_key=hour, partition_key=hour)

    return schedule


defs = dg.Definitions(
    assets=[numbers, squares],
    jobs=[slim_job],
    schedules=[each_hour_at(5), each_hour_at(35)],
    executor=dg.in_process_executor,
)
