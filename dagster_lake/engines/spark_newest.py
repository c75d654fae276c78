"""Silver's newest rows by Spark's MERGE: one a key, merged from changes or snapshots; a newer row is never replaced."""

from collections.abc import Sequence
from functools import partial

from dagster_lake.compile.columns import position_fields
from dagster_lake.compile.spark_dialect import SparkDialect
from dagster_lake.contract import Contract, DatabaseSource
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.spark_delta import SparkDelta, SparkDeltaError
from dagster_lake.storage.tables import newest_table, silver_table

ADDED = "CAST(NULL AS TIMESTAMP) AS _deleted_at, CAST(NULL AS BOOLEAN) AS _newer_in_quarantine"


def merge_newest(
    delta: SparkDelta, lake: Lake, contract: Contract, partitions: Sequence[str], dialect: SparkDialect
) -> int:
    """Merges the named partitions of silver into the newest rows, and returns the table's version.

    Raises SparkDeltaError when silver does not exist yet.
    """
    silver = silver_table(lake, contract)
    version = delta.version(silver.uri)
    if version is None or not partitions:
        raise SparkDeltaError(f"silver of {contract.name} does not exist yet; materialise it first")
    source = delta.read(silver.uri, version)
    column = silver.partition_by
    assert column is not None
    if contract.cadence == "hourly":
        source.where(delta.is_one_of(column, partitions)).createOrReplaceTempView("changes")
        return delta.merge(newest_table(lake, contract), partial(_changes_merge, contract, dialect, delta))
    for snapshot in sorted(partitions):
        source.where(delta.is_one_of(column, [snapshot])).createOrReplaceTempView("snapshot")
        merged = delta.merge(newest_table(lake, contract), partial(_snapshot_merge, contract, dialect, delta, snapshot))
    return merged


def _changes_merge(contract: Contract, dialect: SparkDialect, delta: SparkDelta, table: str) -> str | None:
    """The newest change of each key, by time of writing and then by position in raw; it wins where it is newer than
    the row that the table has when Delta looks."""
    assert isinstance(contract.source, DatabaseSource)
    keys = [dialect.identifier(p.name) for p in contract.keys]
    age = [dialect.identifier(c) for c in (contract.source.updated_at, *(f.name for f in position_fields(contract)))]
    newest_first = ", ".join(f"{column} DESC" for column in age)
    ranked = f"row_number() OVER (PARTITION BY {', '.join(keys)} ORDER BY {newest_first}) AS rank_of_change"
    newest = (
        f"SELECT * EXCEPT (rank_of_change), {ADDED} FROM (SELECT *, {ranked} FROM changes) WHERE rank_of_change = 1"
    )
    matched = " AND ".join(f"t.{key} = s.{key}" for key in keys)
    news = f"SELECT 1 FROM ({newest}) s LEFT JOIN {table} t ON {matched} WHERE {_newer(age)} OR t.{keys[0]} IS NULL"
    if delta.is_empty(news):
        return None
    # Files that hold no such key are not opened.
    within = delta.within("changes", keys[0])
    return (
        f"MERGE INTO {table} t USING ({newest}) s ON {matched}{f' AND {within}' if within else ''} "
        f"WHEN MATCHED AND {_newer(age)} THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )


def _snapshot_merge(
    contract: Contract, dialect: SparkDialect, delta: SparkDelta, snapshot: str, table: str
) -> str | None:
    """The rows of one snapshot become the newest, rows it lacks are marked as missing since it.

    A snapshot older than the newest one merged changes nothing.
    """
    merged = delta.text(f"SELECT greatest(max(_snapshot), max(_missing_since)) FROM {table}")
    if merged is not None and merged > snapshot:
        return None
    news = (
        "SELECT *, CAST(NULL AS STRING) AS _missing_since, CAST(NULL AS BOOLEAN) AS _newer_in_quarantine FROM snapshot"
    )
    if merged == snapshot and delta.is_empty(f"SELECT * FROM ({news}) EXCEPT SELECT * FROM {table}"):
        return None
    keys = [dialect.identifier(p.name) for p in contract.keys]
    return (
        f"MERGE INTO {table} t USING ({news}) s ON {' AND '.join(f't.{key} = s.{key}' for key in keys)} "
        "WHEN MATCHED AND s._snapshot >= t._snapshot THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT * "
        f"WHEN NOT MATCHED BY SOURCE AND t._missing_since IS NULL AND t._snapshot < {dialect.literal(snapshot)} "
        f"THEN UPDATE SET _missing_since = {dialect.literal(snapshot)}"
    )


def _newer(age: Sequence[str]) -> str:
    """Whether ``s`` is newer than ``t`` by the columns ``age``, the first one weighing most."""
    return f"struct({', '.join(f's.{c}' for c in age)}) > struct({', '.join(f't.{c}' for c in age)})"
