"""Which partitions of a table were written since a version of it, from the commits in between."""

from pathlib import Path

import pyarrow as pa
import pytest
from upath import UPath

from dagster_lake.dbt_runner.silver_reads import catching_up, partitions_written
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.delta.write import Pinned, pin, replace_partitions

COLUMNS = pa.schema([pa.field("n", pa.int64()), pa.field("_lake_hour", pa.string())])


@pytest.fixture
def spec(tmp_path: Path) -> TableSpec:
    return TableSpec(UPath(tmp_path / "silver" / "events"), COLUMNS, "_lake_hour")


def write(spec: TableSpec, hour: str, *numbers: int, reads: dict[str, str] | None = None) -> Pinned:
    rows = pa.table({"n": numbers, "_lake_hour": [hour] * len(numbers)}, COLUMNS)
    return replace_partitions(spec, [hour], rows.to_reader, reads or {})


def test_hours_that_were_written_emptied_or_added_count_and_compaction_does_not(spec: TableSpec) -> None:
    for hour in ("01", "02", "03"):
        seen = write(spec, hour, 1)
    write(spec, "02", 2, 3)
    write(spec, "03")
    now = write(spec, "04", 4)
    now.table.optimize.compact()

    found = pin(spec.uri)
    assert found is not None
    assert partitions_written(found, seen.version) == ["02", "03", "04"]
    assert partitions_written(found, found.version) == []


def test_a_version_that_the_table_never_had_tells_nothing(spec: TableSpec) -> None:
    assert partitions_written(write(spec, "01", 1), 99) is None


def test_without_the_commits_in_between_every_hour_is_computed(spec: TableSpec, tmp_path: Path) -> None:
    model = TableSpec(UPath(tmp_path / "gold" / "model"), COLUMNS, "_lake_hour")
    first = write(spec, "01", 1)
    reader = write(model, "01", 1, reads={"lake.read.silver.events": str(first.version)})
    now = write(spec, "02", 2)
    tables = {"gold.model": reader, "silver.events": now}
    assert catching_up({"gold.model": ["silver.events"]}, tables).hours == {"02"}

    Path(str(spec.uri), "_delta_log", f"{now.version:020}.json").unlink()  # as when the log has expired
    Path(str(spec.uri), "_delta_log", f"{first.version:020}.json").unlink()

    assert catching_up({"gold.model": ["silver.events"]}, tables).hours == {"01", "02"}


def test_a_model_that_was_never_computed_has_nothing_to_catch_up_with(spec: TableSpec) -> None:
    found = catching_up({"gold.model": ["silver.events"]}, {"silver.events": write(spec, "01", 1)})

    assert found.hours == frozenset()
    assert found.notes(done=True) == {"gold.model": {"silver.events": found.now["silver.events"]}}
