"""Finds the later hours that a change of some hours of events makes stale, with Spark; see ``compile.later_hours``."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from dagster_lake.compile.dialect import Dialect
from dagster_lake.compile.later_hours import (
    look_ahead,
    reaching,
    shared_keys_select,
    shared_partitions_select,
    stale_partitions_select,
)
from dagster_lake.compile.silver import look_back
from dagster_lake.contract.columns import partition_field
from dagster_lake.contract.model import Contract
from dagster_lake.storage.delta.spark import SparkDelta
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import bronze_table, quarantine_table, silver_table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

VIEWS = ("bronze", "held", "later", "made", "kept_out", "around", "suspects", "reach")
"""The temporary views that this makes."""


def stale_later_hours(
    delta: SparkDelta, lake: Lake, contract: Contract, partitions: Collection[str], dialect: Dialect
) -> list[str]:
    """The landed hours after ``partitions`` whose silver is to be made again with theirs."""
    ahead, column = look_ahead(contract, partitions), partition_field(contract).name
    if not ahead:
        return []
    bronze, silver = bronze_table(lake, contract), silver_table(lake, contract)
    rows = delta.at(bronze.uri, delta.existing(bronze))
    landed = rows.rows.where(delta.is_one_of(column, ahead)).select(column).distinct()
    later = sorted(row[0] for row in landed.collect())
    if not later:
        return []
    own = reaching(contract, partitions, later)
    around = [*look_back(contract, later), *later]
    rows.of(column, own).createOrReplaceTempView("bronze")
    rows.of(column, later).createOrReplaceTempView("later")
    rows.of(column, around).createOrReplaceTempView("around")
    _rows_of(delta, silver, own).createOrReplaceTempView("held")
    _rows_of(delta, silver, later).createOrReplaceTempView("made")
    _rows_of(delta, quarantine_table(lake, contract), later).createOrReplaceTempView("kept_out")
    delta.spark.sql(shared_keys_select(contract, dialect)).createOrReplaceTempView("suspects")
    hours = [row[0] for row in delta.spark.sql(shared_partitions_select(contract, dialect)).collect()]
    if not hours:
        return []
    rows.of(column, hours).createOrReplaceTempView("reach")
    return [row[0] for row in delta.spark.sql(stale_partitions_select(contract, dialect, later)).collect()]


def _rows_of(delta: SparkDelta, spec: TableSpec, partitions: Collection[str]) -> "DataFrame":
    version = delta.version(spec.uri)
    if version is None:
        return delta.empty(spec.schema)
    return delta.at(spec.uri, version).of(spec.partition_by or "", partitions)
