"""Damaged tables as Spark meets them: told as on DuckDB, and readable again when mended."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.manifest import DbtRunError
from dagster_lake.dbt_runner.run import NodeResult, build
from dagster_lake.engines.duckdb.engine import DuckDBEngine
from dagster_lake.engines.spark.engine import SparkEngine
from dagster_lake.engines.spark.session import spark_session
from dagster_lake.engines.step import Check, Engine, Step
from dagster_lake.lake_hour import HourRange
from dagster_lake.settings.lake import Settings
from dagster_lake.storage import checksums
from dagster_lake.storage.damage import TableDamaged
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.delta.spark import SparkDelta
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.examine import content_faults, table_faults
from dagster_lake.storage.mend import carry_out, mending
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


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> TestLake:
    """An hour of orders and pageviews, as DuckDB and delta-rs made it."""
    made = TestLake(tmp_path_factory.mktemp("damage") / "lake")
    for data_set in ("orders", "pageviews"):
        made.run_data_set(data_set, *hours(1))
    return made


@contextmanager
def damaged(file: Path, content: bytes | None) -> Iterator[None]:
    """While the file has another content, or is gone; read by a process that comes anew."""
    before = file.read_bytes()
    delta._held.clear()
    checksums._seen.clear()
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    try:
        yield
    finally:
        file.write_bytes(before)


@pytest.mark.parametrize("damage", ["log", "data"])
def test_a_step_on_spark_says_which_table_is_damaged_and_what_mends_it(
    spark: SparkDelta, lake: TestLake, damage: str
) -> None:
    folder = lake.table_folder("bronze/orders")
    file = next(folder.glob("*/*.parquet")) if damage == "data" else max((folder / "_delta_log").glob("*.json"))
    with damaged(file, None if damage == "data" else file.read_bytes()[:-40]), lake.here():
        engine = SparkEngine(lake.resource.lake, contracts(), Settings(), spark=spark.spark)
        with pytest.raises(TableDamaged, match=r"bronze\.orders: .*`lake repair bronze.orders`"):
            engine.run(Step("orders", "silver", tuple(hours(1))))


HOUR = tuple(hours(1))


def models(engine: Engine) -> list[NodeResult]:
    of = HourRange.of(HOUR[0])
    return list(build(["model.dagster_lake.engagement_hourly"], of, engine.lake, engine.settings))  # type: ignore[attr-defined]


READERS: dict[str, tuple[str, Callable[[Engine], object]]] = {
    "silver": ("bronze/orders", lambda engine: engine.run(Step("orders", "silver", HOUR))),
    "newest": ("silver/orders_changes", lambda engine: engine.run(Step("orders", "newest", HOUR))),
    "checks": ("silver/orders_changes", lambda engine: engine.check(Check("orders", HOUR, ("rules_hold",)))),
    "models": ("silver/pageviews", models),
}
"""What reads an hour of which table."""


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["duckdb", "spark"])
def test_a_flipped_bit_of_an_hour_is_read_by_no_step_of_either_engine(
    spark: SparkDelta, lake: TestLake, name: str, reader: str
) -> None:
    table, read = READERS[reader]
    (file,) = lake.table_folder(table).glob("*/*.parquet")
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 4
    with damaged(file, bytes(content)), lake.here():
        here, settings = lake.resource.lake, lake.resource.settings.model_copy(update={"engine": name})
        engine: Engine = DuckDBEngine(here, contracts(), settings)
        if name == "spark":
            engine = SparkEngine(here, contracts(), settings, spark=spark.spark)
        with pytest.raises((TableDamaged, DbtRunError), match=f"{file.name} is not as it was written.*`lake repair "):
            read(engine)


def test_a_changed_file_of_a_version_past_hinders_no_step_on_spark(spark: SparkDelta, tmp_path: Path) -> None:
    spec = TableSpec(UPath(tmp_path / "silver" / "things"), SCHEMA, "_lake_hour")
    for _ in range(2):
        delta.replace_partitions(spec, ["a"], lambda: rows("a").to_reader(), {})
    pinned = delta.pin(spec.uri)
    assert pinned is not None
    (past,) = {*map(str, (tmp_path / "silver").glob("*/*/*.parquet"))} - {*pinned.files()}
    with damaged(Path(past), b"other"):
        assert spark.at(spec.uri, 2).of("_lake_hour", ["a"]).count() == 2
        with pytest.raises(TableDamaged):
            spark.at(spec.uri, 1).of("_lake_hour", ["a"])
