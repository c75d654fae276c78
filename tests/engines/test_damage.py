"""Damaged tables as Spark meets them: told as on DuckDB, and readable again when mended."""

import random
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from dagster_lake.contract import contracts
from dagster_lake.engines.base import Step
from dagster_lake.engines.spark import SparkEngine
from dagster_lake.engines.spark_session import spark_session
from dagster_lake.settings import Settings
from dagster_lake.storage import delta
from dagster_lake.storage.damage import TableDamaged
from dagster_lake.storage.examine import content_faults, table_faults
from dagster_lake.storage.mend import carry_out, mending
from dagster_lake.storage.spark_delta import SparkDelta
from dagster_lake.storage.table_spec import TableSpec
from tests.lake.lakes import TestLake, hours

SCHEMA = pa.schema([("id", pa.int64()), ("_lake_hour", pa.string())])


def rows(hour: str) -> pa.Table:
    return pa.table({"id": [1, 2], "_lake_hour": [hour, hour]}, SCHEMA)


@pytest.fixture(scope="module")
def spark() -> SparkDelta:
    return SparkDelta(spark_session(Settings(threads=2)), None)


def test_a_cut_off_commit_is_refused_and_spark_goes_on_from_the_one_that_replaced_it(
    spark: SparkDelta, tmp_path: Path
) -> None:
    spec = TableSpec(UPath(tmp_path / "silver" / "things"), SCHEMA, "_lake_hour")
    for hour in ("a", "b"):
        delta.replace_partitions(spec, [hour], lambda hour=hour: rows(hour).to_reader(), {})  # type: ignore[misc]
    (tmp_path / "silver" / "things" / "_delta_log" / f"{2:020}.json").write_bytes(b"")
    with pytest.raises(TableDamaged, match=r"silver\.things: .*is empty; `lake repair silver.things`"):
        spark.version(spec.uri)
    carry_out(mending(spec.uri, table_faults(spec.uri)), datetime(2026, 1, 1, tzinfo=UTC))
    assert spark.version(spec.uri) == 2
    spark.replace_partitions(
        spec, ["b"], lambda: spark.spark.createDataFrame(rows("b")), lambda: True, lambda: {"by": "a test"}
    )
    pinned = delta.pin(spec.uri)
    assert pinned is not None
    assert _flips_missed(tmp_path / "silver" / "things" / "_lake_hour=b", pinned) == 0
    assert (pinned.version, pinned.rows(["a"]), pinned.rows(["b"])) == (3, 2, 2)


def _flips_missed(folder: Path, pinned: delta.Pinned) -> int:
    """How many of 60 flipped bits give other rows than were written, and are no fault: Spark writes pages with their
    checksums. (A flip in what describes the file may change nothing that is read.)"""
    file = max(folder.glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    whole, wanted, missed = file.read_bytes(), pq.read_table(file).to_pylist(), 0
    for number in range(60):
        place = random.Random(number).randrange(len(whole) * 8)
        changed = bytearray(whole)
        changed[place // 8] ^= 1 << place % 8
        file.write_bytes(changed)
        if not list(content_faults(pinned, lambda read: None)):
            missed += pq.read_table(file).to_pylist() != wanted
    file.write_bytes(whole)
    return missed


@pytest.mark.parametrize("damage", ["log", "data"])
def test_a_step_on_spark_says_which_table_is_damaged_and_what_mends_it(
    spark: SparkDelta, tmp_path: Path, damage: str
) -> None:
    lake = TestLake(tmp_path / "lake")
    lake.run_data_set("orders", *hours(1))
    folder = lake.table_folder("bronze/orders")
    if damage == "data":
        next(folder.glob("*/*.parquet")).unlink()
    else:
        log = max((folder / "_delta_log").glob("*.json"))
        log.write_bytes(log.read_bytes()[:-40])
    with lake.here():
        engine = SparkEngine(lake.resource.lake, contracts(), Settings(), spark=spark.spark)
        with pytest.raises(TableDamaged, match=r"bronze\.orders: .*`lake repair bronze.orders`"):
            engine.run(Step("orders", "silver", tuple(hours(1))))
