"""SQL over pinned Delta tables gives the rows of the log's version, with the table's types."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from upath import UPath

from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.delta.write import DeltaWriteError, overwrite, pin, replace_partitions
from dagster_lake.storage.duckdb.scan import empty_sql, scan_sql

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("_lake_hour", pa.string()),
        pa.field("price", pa.decimal128(10, 2)),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("at", pa.timestamp("us", "UTC")),
        pa.field("on", pa.date32()),
    ]
)
AT = datetime(2026, 1, 5, 12, 30, tzinfo=UTC)


def rows(*rows: tuple[int, str], schema: pa.Schema = SCHEMA) -> pa.RecordBatchReader:
    return pa.Table.from_pylist(
        [
            {"id": id, "_lake_hour": hour, "price": Decimal("1.50"), "tags": ["a", "b"], "at": AT, "on": AT.date()}
            for id, hour in rows
        ],
        schema=schema,
    ).to_reader()


def write(folder: Path, *data: tuple[int, str]) -> TableSpec:
    spec = TableSpec(UPath(folder / "silver" / "things"), SCHEMA, partition_by="_lake_hour")
    replace_partitions(spec, sorted({hour for _, hour in data}), lambda: rows(*data), {})
    return spec


def query(sql: str) -> pa.Table:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection.sql(sql).to_arrow_table()


def same_types(found: pa.Schema, wanted: pa.Schema) -> bool:
    return found.names == wanted.names and found.types == wanted.types


@pytest.mark.parametrize("folder", ["plain", "with space", "o'clock", "any*?", "env=prod"])
def test_a_table_in_any_folder_is_read_back(tmp_path: Path, folder: str) -> None:
    spec = write(tmp_path / folder, (1, "2026-01-05T12"), (2, "2026-01-05T13"))
    pinned = pin(spec.uri)
    assert pinned is not None
    found = query(scan_sql(pinned))
    assert same_types(found.schema, SCHEMA)
    assert (
        sorted(found.to_pylist(), key=lambda row: row["id"])
        == rows((1, "2026-01-05T12"), (2, "2026-01-05T13")).read_all().to_pylist()
    )


def test_an_unpartitioned_table_in_a_hive_like_folder_has_its_own_columns_only(tmp_path: Path) -> None:
    spec = TableSpec(UPath(tmp_path / "price=3" / "silver" / "things"), SCHEMA)
    pinned = overwrite(spec, lambda: rows((1, "2026-01-05T12")), {})
    assert query(scan_sql(pinned))["price"].to_pylist() == [Decimal("1.50")]


def test_only_the_named_partitions_are_listed(tmp_path: Path) -> None:
    pinned = pin(write(tmp_path, (1, "2026-01-05T12"), (2, "2026-01-05T13")).uri)
    assert pinned is not None
    sql = scan_sql(pinned, partitions=["2026-01-05T13"])
    assert "2026-01-05T12" not in sql
    assert query(sql)["id"].to_pylist() == [2]


def test_only_files_whose_statistics_overlap_are_listed(tmp_path: Path) -> None:
    pinned = pin(write(tmp_path, (1, "2026-01-05T12"), (2, "2026-01-05T13")).uri)
    assert pinned is not None
    assert query(scan_sql(pinned, overlapping=("id", 2, 9)))["id"].to_pylist() == [2]


def test_a_constant_hour_prunes_files_without_opening_them(tmp_path: Path) -> None:
    pinned = pin(write(tmp_path, (1, "2026-01-05T12"), (2, "2026-01-05T13")).uri)
    assert pinned is not None
    plan = query(f"EXPLAIN ANALYZE SELECT * FROM ({scan_sql(pinned)}) WHERE _lake_hour IN ('2026-01-05T13')")
    assert "Scanning Files: 1/2" in plan.to_pylist()[0]["explain_value"]


def test_a_table_without_rows_and_a_selection_without_files_are_empty_and_typed(tmp_path: Path) -> None:
    spec = write(tmp_path, (1, "2026-01-05T12"))
    pinned = replace_partitions(spec, ["2026-01-05T12"], lambda: rows(), {})
    for sql in (scan_sql(pinned), empty_sql(SCHEMA)):
        found = query(sql)
        assert found.num_rows == 0
        assert same_types(found.schema, SCHEMA)


def test_an_older_version_stays_readable_after_a_newer_write(tmp_path: Path) -> None:
    spec = write(tmp_path, (1, "2026-01-05T12"))
    pinned = pin(spec.uri)
    assert pinned is not None
    replace_partitions(spec, ["2026-01-05T12"], lambda: rows((7, "2026-01-05T12")), {})
    assert query(scan_sql(pinned))["id"].to_pylist() == [1]


def test_a_column_added_later_is_null_in_older_files_even_when_no_file_has_it(tmp_path: Path) -> None:
    spec = write(tmp_path, (1, "2026-01-05T12"))
    wider = TableSpec(spec.uri, SCHEMA.append(pa.field("extra", pa.int64())), partition_by="_lake_hour")
    new = pa.table({"id": [2], "_lake_hour": ["2026-01-05T13"], "extra": [5]}).to_reader
    pinned = replace_partitions(wider, ["2026-01-05T13"], new, {})
    found = query(scan_sql(pinned))
    assert sorted(zip(found["id"].to_pylist(), found["extra"].to_pylist(), strict=True)) == [(1, None), (2, 5)]
    assert query(scan_sql(pinned, partitions=["2026-01-05T12"]))["extra"].to_pylist() == [None]


def test_a_type_the_lake_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="duration"):
        empty_sql(pa.schema([pa.field("x", pa.duration("s"))]))


def test_a_folder_above_the_lake_is_not_taken_for_a_column_of_its_tables(tmp_path: Path) -> None:
    spec = write(tmp_path / "price=7", (1, "2026-01-05T12"))
    pinned = pin(spec.uri)
    assert pinned is not None
    with pytest.raises(DeltaWriteError, match=r"price=7 would be read as the table's column price; move the lake"):
        scan_sql(pinned)
    other = pin(write(tmp_path / "env=prod", (1, "2026-01-05T12")).uri)
    assert other is not None
    assert query(scan_sql(other)).column_names == SCHEMA.names
