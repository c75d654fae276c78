"""Delta tables that Spark writes, as Spark, delta-rs and DuckDB then see them."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from upath import UPath

from dagster_lake.engines.spark.session import spark_session
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta import write as delta_rs
from dagster_lake.storage.delta.spark import SparkDelta, SparkDeltaError
from dagster_lake.storage.delta.spec import TableSpec
from tests.engines.tables import differences

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("flag", pa.bool_()),
        pa.field("at", pa.timestamp("us", "UTC")),
        pa.field("texts", pa.list_(pa.string())),
        pa.field("amount", pa.decimal128(18, 2)),
        pa.field("phone", pa.string()),
        pa.field("_lake_hour", pa.string(), nullable=False),
    ]
)
ROW = {
    "flag": True,
    "at": datetime(2026, 1, 1, tzinfo=UTC),
    "texts": ["á", None],
    "amount": Decimal("1.10"),
    "phone": "731",
}


@pytest.fixture(scope="module")
def spark() -> SparkDelta:
    return SparkDelta(spark_session(Settings(threads=2)), None)


def spec(folder: Path, name: str = "things", schema: pa.Schema = SCHEMA) -> TableSpec:
    return TableSpec(UPath(folder / "silver" / name), schema, "_lake_hour", frozenset({"phone"}), "It's a \\ table.")


def rows(hour: str, *ids: int, **values: Any) -> pa.Table:
    names = [*SCHEMA.names, *values]
    kinds = pa.schema([*SCHEMA, *(pa.field(name, pa.string()) for name in values)])
    found = [{**ROW, **values, "id": id, "_lake_hour": hour} for id in ids]
    return pa.Table.from_pylist([{name: row[name] for name in names} for row in found], kinds)


def write(spark: SparkDelta, table: TableSpec, hours: list[str], data: pa.Table) -> int:
    return spark.replace_partitions(
        table, hours, lambda: spark.spark.createDataFrame(data), lambda: True, lambda: {"by": "a test"}
    )


def ids(spark: SparkDelta, table: TableSpec, hour: str) -> list[int]:
    version = spark.version(table.uri)
    assert version is not None
    found = spark.read(table.uri, version).where(spark.is_one_of("_lake_hour", [hour]))
    return sorted(row.id for row in found.collect())


def test_a_table_written_by_spark_is_the_one_that_delta_rs_writes(spark: SparkDelta, tmp_path: Path) -> None:
    mine, theirs = spec(tmp_path), spec(tmp_path, "others")

    write(spark, mine, ["2026-01-01T00"], rows("2026-01-01T00", 1, 2))
    delta_rs.replace_partitions(theirs, ["2026-01-01T00"], lambda: rows("2026-01-01T00", 1, 2).to_reader(), {})

    found = [told for told in differences(Path(mine.uri), Path(theirs.uri)) if "statistics" not in told]
    assert found == []
    pinned = delta_rs.pin(mine.uri)
    assert pinned is not None
    assert "min.phone" not in pinned.actions.column_names, "statistics would show personal data in clear"
    assert "min.amount" in pinned.actions.column_names


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
@pytest.mark.parametrize("told", ["id,at,größe", "id,at,phone,`größe`"], ids=["unquoted", "personal"])
def test_a_table_whose_property_of_statistics_was_written_wrong_is_brought_right_by_the_next_write(
    spark: SparkDelta, tmp_path: Path, engine: str, told: str
) -> None:
    table = spec(tmp_path, schema=SCHEMA.append(pa.field("größe", pa.string())))

    def replaced(hour: str, by: str) -> set[str]:
        """The columns of which the log keeps the least and greatest value in this hour."""
        data = rows(hour, 1, größe="S")
        if by == "spark":
            write(spark, table, [hour], data)
        else:
            delta_rs.replace_partitions(table, [hour], data.to_reader, {})
        kept = DeltaTable(str(table.uri)).get_add_actions(flatten=True)
        row = next(row for row in pa.table(kept).to_pylist() if row["partition._lake_hour"] == hour)
        return {name for name in [*SCHEMA.names, "größe"] if row.get(f"min.{name}") is not None}

    with patch.object(TableSpec, "statistics_property", told):
        assert "phone" in replaced("h1", "duckdb"), "as an earlier version wrote it"

    assert replaced("h2", engine) == {"id", "at", "amount", "größe"}
    versions = [DeltaTable(str(table.uri)).version()]
    replaced("h3", engine)
    assert DeltaTable(str(table.uri)).version() == versions[0] + 1, "it is brought right once"


def test_replacing_an_hour_leaves_the_others_alone(spark: SparkDelta, tmp_path: Path) -> None:
    table = spec(tmp_path)
    write(spark, table, ["h1", "h2"], pa.concat_tables([rows("h1", 1), rows("h2", 2, 3)]))

    write(spark, table, ["h1"], rows("h1", 7))

    assert (ids(spark, table, "h1"), ids(spark, table, "h2")) == ([7], [2, 3])
    write(spark, table, ["h2"], rows("h2"))
    assert (ids(spark, table, "h1"), ids(spark, table, "h2")) == ([7], [])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (rows("h9", 1), "DELTA_REPLACE_WHERE_MISMATCH"),
        (rows("h1", 1).set_column(0, "id", pa.array([None], pa.int64())), "NOT NULL"),
        (rows("h1", 1).append_column("unknown", pa.array(["x"])), "unknown"),
    ],
    ids=["a row of another hour", "a missing required value", "a column that the table lacks"],
)
def test_rows_that_do_not_belong_are_refused_and_nothing_is_written(
    spark: SparkDelta, tmp_path: Path, data: pa.Table, told: str
) -> None:
    table = spec(tmp_path)
    write(spark, table, ["h1"], rows("h1", 5))

    with pytest.raises(Exception, match=told):
        write(spark, table, ["h1"], data)

    assert ids(spark, table, "h1") == [5]


def test_an_added_column_is_null_in_older_rows_for_every_reader(spark: SparkDelta, tmp_path: Path) -> None:
    table = spec(tmp_path)
    write(spark, table, ["h1"], rows("h1", 1))
    wider = spec(tmp_path, schema=SCHEMA.append(pa.field("colour", pa.string())))

    write(spark, wider, ["h2"], rows("h2", 2, colour="red"))

    pinned = delta_rs.pin(table.uri)
    assert pinned is not None
    assert pinned.evolved, "DuckDB reads a widened table by name, and must know"
    found = pinned.table.to_pyarrow_table(columns=["id", "colour"]).to_pylist()
    assert sorted(found, key=lambda row: row["id"]) == [{"id": 1, "colour": None}, {"id": 2, "colour": "red"}]


def test_a_column_of_another_type_is_refused_with_the_remedy(spark: SparkDelta, tmp_path: Path) -> None:
    write(spark, spec(tmp_path), ["h1"], rows("h1", 1))
    other = spec(tmp_path, schema=SCHEMA.set(0, pa.field("id", pa.string(), nullable=False)))

    with pytest.raises(SparkDeltaError, match=r"id is bigint in the lake and string .* remove"):
        write(spark, other, ["h1"], rows("h1", 1))


def test_an_hour_written_by_one_engine_is_replaced_by_the_other(spark: SparkDelta, tmp_path: Path) -> None:
    table = spec(tmp_path)
    delta_rs.replace_partitions(table, ["h1"], lambda: rows("h1", 1).to_reader(), {})
    write(spark, table, ["h1", "h2"], pa.concat_tables([rows("h1", 2), rows("h2", 3)]))

    written = delta_rs.replace_partitions(table, ["h2"], lambda: rows("h2", 4).to_reader(), {})

    assert (ids(spark, table, "h1"), ids(spark, table, "h2")) == ([2], [4])
    assert written.rows() == 2


def test_a_snapshot_that_holds_nothing_counts_as_written_for_both_engines(spark: SparkDelta, tmp_path: Path) -> None:
    table = spec(tmp_path)
    write(spark, table, ["s1"], rows("s1"))

    spark.remember(table, "s1")
    spark.remember(table, "s1")

    pinned = delta_rs.pin(table.uri)
    assert pinned is not None
    assert (pinned.written("s1"), pinned.written("s2")) == (True, False)


def racing(spark: SparkDelta, source: TableSpec, target: TableSpec, first: Callable[[], None]) -> int:
    """Copies the hour h1 of ``source`` to ``target``; ``first`` happens after the source is read for the first time.

    Returns how often it was read."""
    read: list[int] = []

    def compute() -> Any:
        version = spark.version(source.uri)
        assert version is not None
        read.append(version)
        if len(read) == 1:
            first()
        return spark.read(source.uri, version).where(spark.is_one_of("_lake_hour", ["h1"]))

    def up_to_date() -> bool:
        now = spark.version(source.uri)
        return now is not None and spark.same_files(source.uri, "_lake_hour", ["h1"], read[-1], now)

    spark.replace_partitions(target, ["h1"], compute, up_to_date, lambda: {"read": str(read[-1])})
    return len(read)


def test_a_writer_whose_input_moved_meanwhile_writes_again_from_the_newest(spark: SparkDelta, tmp_path: Path) -> None:
    source, target = spec(tmp_path, "source"), spec(tmp_path, "target")
    write(spark, source, ["h1"], rows("h1", 1))

    def another_run() -> None:
        delta_rs.replace_partitions(source, ["h1"], lambda: rows("h1", 1, 2).to_reader(), {})
        delta_rs.replace_partitions(target, ["h1"], lambda: rows("h1", 1, 2).to_reader(), {})

    assert racing(spark, source, target, another_run) == 2
    assert ids(spark, target, "h1") == [1, 2]


def test_a_writer_does_not_write_again_because_another_hour_of_its_input_moved(
    spark: SparkDelta, tmp_path: Path
) -> None:
    source, target = spec(tmp_path, "source"), spec(tmp_path, "target")
    write(spark, source, ["h1"], rows("h1", 1))

    def another_hour() -> None:
        delta_rs.replace_partitions(source, ["h2"], lambda: rows("h2", 9).to_reader(), {})

    assert racing(spark, source, target, another_hour) == 1
    assert ids(spark, target, "h1") == [1]


def test_a_commit_that_lost_to_another_is_computed_again(spark: SparkDelta, tmp_path: Path) -> None:
    table, calls = spec(tmp_path), []

    class ConcurrentAppendException(Exception):
        """As Delta names it."""

    def compute() -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise ConcurrentAppendException("files were added to partition h1 by a concurrent update")
        return spark.spark.createDataFrame(rows("h1", 1))

    spark.replace_partitions(table, ["h1"], compute, lambda: True, lambda: {})

    assert (len(calls), ids(spark, table, "h1")) == (2, [1])


def test_a_writer_that_always_loses_says_so_instead_of_hanging(spark: SparkDelta, tmp_path: Path) -> None:
    with pytest.raises(SparkDeltaError, match="lost to another writer 8 times"):
        spark.replace_partitions(
            spec(tmp_path), ["h1"], lambda: spark.spark.createDataFrame(rows("h1", 1)), lambda: False, lambda: {}
        )


def test_tables_of_unity_catalog_are_addressed_by_name_and_lie_at_the_lakes_paths(tmp_path: Path) -> None:
    spark = SparkDelta(spark_session(Settings(threads=2)), "spark_catalog")
    for schema in ("silver", "sensitive"):
        spark.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    clear = TableSpec(UPath(tmp_path / "sensitive" / "bronze" / "named"), SCHEMA, "_lake_hour")
    table = spec(tmp_path, "named")
    try:
        for one in (table, clear):
            write(spark, one, ["h1"], rows("h1", 1, 2))
        assert spark.name(clear.uri) == "`spark_catalog`.`sensitive`.`bronze_named`"
        assert spark.count("SELECT count(*) FROM silver.named") == 2
        assert spark.count("SELECT count(*) FROM sensitive.bronze_named") == 2
        assert delta_rs.pin(table.uri).rows() == 2  # type: ignore[union-attr]
        write(spark, table, ["h1"], rows("h1", 3))
        assert ids(spark, table, "h1") == [3]
    finally:
        spark.spark.sql("DROP TABLE IF EXISTS silver.named")
        spark.spark.sql("DROP TABLE IF EXISTS sensitive.bronze_named")
