"""Two writers of one table at the worst moment: the second commits while the first computes. Nothing doubles."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from upath import UPath

from dagster_lake.storage import delta
from dagster_lake.storage.table_spec import TableSpec

SCHEMA = pa.schema([pa.field("id", pa.int64()), pa.field("by", pa.string()), pa.field("_lake_hour", pa.string())])
HOUR, OTHER = "2026-01-05T12", "2026-01-05T13"
Compute = Callable[[], pa.RecordBatchReader]
Write = Callable[[TableSpec, Compute], object]


def rows(by: str) -> pa.RecordBatchReader:
    return pa.table({"id": [1, 2], "by": [by] * 2, "_lake_hour": [HOUR] * 2}, SCHEMA).to_reader()


def overwrite(spec: TableSpec, compute: Compute) -> object:
    return delta.overwrite(spec, compute, {})


def replace_partitions(spec: TableSpec, compute: Compute) -> object:
    return delta.replace_partitions(spec, [HOUR], compute, {})


def merge(spec: TableSpec, compute: Compute) -> object:
    return delta.merge(spec, lambda target: delta.Merge(compute(), ("id",)), {})


def append_what_lacks(spec: TableSpec, compute: Compute) -> object:
    """As the notices of alerts do: what the table has already is left out."""

    def missing() -> pa.RecordBatchReader:
        offered = compute()
        pinned = delta.pin(spec.uri)
        empty = pinned is None or pinned.rows([HOUR]) == 0
        return offered if empty else SCHEMA.empty_table().to_reader()

    return delta.append(spec, missing, {}, turn="test")


VERBS = [overwrite, replace_partitions, merge, append_what_lacks]


def absent(spec: TableSpec) -> None:
    """There is no table."""


def empty(spec: TableSpec) -> None:
    delta.overwrite(spec, lambda: SCHEMA.empty_table().to_reader(), {})


def filled(spec: TableSpec) -> None:
    earlier = pa.table({"id": [1, 7], "by": ["before"] * 2, "_lake_hour": [HOUR, OTHER]}, SCHEMA)
    delta.overwrite(spec, earlier.to_reader, {})


def content(spec: TableSpec) -> list[dict[str, object]]:
    pinned = delta.pin(spec.uri)
    assert pinned is not None
    return sorted(pinned.table.to_pyarrow_table().to_pylist(), key=lambda row: row["id"])


@pytest.fixture
def spec(tmp_path: Path) -> TableSpec:
    return TableSpec(UPath(tmp_path / "gold" / "raced"), SCHEMA, "_lake_hour")


@pytest.mark.parametrize("before", [absent, empty, filled])
@pytest.mark.parametrize("write", VERBS)
def test_another_writer_that_commits_meanwhile_doubles_and_loses_nothing(
    spec: TableSpec, write: Write, before: Callable[[TableSpec], None]
) -> None:
    before(spec)
    alone = TableSpec(spec.uri.parent / "alone", SCHEMA, "_lake_hour")
    before(alone)
    write(alone, lambda: rows("it"))
    meanwhile = [lambda: write(spec, lambda: rows("it"))]

    def compute() -> pa.RecordBatchReader:
        if meanwhile:
            meanwhile.pop()()
        return rows("it")

    write(spec, compute)
    assert content(spec) == content(alone)
